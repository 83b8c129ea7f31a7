"""Whose predictions a request has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """Model and version that predicted, or an alias that is resolved at each row's own time."""

    model: str
    version: str = ""
    alias: str = ""

    def to_json(self) -> dict[str, str]:
        """Keys of a request that name it, without empty ones."""
        given = {"model": self.model, "version": self.version, "alias": self.alias}
        return {name: value for name, value in given.items() if value}

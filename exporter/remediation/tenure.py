"""Tenures of an alias: the spans of its history in which it points to one version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.storage.schema import AliasMove


@dataclass(frozen=True)
class Tenure:
    """The current tenure of an alias.

    `number` counts the tenures up to this one, `version` holds the alias since `since` (seconds since the
    epoch), and `previous` is the version of the tenure before, empty if there was none.
    """

    number: int
    version: str
    since: float
    previous: str


def current_tenure(moves: Sequence[AliasMove]) -> Tenure | None:
    """Current tenure in the history of one alias, None where it points to no version.

    Repeated moves to the same version, which a clock that is set back leads to, are one tenure. An alias that
    was removed and set again to the same version has a new one.
    """
    starts: list[AliasMove] = []
    for move in moves:
        if not starts or starts[-1].version != move.version:
            starts.append(move)
    if not starts or not starts[-1].version:
        return None
    before = [move.version for move in starts[:-1] if move.version and move.version != starts[-1].version]
    return Tenure(len(starts), starts[-1].version, starts[-1].since, before[-1] if before else "")

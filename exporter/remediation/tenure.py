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

    Repeated moves to the same version, which a clock that is set back leads to, are one tenure. So are those
    before and after an absence of the alias: a model also vanishes for lack of permission.
    """
    if not moves or not moves[-1].version:
        return None
    starts: list[AliasMove] = []
    for move in moves:
        if move.version and (not starts or starts[-1].version != move.version):
            starts.append(move)
    return Tenure(
        number=len(starts),
        version=starts[-1].version,
        since=starts[-1].since,
        previous=starts[-2].version if len(starts) > 1 else "",
    )

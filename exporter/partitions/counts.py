"""Changed payloads of all partitions -> counts of a version. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from operator import add
from typing import TypeVar

from exporter.aggregates.block import Block, decode_block
from exporter.aggregates.outcomes import Outcomes, decode_outcomes
from exporter.aggregates.state import VersionCounts
from exporter.aggregates.timeline import Timeline
from exporter.partitions.tables import Key
from exporter.settings import Settings
from exporter.storage.schema import FINE

_Item = TypeVar("_Item")


def with_blocks(
    counts: VersionCounts, settings: Settings, changed: Mapping[Key, list[bytes]]
) -> VersionCounts:
    """Counts with other blocks; the key of one without payloads is removed.

    A new timeline: an evaluation that reads the old one must see each row once.
    """
    fine: dict[int, Block | None] = {}
    coarse: dict[str, dict[int, Block | None]] = defaultdict(dict)
    if not changed:
        return counts
    for (family, start, segment), payloads in changed.items():
        block = reduce(add, map(decode_block, payloads)) if payloads else None
        (fine if family == FINE else coarse[segment])[start] = block
    timeline = Timeline(
        settings, _replaced(counts.timeline.fine, fine), _replaced(counts.timeline.coarse, coarse[""])
    )
    segments = {
        name: replace(
            known, timeline=Timeline(settings, coarse=_replaced(known.timeline.coarse, coarse[name]))
        )
        for name, known in counts.segments.items()
    }
    return replace(counts, timeline=timeline, segments=segments)


def without_outcomes(counts: VersionCounts) -> VersionCounts:
    segments = {name: replace(known, outcomes={}) for name, known in counts.segments.items()}
    return replace(counts, outcomes={}, segments=segments)


def with_outcomes(counts: VersionCounts, changed: Mapping[Key, list[bytes]], now: float) -> VersionCounts:
    """Counts with other outcomes; those before the horizon, which rarely change, are compressed."""
    layout, hours = counts.layout, defaultdict[str, dict[int, Outcomes | None]](dict)
    if layout is None or not changed:
        return counts
    for (start, segment), payloads in changed.items():
        found = [decode_outcomes(layout, data) for data in payloads]
        hours[segment][start] = reduce(add, found) if found else None
    horizon = counts.timeline.horizon(now)

    def settled(known: dict[int, Outcomes], name: str) -> dict[int, Outcomes]:
        every = _replaced(known, hours[name])
        return {hour: each.packed() if hour < horizon else each for hour, each in every.items()}

    segments = {
        name: replace(known, outcomes=settled(known.outcomes, name))
        for name, known in counts.segments.items()
    }
    return replace(counts, outcomes=settled(counts.outcomes, ""), segments=segments)


def _replaced(known: Mapping[int, _Item], changed: Mapping[int, _Item | None]) -> dict[int, _Item]:
    every: dict[int, _Item | None] = {**known, **changed}
    return {start: item for start, item in every.items() if item is not None}

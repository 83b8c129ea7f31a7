"""Counts of which only the newest are in memory: a worker has those of many partitions, and evaluates none.

Rows and labels change the newest blocks nearly always. An older one is read from the store when it changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from exporter.aggregates.block import Block
from exporter.aggregates.outcomes import Outcomes
from exporter.aggregates.state import SegmentCounts, VersionCounts
from exporter.aggregates.timeline import Timeline
from exporter.fleet import Version
from exporter.ingest.activation import load_segments
from exporter.ingest.local_counting import LocalCounting
from exporter.settings import Settings
from exporter.storage.schema import COARSE, FINE

KEPT = 24  # of each kind: two hours of fine blocks, a day of coarse ones and of outcomes

_Item = TypeVar("_Item")


class Resident(dict[int, _Item]):
    """Blocks or outcomes by start, of which older ones are in the store alone until `get` asks for them.

    Iteration yields those in memory.
    """

    def __init__(
        self, kept: Mapping[int, _Item], stored: Iterable[int], read: Callable[[int], _Item]
    ) -> None:
        super().__init__(kept)
        self.stored = set(stored)
        self._read = read

    def get(self, start: int, default: Any = None) -> Any:
        """Block of a start, from the store if it is there alone."""
        if start in self.stored and start not in self:
            self[start] = self._read(start)
        return super().get(start, default)


class PartitionCounting(LocalCounting):
    """Counting of a partition, which has the newest blocks of its versions in memory."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # What was merged and deleted of each version, by its key.
        self._aged: dict[int, tuple[int, int, int] | None] = {}

    def thin(self, version: Version) -> None:
        """Leave all but the newest blocks and outcomes of a version to the store."""
        counts = version.counts
        if counts is None:
            return
        store, reference_id, layout = self._store, counts.reference_id, counts.layout

        def blocks(items: dict[int, Block], family: int, segment: str) -> dict[int, Block]:
            return _thinned(items, lambda start: store.load_block(reference_id, family, start, segment))

        def outcomes(items: dict[int, Outcomes], segment: str) -> dict[int, Outcomes]:
            if layout is None:
                return items
            return _thinned(items, lambda start: store.load_hour(reference_id, layout, start, segment))

        def segment(name: str, part: SegmentCounts) -> SegmentCounts:
            timeline = Timeline(self._settings, {}, blocks(part.timeline.coarse, COARSE, name))
            return SegmentCounts(timeline, outcomes(part.outcomes, name))

        fine, coarse = counts.timeline.fine, counts.timeline.coarse
        thin = replace(
            counts,
            timeline=Timeline(self._settings, blocks(fine, FINE, ""), blocks(coarse, COARSE, "")),
            outcomes=outcomes(counts.outcomes, ""),
            segments={name: segment(name, part) for name, part in counts.segments.items()},
        )
        version.live = replace(version.live, counts=thin)

    def fill(self, version: Version) -> None:
        """Read all blocks and outcomes of a version.

        Raises:
            StoreError: they cannot be read.
        """
        counts = version.counts
        if counts is None:
            return
        store, reference_id, layout = self._store, counts.reference_id, counts.layout
        outcomes = store.load_outcomes(reference_id, layout) if layout is not None else {}
        segments = load_segments(store, self._settings, counts.reference, reference_id, layout)
        timeline = Timeline(self._settings, *store.load_blocks(reference_id))
        whole = replace(counts, timeline=timeline, outcomes=outcomes, segments=segments)
        version.live = replace(version.live, counts=whole)

    def recount(self, version: Version) -> None:
        """Count the outcomes of a version again, with all of them in memory meanwhile."""
        self.fill(version)
        super().recount(version)
        self.thin(version)

    def _tidied(self, retained: float) -> Iterator[Version]:
        """Yield the versions, one at a time with all its blocks if some have become too old."""
        for version in self._fleet.versions.values():
            counts = version.counts
            due = _age(counts, self._settings, retained) if counts is not None else None
            if due == self._aged.get(version.key):
                yield version
            else:
                self.fill(version)
                yield version
                self._aged[version.key] = due
            self.thin(version)


def _thinned(items: dict[int, _Item], read: Callable[[int], _Item]) -> dict[int, _Item]:
    """The newest items in memory, the others to be read."""
    stored = items.stored if isinstance(items, Resident) else set()
    if len(items) <= KEPT and stored:
        return items
    newest = sorted(items)[-KEPT:] if KEPT else []
    return Resident({start: items[start] for start in newest}, stored | items.keys(), read)


def _age(counts: VersionCounts, settings: Settings, now: float) -> tuple[int, int, int]:
    """Reference, horizon of fine blocks, and number of the first coarse block that is kept: while they stay
    the same, nothing is to be merged or deleted."""
    oldest = math.ceil((now - settings.retention_seconds) / settings.coarse_seconds)
    return counts.reference_id, counts.timeline.horizon(now), oldest

"""Effects of one transaction on memory: collected within it, written with it, applied after its commit."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from exporter.aggregates.block import Block
from exporter.aggregates.counting import BatchCounts
from exporter.aggregates.outcomes import Outcomes
from exporter.aggregates.state import Totals, VersionCounts
from exporter.aggregates.timeline import Timeline
from exporter.fleet import Live, Version
from exporter.reference.bins import MAX_UNKNOWN_COLUMNS
from exporter.storage.schema import COARSE, FINE
from exporter.storage.transaction import Transaction


@dataclass
class Changes:
    """Effects of one transaction on the live state of versions; the writer's thread uses it."""

    # Owners of the blocks and outcomes below, current or new with this commit.
    version_counts: dict[Version, VersionCounts] = field(default_factory=dict)
    # Complete blocks after this commit, by version, family and start.
    blocks: dict[tuple[Version, int, int], Block] = field(default_factory=dict)
    # Values after this commit, by version.
    lives: dict[Version, Live] = field(default_factory=dict)
    last: dict[Version, float] = field(default_factory=dict)
    waiting: dict[Version, int] = field(default_factory=dict)
    unknown: dict[Version, frozenset[str]] = field(default_factory=dict)
    # Complete outcomes of hours after this commit, by version and start.
    outcomes: dict[tuple[Version, int], Outcomes] = field(default_factory=dict)
    # The same for segments, by version, name and start.
    segment_blocks: dict[tuple[Version, str, int], Block] = field(default_factory=dict)
    segment_outcomes: dict[tuple[Version, str, int], Outcomes] = field(default_factory=dict)

    def add_counts(
        self, version: Version, version_counts: VersionCounts, counts: BatchCounts, now: float
    ) -> None:
        """Add a batch's rows to the blocks of a version whose counts are, or will be, `version_counts`."""
        for start, block in counts.blocks.items():
            self.add_block(version, version_counts, start, block, now)
        for segment, start, block in counts.segments:
            self.add_segment_block(version, version_counts, segment, start, block)
        for start, scores in counts.scores.items():
            self.add_outcomes(version, version_counts, start, scores)

    def add_block(
        self,
        version: Version,
        counts: VersionCounts,
        start: int,
        block: Block,
        now: float,
        family: int = FINE,
    ) -> None:
        """Add a block to that of the same family and start, a fine one before the horizon to a coarse one."""
        # The horizon may have passed it since it was counted.
        if family == FINE and start < counts.timeline.horizon(now):
            length = counts.timeline.settings.coarse_seconds
            family, start = COARSE, start // length * length
        key = (version, family, start)
        before = self.blocks.get(key) or _family_of(counts.timeline, family).get(start)
        self.blocks[key] = before + block if before is not None else block
        self.version_counts[version] = counts

    def find_outcomes(self, version: Version, counts: VersionCounts, start: int) -> Outcomes | None:
        """Outcomes of an hour after what was added so far."""
        key = (version, start)
        return self.outcomes[key] if key in self.outcomes else counts.outcomes.get(start)

    def add_outcomes(self, version: Version, counts: VersionCounts, start: int, outcomes: Outcomes) -> None:
        """Add outcomes of an hour to those of a version whose counts are, or will be, `version_counts`."""
        key = (version, start)
        before = self.find_outcomes(version, counts, start)
        self.outcomes[key] = before + outcomes if before is not None else outcomes
        self.version_counts[version] = counts

    def add_segment_block(
        self, version: Version, counts: VersionCounts, segment: str, start: int, block: Block
    ) -> None:
        """Add a block to that of an hour of a segment."""
        key = (version, segment, start)
        before = self.segment_blocks.get(key) or counts.segments[segment].timeline.coarse.get(start)
        self.segment_blocks[key] = before + block if before is not None else block
        self.version_counts[version] = counts

    def add_segment_outcomes(
        self, version: Version, counts: VersionCounts, segment: str, start: int, outcomes: Outcomes
    ) -> None:
        """Add outcomes to those of an hour of a segment."""
        key, known = (version, segment, start), counts.segments[segment].outcomes
        before = self.segment_outcomes[key] if key in self.segment_outcomes else known.get(start)
        self.segment_outcomes[key] = before + outcomes if before is not None else outcomes
        self.version_counts[version] = counts

    def add_totals(self, version: Version, totals: Totals) -> None:
        before = self.lives.get(version, version.live)
        self.lives[version] = Live(version.counts, before.totals + totals)

    def add_waiting(self, version: Version, rows: int) -> None:
        """Count more rows that wait for the version's reference."""
        self.waiting[version] = self.waiting.get(version, version.waiting_rows) + rows

    def add_sighting(self, version: Version, at: float, now: float, unknown_columns: frozenset[str]) -> None:
        """Note the time of a version's row, and columns that its reference lacks."""
        known = self.last.get(version, version.last_prediction)
        ahead = known is not None and known > now  # the clock was put back since
        self.last[version] = at if known is None or ahead else max(known, at)
        names = self.unknown.get(version, version.unknown_columns) | unknown_columns
        self.unknown[version] = frozenset(sorted(names)[:MAX_UNKNOWN_COLUMNS])

    def write(self, transaction: Transaction) -> None:
        """Write the changes to the store."""
        together: dict[tuple[Version, int], dict[int, Block]] = defaultdict(dict)
        for (version, family, start), block in self.blocks.items():
            together[version, family][start] = block
        for (version, family), blocks in together.items():
            transaction.put_aggregates(self.version_counts[version].reference_id, family, blocks)
        changed: dict[Version, dict[int, Outcomes]] = defaultdict(dict)
        for (version, start), outcomes in self.outcomes.items():
            changed[version][start] = outcomes
        for version, hours in changed.items():
            counts = self.version_counts[version]
            assert counts.layout is not None
            transaction.put_outcomes(counts.reference_id, counts.layout, hours)
        for (version, segment, start), block in self.segment_blocks.items():
            reference_id = self.version_counts[version].reference_id
            transaction.put_aggregates(reference_id, COARSE, {start: block}, segment)
        for (version, segment, start), outcomes in self.segment_outcomes.items():
            counts = self.version_counts[version]
            assert counts.layout is not None
            transaction.put_outcomes(counts.reference_id, counts.layout, {start: outcomes}, segment)
        for version in {**self.last, **self.lives, **self.waiting, **self.unknown}:
            if values := self._state(version, partitioned=transaction.partitioned):
                transaction.put_state(version.key, values)

    def _state(self, version: Version, *, partitioned: bool) -> dict[str, Any]:
        """Columns of `version_states` that this transaction changes."""
        at = self.last.get(version)
        values: dict[str, Any] = {} if at in (None, version.last_prediction) else {"last_prediction": at}
        if not partitioned:
            return values
        if version in self.lives:
            live = self.lives[version]
            values["totals"] = live.totals.encode()
            values["reference_id"] = live.counts.reference_id if live.counts is not None else None
        if version in self.waiting:
            values["waiting_rows"] = self.waiting[version]
        if self.unknown.get(version, version.unknown_columns) != version.unknown_columns:
            values["unknown_columns"] = json.dumps(sorted(self.unknown[version]))
        return values

    def apply(self) -> None:
        """Assign the new values in memory, within `Store.applying`; everything was computed before."""
        for (version, family, start), block in self.blocks.items():
            _family_of(self.version_counts[version].timeline, family)[start] = block
        for (version, start), outcomes in self.outcomes.items():
            self.version_counts[version].outcomes[start] = outcomes
        for (version, segment, start), block in self.segment_blocks.items():
            self.version_counts[version].segments[segment].timeline.coarse[start] = block
        for (version, segment, start), outcomes in self.segment_outcomes.items():
            self.version_counts[version].segments[segment].outcomes[start] = outcomes
        for version, live in self.lives.items():
            version.live = live
        for version, at in self.last.items():
            version.last_prediction = at
        for version, rows in self.waiting.items():
            version.waiting_rows = rows
        for version, names in self.unknown.items():
            version.unknown_columns = names


def _family_of(timeline: Timeline, family: int) -> dict[int, Block]:
    return timeline.fine if family == FINE else timeline.coarse

"""Expire old counts: (counts, now) -> counts. Pure.

Blocks are kept for 45 days, outcomes for 90. A label may take longer than blocks are kept, and coverage needs
the number of predictions of that time: the counts of predictions of an expired block are added to its
outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from exporter.aggregates.block import Block
from exporter.aggregates.outcome_layout import OutcomeLayout, OutputCells
from exporter.aggregates.outcomes import Outcomes, past_predictions
from exporter.aggregates.state import SegmentCounts, VersionCounts
from exporter.aggregates.timeline import Timeline
from exporter.settings import Settings


@dataclass(frozen=True)
class Aged:
    """Counts without expired blocks and outcomes; the same object if nothing expired.

    `expired` are the starts of expired coarse blocks, of all rows and of segments. `moved` are the outcomes
    to which their predictions were added, by segment ("" for all rows) and start.
    """

    counts: VersionCounts
    expired: list[int]
    moved: dict[str, dict[int, Outcomes]]


def age(counts: VersionCounts, settings: Settings, now: float, *, settled: bool) -> Aged:
    """Remove expired blocks and outcomes.

    With `settled`, outcomes before the horizon, which rarely change any more, are compressed in memory.
    """
    oldest, oldest_outcome = now - settings.retention_seconds, now - settings.outcome_retention_seconds
    horizon = counts.timeline.horizon(now) if settled else oldest_outcome
    everything = {"": SegmentCounts(counts.timeline, counts.outcomes), **counts.segments}
    first = min(min(part.timeline.coarse, default=now) for part in everything.values())
    first_outcome = min(min(part.outcomes, default=now) for part in everything.values())
    if not settled and first >= oldest and first_outcome >= oldest_outcome:
        return Aged(counts, [], {})
    expired = sorted({s for part in everything.values() for s in part.timeline.coarse if s < oldest})
    outputs = OutputCells.of(counts.layout, counts.reference) if counts.layout is not None else None
    moved: dict[str, dict[int, Outcomes]] = {}
    kept: dict[str, SegmentCounts] = {}
    for name, part in everything.items():
        gone = {start: block for start, block in part.timeline.coarse.items() if start < oldest}
        if gone and counts.layout is not None and outputs is not None:
            moved[name] = _with_past(counts.layout, outputs, part.outcomes, gone)
        outcomes = {
            hour: counted.packed() if hour < horizon else counted
            for hour, counted in (part.outcomes | moved.get(name, {})).items()
            if hour >= oldest_outcome
        }
        coarse = {start: block for start, block in part.timeline.coarse.items() if start >= oldest}
        kept[name] = SegmentCounts(Timeline(settings, part.timeline.fine, coarse), outcomes)
    whole = kept.pop("")
    aged = replace(counts, timeline=whole.timeline, outcomes=whole.outcomes, segments=kept)
    return Aged(aged, expired, moved)


def _with_past(
    layout: OutcomeLayout,
    outputs: OutputCells,
    outcomes: Mapping[int, Outcomes],
    blocks: Mapping[int, Block],
) -> dict[int, Outcomes]:
    """Outcomes of the blocks' hours with the blocks' counts of predictions, by start."""
    moved = {}
    for start, block in blocks.items():
        past = past_predictions(layout, outputs.take(block.counts.astype(np.int64)))
        moved[start] = outcomes[start] + past if start in outcomes else past
    return moved

"""Count a batch's rows by block of their version: (counts, batch) -> Placed -> BatchCounts. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from exporter.aggregates.block import Block, fold
from exporter.aggregates.labelled_rows import place_scores
from exporter.aggregates.outcomes import Outcomes, fold_predictions
from exporter.aggregates.segments import coarse_starts, fold_segments
from exporter.aggregates.state import VersionCounts
from exporter.reference.binning import Binned
from exporter.reference.classes import Outputs
from exporter.settings import Settings
from exporter.typing import Floats, Ints


@dataclass(frozen=True)
class BatchCounts:
    """Counts of a batch's rows in the bins of one reference.

    `blocks` are by start, coarse ones before the timeline's horizon. `segments` are (segment name, start of a
    coarse block, counts). `scores` are outcomes by start of a coarse block, which hold the scores of
    predictions without labels. `starts` (rows,) are of each row's block.
    """

    reference_id: int
    blocks: dict[int, Block]
    segments: list[tuple[str, int, Block]]
    scores: dict[int, Outcomes]
    starts: Ints


@dataclass(frozen=True)
class Placed:
    """Rows of a batch in the bins of one reference, of which all or some can be counted.

    `latency` (rows,) in seconds is NaN for rows without one, None if no row has one. `scores` (rows,) are
    positions in the traffic of the outcomes' layout, -1 for rows without a score; None if scores are not
    counted. With the bins, a value takes 13 bytes.
    """

    reference_id: int
    binned: Binned
    latency: Floats | None
    scores: Ints | None

    def take(self, rows: Ints) -> Placed:
        """Select rows by number."""
        return replace(
            self,
            binned=self.binned.take(rows),
            latency=self.latency[rows] if self.latency is not None else None,
            scores=self.scores[rows] if self.scores is not None else None,
        )


def place_rows(
    counts: VersionCounts, outputs: Outputs, latency: Floats | None, binned: Binned, rows: Ints | None
) -> Placed:
    """Place rows of a batch.

    Args:
        counts: of the version, whose bins and layout the rows are placed in.
        outputs: predictions and scores of the batch.
        latency: (rows,) of the batch, in seconds; None where no row has one.
        binned: (chosen rows) of the batch, in the bins of `counts`.
        rows: (chosen rows,) their numbers; None for all.
    """
    latency = latency if latency is None or rows is None else latency[rows]
    places = place_scores(counts.layout, outputs)
    scores = places if places is None or rows is None else places[rows]
    return Placed(counts.reference_id, binned, latency, scores)


def count_rows(
    counts: VersionCounts, placed: Placed, times: Floats, now: float, settings: Settings
) -> BatchCounts:
    """Count placed rows.

    Args:
        counts: of the version, whose blocks the rows are for and whose bins they are placed in.
        placed: the rows.
        times: (rows,) their resolved times, in seconds since the epoch.
        now: the current time, which sets the horizon between fine and coarse blocks.
        settings: with the lengths of blocks.
    """
    reference, binned = counts.reference, placed.binned
    hours = coarse_starts(times, settings.coarse_seconds)
    scores = {}
    if counts.layout is not None and placed.scores is not None:
        scores = fold_predictions(counts.layout, placed.scores, hours)
    starts = counts.timeline.block_starts(times, now)
    return BatchCounts(
        reference_id=counts.reference_id,
        blocks=fold(reference, binned, starts, placed.latency),
        segments=list(fold_segments(reference, binned, hours)),
        scores=scores,
        starts=starts,
    )

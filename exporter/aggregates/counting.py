"""Counts of a batch's rows by block of their version: (binning, batch) -> Placed -> Counts. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from exporter.aggregates.labelled_rows import place_scores
from exporter.aggregates.outcomes import Outcomes, fold_predictions
from exporter.aggregates.segments import coarse_starts, fold_segments
from exporter.aggregates.timeline import Aggregate, fold
from exporter.fleet import Binning
from exporter.formats.columns import read_numbers, take_rows
from exporter.formats.predictions import Batch
from exporter.reference.binning import Binned
from exporter.settings import Settings
from exporter.typing import Floats, Ints


@dataclass(frozen=True)
class Counts:
    """Counts of rows in the bins of one reference.

    `blocks` by start: fine ones, and coarse ones before the timeline's horizon. `segments` have name and
    start of a coarse block. `scores` by start of a coarse block are the outcomes of predictions whose labels
    are not known: their scores.
    """

    reference_id: int
    blocks: dict[int, Aggregate]
    segments: list[tuple[str, int, Aggregate]]
    scores: dict[int, Outcomes]


@dataclass(frozen=True)
class Placed:
    """Rows of a batch in the bins of one reference; all or some of them can be counted.

    `latency` (rows,) seconds, NaN where there is none; None where no row has one. `scores` (rows,) are places
    in the traffic of the outcomes' layout, -1 where there is none; None where scores are not counted. With
    the bins that is 13 bytes a value.
    """

    reference_id: int
    binned: Binned
    latency: Floats | None
    scores: Ints | None

    def take(self, rows: Ints) -> Placed:
        """The given rows only."""
        return replace(
            self,
            binned=self.binned.take(rows),
            latency=self.latency[rows] if self.latency is not None else None,
            scores=self.scores[rows] if self.scores is not None else None,
        )


def place_rows(binning: Binning, batch: Batch, binned: Binned, rows: Ints | None) -> Placed:
    """Place rows of a batch.

    Args:
        binning: whose bins and layout they are placed in.
        batch: the batch, with one score a row.
        binned: (chosen rows) of it, in the bins of `binning`.
        rows: (chosen rows,) which they are; None for all.
    """
    latency = batch.latency if batch.latency is None or rows is None else batch.latency[rows]
    return Placed(binning.reference_id, binned, latency, _place_scores(binning, batch, rows))


def _place_scores(binning: Binning, batch: Batch, rows: Ints | None) -> Ints | None:
    if binning.layout is None or not binning.layout.classifies or batch.score is None:
        return None
    scores = read_numbers(batch.score)[0]
    if rows is None:
        return place_scores(binning.layout, batch.prediction, scores)
    return place_scores(binning.layout, take_rows(batch.prediction, rows), scores[rows])


def count_rows(binning: Binning, placed: Placed, times: Floats, now: float, settings: Settings) -> Counts:
    """Count placed rows.

    Args:
        binning: whose blocks they are for, and whose bins they are placed in.
        placed: the rows.
        times: (rows,) their resolved times, in seconds since the epoch.
        now: from which the horizon between fine and coarse blocks is.
        settings: the lengths of blocks.
    """
    reference, binned = binning.reference, placed.binned
    hours = coarse_starts(times, settings.coarse_seconds)
    scores = {}
    if binning.layout is not None and placed.scores is not None:
        scores = fold_predictions(binning.layout, placed.scores, hours)
    return Counts(
        reference_id=binning.reference_id,
        blocks=fold(reference, binned, binning.timeline.block_starts(times, now), placed.latency),
        segments=list(fold_segments(reference, binned, hours)),
        scores=scores,
    )

"""What the rows of a batch add to the blocks of their version: (binning, batch) -> Counts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.aggregate import Aggregate, fold
from exporter.arrays import Floats, Ints
from exporter.binning import Binned
from exporter.columns import read_numbers, take_rows
from exporter.config import Settings
from exporter.fleet import Binning
from exporter.outcomes import Outcomes, fold_predictions
from exporter.samples import Batch
from exporter.segments import coarse_starts, fold_segments


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


def count_rows(
    binning: Binning,
    batch: Batch,
    binned: Binned,
    rows: Ints | None,
    times: Floats,
    now: float,
    settings: Settings,
) -> Counts:
    """Count rows of a batch.

    Args:
        binning: whose blocks they are for.
        batch: the batch, with one score a row.
        binned: (chosen rows) of it, in the bins of `binning`.
        rows: (chosen rows,) which they are; None for all.
        times: (chosen rows,) their resolved times, in seconds since the epoch.
        now: from which the horizon between fine and coarse blocks is.
        settings: the lengths of blocks.
    """
    reference = binning.reference
    latency = batch.latency if batch.latency is None or rows is None else batch.latency[rows]
    hours = coarse_starts(times, settings.coarse_seconds)
    return Counts(
        reference_id=binning.reference_id,
        blocks=fold(reference, binned, binning.timeline.block_starts(times, now), latency),
        segments=list(fold_segments(reference, binned, hours)),
        scores=_count_scores(binning, batch, rows, hours),
    )


def _count_scores(binning: Binning, batch: Batch, rows: Ints | None, hours: Ints) -> dict[int, Outcomes]:
    if binning.layout is None or not binning.layout.classifies or batch.score is None:
        return {}
    scores = read_numbers(batch.score)[0]
    if rows is None:
        return fold_predictions(binning.layout, batch.prediction, scores, hours)
    return fold_predictions(binning.layout, take_rows(batch.prediction, rows), scores[rows], hours)

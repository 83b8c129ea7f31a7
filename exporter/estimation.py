"""Quality of predictions whose labels are not there yet: (reference, counts of scores) -> estimates. Pure.

What is known of such rows are counts by predicted class and by the score column's bins. Within a bin, and
between the classes predicted there, they are taken to lie as the reference's rows do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.arrays import Bools, Floats, Ints
from exporter.coverage import cells_of, predictions_by_class
from exporter.measures.estimate import Calibration, Estimate, calibrate, estimate, rake, spread, sum_by_cell
from exporter.outcome_layout import OutcomeLayout

# Share of the predictions that may have no score, or one where the reference has none.
MAX_UNKNOWN = 0.2
MAX_OUTSIDE = 0.05
# Share of the predictions that may be of another class than their scores say in the reference.
MAX_UNLIKE = 0.02
# Of several classes the only question is whether the prediction is right.
MULTICLASS_METRICS = ("accuracy",)


@dataclass(frozen=True)
class Estimator:
    """What the reference teaches of scores; `rows` (2, bins) are its own by prediction and score."""

    layout: OutcomeLayout
    calibration: Calibration
    rows: Floats


def learn(layout: OutcomeLayout, histogram: Floats) -> tuple[Estimator | None, str]:
    """The estimator that a reference allows, or why it allows none.

    Args:
        layout: of the reference.
        histogram: (2, 2, bins) of its own rows, held out from training; weighted where the prevalence is
            declared to be another.
    """
    if not layout.classifies:
        return None, "numbers have no scores to learn from"
    if layout.cell_of_bin is None:
        return None, "the reference has no scores"
    calibration = calibrate(histogram)
    if calibration is None:
        return None, "the reference has too few labelled rows with scores"
    return Estimator(layout, calibration, histogram.sum(axis=0)), ""


def estimate_quality(
    estimator: Estimator, predictions: Ints, effect: float = 1.0
) -> tuple[dict[str, Estimate], str]:
    """Expected quality of predictions, by metric, or why it cannot be told.

    Args:
        estimator: of the reference.
        predictions: (outputs.cells,) counts of them.
        effect: rows per independent row.
    """
    layout = estimator.layout
    index = layout.column("score")
    assert index is not None
    assert layout.cell_of_bin is not None
    by_class, cells = predictions_by_class(layout, predictions), cells_of(layout, predictions, index)
    bins = layout.outputs.columns[index].bins
    by_score, rows = cells[:bins].astype(np.float64), float(by_class.sum())
    if not rows or not by_score.any():
        return {}, "there are no predictions with scores"
    if by_score.sum() < (1 - MAX_UNKNOWN) * rows:
        return {}, "too many predictions have no score"
    learned = sum_by_cell(estimator.rows, layout.cell_of_bin, bins)
    known: Bools = learned.sum(axis=0) > 0
    if by_score[~known].sum() > MAX_OUTSIDE * by_score.sum():
        return {}, "too many scores lie where the reference has none"

    positive = by_class[layout.positive] if layout.task == "binary" else rows
    sides = np.array([rows - positive, positive]) * by_score.sum() / rows
    table = rake(learned[:, _nearest(known)], sides, by_score)
    found = estimate(estimator.calibration, spread(table, estimator.rows, layout.cell_of_bin), effect)
    if layout.task != "binary":
        return {metric: found[metric] for metric in MULTICLASS_METRICS}, ""
    if np.abs(table.sum(axis=1) - sides).sum() / 2 > MAX_UNLIKE * by_score.sum():
        reason = "predictions do not follow from scores as they do in the reference"
        return {"roc_auc": found["roc_auc"]}, reason
    return found, ""


def _nearest(known: Bools) -> Ints:
    """(cells,) the nearest cell that is known."""
    places = np.flatnonzero(known)
    nearest: Ints = places[np.abs(np.arange(len(known))[:, None] - places).argmin(axis=1)]
    return nearest

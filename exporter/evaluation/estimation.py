"""Estimates of the quality of predictions without labels, from their scores. Pure.

The best source is the predictions' fine histogram of scores. Without it, counts by predicted class and by the
score column's bins are used: within a bin, and between the classes predicted in it, rows are assumed to be
distributed as the reference's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.aggregates.outcome_layout import OutcomeLayout
from exporter.evaluation.coverage import cells_of, predictions_by_class
from exporter.measures.cbpe import (
    ESTIMATED_METRICS,
    Calibration,
    Estimate,
    calibrate,
    estimate,
    rake,
    spread,
    sum_by_cell,
)
from exporter.typing import Bools, Floats, Ints

# Largest share of predictions without a score, and with a score outside the reference's range.
MAX_UNKNOWN = 0.2
MAX_OUTSIDE = 0.05
# Largest share of predictions of another class than their scores imply in the reference.
MAX_UNLIKE = 0.02
# With more than two classes, only the correctness of predictions is estimated.
MULTICLASS_METRICS = ("accuracy",)


@dataclass(frozen=True)
class Estimator:
    """Calibration of scores by the reference; `rows` (2, bins) are its rows by prediction and score."""

    layout: OutcomeLayout
    calibration: Calibration
    rows: Floats


def learn(layout: OutcomeLayout, histogram: Floats) -> tuple[Estimator | None, str]:
    """Estimator from a reference's labelled rows, or None and the reason why there is none.

    Args:
        layout: of the reference.
        histogram: (2, 2, bins) of its rows, which were not trained on; weighted if another prevalence is
            declared.
    """
    if not layout.classifies:
        return None, "numbers have no scores to learn from"
    calibration = calibrate(histogram)
    if calibration is None:
        return None, "the reference has too few labelled rows with scores"
    return Estimator(layout, calibration, histogram.sum(axis=0)), ""


def estimate_quality(
    estimator: Estimator, predictions: Ints, traffic: Ints, effect: float = 1.0
) -> tuple[dict[str, Estimate], str]:
    """Expected quality of predictions by metric, and the reason why metrics are missing.

    Args:
        estimator: of the reference.
        predictions: (outputs.cells,) counts of predictions.
        traffic: (2, bins) fine histogram of the predictions that have one.
        effect: rows per independent row.
    """
    layout = estimator.layout
    by_class = predictions_by_class(layout, predictions)
    rows = float(by_class.sum())
    if not rows:
        return {}, "there are no predictions"
    reason = ""
    if traffic.sum() >= (1 - MAX_UNKNOWN) * rows:
        table = traffic.astype(np.float64)
    else:
        table, reason = _spread(estimator, predictions, by_class)
    if table.sum() < (1 - MAX_UNKNOWN) * rows:
        return {}, "too many predictions have no score"
    learned = np.flatnonzero(estimator.rows.sum(axis=0))
    inside = table[:, learned[0] : learned[-1] + 1].sum()
    if inside < (1 - MAX_OUTSIDE) * table.sum():
        return {}, "too many scores are outside the reference's range"
    found = estimate(estimator.calibration, table, effect)
    metrics: tuple[str, ...] = ESTIMATED_METRICS if layout.task == "binary" else MULTICLASS_METRICS
    if reason:
        metrics = tuple(metric for metric in metrics if metric == "roc_auc")
    return {metric: found[metric] for metric in metrics}, reason


def _spread(estimator: Estimator, predictions: Ints, by_class: Floats) -> tuple[Floats, str]:
    """(2, bins) predictions from coarse counts, and the reason if it is unknown which were positive."""
    layout = estimator.layout
    index = layout.column("score")
    if index is None or layout.cell_of_bin is None:
        return np.zeros_like(estimator.rows), ""
    bins = layout.outputs.columns[index].bins
    by_score = cells_of(layout, predictions, index)[:bins].astype(np.float64)
    positive = by_class[layout.positive] if layout.task == "binary" else by_class.sum()
    sides = np.array([by_class.sum() - positive, positive]) * by_score.sum() / by_class.sum()
    learned = sum_by_cell(estimator.rows, layout.cell_of_bin, bins)
    table = rake(learned[:, _nearest(learned.sum(axis=0) > 0)], sides, by_score)
    unlike = np.abs(table.sum(axis=1) - sides).sum() / 2 > MAX_UNLIKE * by_score.sum()
    reason = "predictions do not follow from scores as they do in the reference" if unlike else ""
    return spread(table, estimator.rows, layout.cell_of_bin), reason


def _nearest(known: Bools) -> Ints:
    """(cells,) index of the nearest known cell."""
    places = np.flatnonzero(known)
    nearest: Ints = places[np.abs(np.arange(len(known))[:, None] - places).argmin(axis=1)]
    return nearest

"""(layout, tally) -> every quality figure that the task has, with its 99 % interval. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np

from exporter.arrays import Floats, Ints
from exporter.measures import calibration, classification, intervals, ranking
from exporter.measures.intervals import Interval, effective_rows
from exporter.measures.regression import ErrorSums
from exporter.outcome_layout import LOSS_TERMS, OutcomeLayout
from exporter.outcomes import Tally

METRICS = {
    "binary": (
        "accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier", "calibration_error",
    ),
    "multiclass": (
        "accuracy", "precision_macro", "recall_macro", "f1_macro", "log_loss", "brier", "calibration_error",
    ),
    "regression": ("mae", "rmse", "mape", "r2", "bias"),
}  # fmt: skip
CLASS_METRICS = ("precision", "recall", "f1")
HIGHER_IS_BETTER = frozenset(
    ("accuracy", "precision", "recall", "f1", "precision_macro", "recall_macro", "f1_macro", "roc_auc", "r2")
)
SCORE_METRICS = frozenset(("roc_auc", "log_loss", "brier", "calibration_error"))
# They are sums over rows of which nobody knows any more which score they had.
UNWEIGHTABLE = frozenset(("log_loss", "brier"))


@dataclass(frozen=True)
class Tables:
    """Counts of a tally, each row by its weight, and by its weight's square: what rows are worth.

    `confusion` (classes + 1, classes + 1) and `histogram` (2, 2, bins) as in the layout. `plain`: every
    weight is 1. Of several classes a weighted histogram is not known: it is all NaN.
    """

    confusion: Floats
    confusion_squares: Floats
    histogram: Floats
    histogram_squares: Floats
    plain: bool = True


def plain_tables(found: Tally) -> Tables:
    """Every row counts as one."""
    confusion, histogram = found.confusion.astype(np.float64), found.histogram.astype(np.float64)
    return Tables(confusion, confusion, histogram, histogram)


def binary_tables(layout: OutcomeLayout, found: Tally, weights: Floats) -> Tables:
    """Rows by weights that depend on label, prediction and score.

    Args:
        layout: of the tally, binary.
        found: the tally.
        weights: (2, 2, bins + 1), the last one of rows without a score; or what broadcasts to it.
    """
    quarter = _side(layout)
    unscored = _quarters(found.confusion, quarter) - found.histogram.sum(axis=2)
    rows = np.concatenate([found.histogram, np.maximum(unscored, 0)[:, :, None]], axis=2)
    once, twice = rows * weights, rows * weights**2
    total = np.maximum(rows.sum(axis=2), 1)

    def spread(table: Floats) -> Floats:
        mean = table.sum(axis=2) / total  # of a row, by label and prediction
        spread_out: Floats = found.confusion * mean[quarter[:, None], quarter]
        return spread_out

    return Tables(spread(once), spread(twice), once[:, :, :-1], twice[:, :, :-1], plain=False)


def class_tables(found: Tally, weights: Floats) -> Tables:
    """Rows by weights (classes + 1,) of the predicted class."""
    unknown = np.full(found.histogram.shape, np.nan)
    return Tables(found.confusion * weights, found.confusion * weights**2, unknown, unknown, plain=False)


def _side(layout: OutcomeLayout) -> Ints:
    """(classes + 1,) 1 for the positive class, 0 for all others."""
    side: Ints = (np.arange(layout.sides) == layout.positive).astype(np.int64)
    return side


def _quarters(confusion: Floats | Ints, side: Ints) -> Floats:
    """(classes, classes) -> (2, 2): label positive, prediction positive."""
    table: Floats = np.zeros((2, 2))
    np.add.at(table, (side[:, None], side), confusion)
    return table


def measure(layout: OutcomeLayout, found: Tally, tables: Tables, effect: float = 1.0) -> dict[str, Interval]:
    """The figures that there are, by metric.

    Args:
        layout: of the tally.
        found: labelled rows.
        tables: their counts, plain or weighted.
        effect: rows per independent row, at least 1.
    """
    if layout.task == "binary":
        figures = _binary(layout, found, tables, effect) | _scored(layout, found, tables, effect)
    elif layout.classifies:
        figures = _multiclass(layout, found, tables, effect) | _scored(layout, found, tables, effect)
    else:
        figures = _regression(layout, found, effect)
    return {metric: figure for metric, figure in figures.items() if all(map(isfinite, figure))}


def measure_classes(
    layout: OutcomeLayout, tables: Tables, effect: float = 1.0
) -> list[tuple[str, str, Interval]]:
    """(class, metric, figure) for the classes of the layout that occur."""
    shares = _class_shares(layout, tables, effect)
    return [
        (layout.classes[index], metric, figure)
        for metric in CLASS_METRICS
        for index, figure in enumerate(shares[metric])
        if isfinite(figure.value)
    ]


def _accuracy(found: Tally, tables: Tables, effect: float) -> Interval:
    share = classification.accuracy(tables.confusion)
    if tables.plain and found.rows:  # knows also of classes that have no place of their own
        share = found.matches / found.rows
    rows = effective_rows(tables.confusion.sum(), tables.confusion_squares.sum())
    return intervals.wilson(share, float(rows) / effect)


def _binary(layout: OutcomeLayout, found: Tally, tables: Tables, effect: float) -> dict[str, Interval]:
    shares = _class_shares(layout, tables, effect)
    figures = {metric: shares[metric][layout.positive] for metric in CLASS_METRICS}
    (negatives, positives), (negatives2, positives2) = (
        table.sum(axis=1) for table in (tables.histogram, tables.histogram_squares)
    )
    figures["roc_auc"] = intervals.roc_auc(
        float(ranking.roc_auc(positives, negatives)),
        ranking.roc_auc_variance(positives, negatives, positives2, negatives2) * effect,
        min(
            float(effective_rows(positives.sum(), positives2.sum())),
            float(effective_rows(negatives.sum(), negatives2.sum())),
        )
        / effect,
    )
    return {"accuracy": _accuracy(found, tables, effect)} | figures


def _multiclass(layout: OutcomeLayout, found: Tally, tables: Tables, effect: float) -> dict[str, Interval]:
    by_class: dict[str, Callable[[Floats], Floats]] = {
        "precision": classification.precision,
        "recall": classification.recall,
        "f1": classification.f1,
    }
    shares = _class_shares(layout, tables, effect)
    there = classification.occurring(tables.confusion)
    there[-1] = False  # what all other classes share is no class
    variance = classification.macro_f1_variance(tables.confusion, tables.confusion_squares, there) * effect
    figures = {"accuracy": _accuracy(found, tables, effect)}
    for metric, measured in by_class.items():
        figures[f"{metric}_macro"] = intervals.macro(
            classification.macro(measured(tables.confusion), there),
            [figure for figure in shares[metric] if isfinite(figure.value)],
            int(there.sum()),
            variance if metric == "f1" else 0.0,
        )
    return figures


def _class_shares(layout: OutcomeLayout, tables: Tables, effect: float) -> dict[str, list[Interval]]:
    """Figures of each class of the layout, by metric."""
    confusion, squares = tables.confusion, tables.confusion_squares
    columns = effective_rows(confusion.sum(axis=0), squares.sum(axis=0)) / effect
    lines = effective_rows(confusion.sum(axis=1), squares.sum(axis=1)) / effect
    either = (table.sum(axis=0) + table.sum(axis=1) - np.diagonal(table) for table in (confusion, squares))
    unions = effective_rows(*either) / effect
    precision, recall = classification.precision(confusion), classification.recall(confusion)
    f1 = classification.f1(confusion)
    places = range(len(layout.classes))
    return {
        "precision": [intervals.wilson(float(precision[k]), float(columns[k])) for k in places],
        "recall": [intervals.wilson(float(recall[k]), float(lines[k])) for k in places],
        "f1": [intervals.f1(float(f1[k]), float(unions[k])) for k in places],
    }


def _scored(layout: OutcomeLayout, found: Tally, tables: Tables, effect: float) -> dict[str, Interval]:
    if not layout.probabilities:
        return {}
    figures = {}
    if tables.plain and found.scored:
        sums = dict(zip(LOSS_TERMS, found.sums, strict=True))
        for metric in ("log_loss", "brier"):
            mean = sums[metric] / found.scored
            variance = float(sums[f"{metric}2"] / found.scored - mean**2) / found.scored
            figures[metric] = intervals.mean(float(mean), variance * effect, lowest=0.0)
    plain: Ints = found.histogram.sum(axis=(0, 1))
    rows, positives = tables.histogram.sum(axis=(0, 1)), tables.histogram[1].sum(axis=0)
    if np.isfinite(rows).all() and rows.any():
        mean_score = np.divide(found.scores, plain, out=np.zeros(len(plain)), where=plain > 0)
        groups = calibration.equal_groups(rows)
        worth = float(effective_rows(rows.sum(), tables.histogram_squares.sum()))
        figures["calibration_error"] = intervals.calibration_error(
            calibration.sum_groups(groups, positives),
            calibration.sum_groups(groups, rows),
            calibration.sum_groups(groups, rows * mean_score),
            effect * float(rows.sum()) / worth,
        )
    return figures


def _regression(layout: OutcomeLayout, found: Tally, effect: float) -> dict[str, Interval]:
    sums = ErrorSums(found.rows, found.zeros, found.sums)
    unit = 2.0**layout.unit
    figures = {
        "mae": intervals.mean(sums.mae * unit, sums.mae_variance * effect * unit**2, lowest=0.0),
        "rmse": intervals.root(sums.rmse * unit, sums.mse_variance * effect * unit**4),
        "mape": intervals.mean(sums.mape, sums.mape_variance * effect, lowest=0.0),
        "bias": intervals.mean(sums.bias * unit, sums.bias_variance * effect * unit**2),
    }
    r2 = intervals.mean(sums.r2, sums.r2_variance * effect)
    figures["r2"] = r2._replace(upper=max(min(r2.upper, 1.0), r2.value))
    return figures

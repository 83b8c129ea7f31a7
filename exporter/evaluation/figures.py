"""Quality figures of a task from labelled rows, with 99 % intervals. Pure.

Figures are computed independently: one that cannot be computed is absent, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import inf, isfinite, ldexp, sqrt
from typing import TypeAlias

import numpy as np

from exporter.aggregates.outcome_layout import LOSS_TERMS, OutcomeLayout
from exporter.aggregates.outcomes import Tally
from exporter.evaluation.weighting import Tables
from exporter.measures import calibration, classification, intervals, ranking
from exporter.measures.exact_sum import GRID_BITS
from exporter.measures.intervals import NO_FIGURE, Interval, effective_rows
from exporter.measures.regression import ErrorSums
from exporter.typing import Floats, Ints

QUALITY_METRICS = {
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
# These are sums over rows, whose scores are no longer known.
UNWEIGHTABLE = frozenset(("log_loss", "brier"))
# Mean absolute error, in the labels' unit, below which the grid of the summed errors affects it.
MIN_ERROR = 2.0 ** (6 - GRID_BITS)

# Functions that compute the figures of a task, by metric.
_Figures: TypeAlias = dict[str, Callable[[], Interval]]


@dataclass(frozen=True)
class Measured:
    """Figures by metric, and reasons for absent ones by metric."""

    figures: dict[str, Interval]
    absent: dict[str, str]


def measure(layout: OutcomeLayout, found: Tally, tables: Tables, effect: float = 1.0) -> dict[str, Interval]:
    """Figures by metric, without absent ones; the arguments are those of `measure_each`."""
    return measure_each(layout, found, tables, effect).figures


def measure_each(
    layout: OutcomeLayout,
    found: Tally,
    tables: Tables,
    effect: float = 1.0,
    only: Collection[str] | None = None,
) -> Measured:
    """Figures of the task by metric, and the reasons for absent ones.

    Args:
        layout: of the tally.
        found: labelled rows.
        tables: counts of the rows, plain or weighted.
        effect: rows per independent row, at least 1.
        only: metrics that are wanted; None: all of the task.
    """
    if layout.task == "binary":
        of_task = _binary(layout, found, tables, effect) | _scored(layout, found, tables, effect)
    elif layout.classifies:
        of_task = _multiclass(layout, found, tables, effect) | _scored(layout, found, tables, effect)
    else:
        of_task = _regression(layout, found, effect)
    figures, absent = {}, {}
    for metric in QUALITY_METRICS[layout.task]:
        if only is not None and metric not in only:
            continue
        try:
            figure = of_task[metric]() if metric in of_task else NO_FIGURE
        except (ArithmeticError, ValueError) as error:
            absent[metric] = f"it cannot be computed: {error}"
            continue
        if all(map(isfinite, figure)):
            figures[metric] = figure
        else:
            absent[metric] = _why_absent(metric, found)
    return Measured(figures, absent)


def _why_absent(metric: str, found: Tally) -> str:
    if metric == "r2" and found.rows:
        return "all labels are equal"
    if metric == "mape" and found.rows:
        return "every label is 0"
    if metric in ("mae", "rmse", "bias") and found.rows:
        return "errors are too small, relative to the spread of the reference's labels"
    return "no rows to compute it from"


def measure_classes(
    layout: OutcomeLayout, tables: Tables, effect: float = 1.0
) -> list[tuple[str, str, Interval]]:
    """(class, metric, figure) of the classes that occur."""
    return [
        (layout.classes[index], metric, figure)
        for metric in CLASS_METRICS
        for index, figure in enumerate(_class_shares(layout, tables, effect, metric))
        if isfinite(figure.value)
    ]


def _accuracy(found: Tally, tables: Tables, effect: float) -> Interval:
    share = classification.accuracy(tables.confusion)
    if tables.plain and found.rows:  # includes classes without a place of their own
        share = found.matches / found.rows
    rows = effective_rows(tables.confusion.sum(), tables.confusion_squares.sum())
    return intervals.wilson(share, float(rows) / effect)


def _binary(layout: OutcomeLayout, found: Tally, tables: Tables, effect: float) -> _Figures:
    def of_positive(metric: str) -> Callable[[], Interval]:
        return lambda: _class_shares(layout, tables, effect, metric)[layout.positive]

    return {
        "accuracy": lambda: _accuracy(found, tables, effect),
        **{metric: of_positive(metric) for metric in CLASS_METRICS},
        "roc_auc": lambda: _roc_auc(tables, effect),
    }


def _roc_auc(tables: Tables, effect: float) -> Interval:
    (negatives, positives), (negatives2, positives2) = (
        table.sum(axis=1) for table in (tables.histogram, tables.histogram_squares)
    )
    return intervals.roc_auc(
        float(ranking.roc_auc(positives, negatives)),
        ranking.roc_auc_variance(positives, negatives, positives2, negatives2) * effect,
        min(
            float(effective_rows(positives.sum(), positives2.sum())),
            float(effective_rows(negatives.sum(), negatives2.sum())),
        )
        / effect,
    )


def _multiclass(layout: OutcomeLayout, found: Tally, tables: Tables, effect: float) -> _Figures:
    def of_classes(metric: str) -> Callable[[], Interval]:
        return lambda: _macro(layout, tables, effect, metric)

    return {
        "accuracy": lambda: _accuracy(found, tables, effect),
        **{f"{metric}_macro": of_classes(metric) for metric in CLASS_METRICS},
    }


def _macro(layout: OutcomeLayout, tables: Tables, effect: float, metric: str) -> Interval:
    by_class: dict[str, Callable[[Floats], Floats]] = {
        "precision": classification.precision,
        "recall": classification.recall,
        "f1": classification.f1,
    }
    shares = _class_shares(layout, tables, effect, metric)
    there = classification.occurring(tables.confusion)
    there[-1] = False  # the place of all other classes
    variance = classification.macro_f1_variance(tables.confusion, tables.confusion_squares, there) * effect
    return intervals.macro(
        classification.macro(by_class[metric](tables.confusion), there),
        [figure for figure in shares if isfinite(figure.value)],
        int(there.sum()),
        variance if metric == "f1" else 0.0,
    )


def _class_shares(layout: OutcomeLayout, tables: Tables, effect: float, metric: str) -> list[Interval]:
    """The metric of each class of the layout."""
    confusion, squares = tables.confusion, tables.confusion_squares
    interval: Callable[[float, float], Interval] = intervals.wilson
    if metric == "precision":
        shares = classification.precision(confusion)
        rows = effective_rows(confusion.sum(axis=0), squares.sum(axis=0))
    elif metric == "recall":
        shares = classification.recall(confusion)
        rows = effective_rows(confusion.sum(axis=1), squares.sum(axis=1))
    else:
        shares, interval = classification.f1(confusion), intervals.f1
        either = (t.sum(axis=0) + t.sum(axis=1) - np.diagonal(t) for t in (confusion, squares))
        rows = effective_rows(*either)
    return [interval(float(shares[k]), float(rows[k]) / effect) for k in range(len(layout.classes))]


def _scored(layout: OutcomeLayout, found: Tally, tables: Tables, effect: float) -> _Figures:
    if not layout.probabilities:
        return {}
    figures: _Figures = {}
    if tables.plain and found.scored:
        figures["log_loss"] = lambda: _mean_loss(found, "log_loss", effect)
        figures["brier"] = lambda: _mean_loss(found, "brier", effect)
    rows = tables.histogram.sum(axis=(0, 1))
    if np.isfinite(rows).all() and rows.any():
        figures["calibration_error"] = lambda: _calibration_error(found, tables, effect)
    return figures


def _mean_loss(found: Tally, metric: str, effect: float) -> Interval:
    sums = dict(zip(LOSS_TERMS, found.sums, strict=True))
    mean = sums[metric] / found.scored
    variance = float(sums[f"{metric}2"] / found.scored - mean**2) / found.scored
    return intervals.mean(float(mean), variance * effect, lowest=0.0)


def _calibration_error(found: Tally, tables: Tables, effect: float) -> Interval:
    plain: Ints = found.histogram.sum(axis=(0, 1))
    rows, positives = tables.histogram.sum(axis=(0, 1)), tables.histogram[1].sum(axis=0)
    mean_score = np.divide(found.scores, plain, out=np.zeros(len(plain)), where=plain > 0)
    groups = calibration.equal_groups(rows)
    worth = float(effective_rows(rows.sum(), tables.histogram_squares.sum()))
    return intervals.calibration_error(
        calibration.sum_groups(groups, positives),
        calibration.sum_groups(groups, rows),
        calibration.sum_groups(groups, rows * mean_score),
        effect * float(rows.sum()) / worth,
    )


def _regression(layout: OutcomeLayout, found: Tally, effect: float) -> _Figures:
    sums, unit = ErrorSums(found.rows, found.zeros, found.sums), layout.unit
    # Errors smaller than the grid are unknown.
    told = found.matches == found.rows or sums.mae >= MIN_ERROR

    def in_labels_unit(figure: Callable[[], Interval]) -> Callable[[], Interval]:
        # Scaled at last: powers of the unit, as in variances, may overflow.
        return lambda: intervals.scaled(figure(), unit) if told else NO_FIGURE

    def r2() -> Interval:
        figure = intervals.mean(sums.r2, sums.r2_variance * effect)
        return figure._replace(upper=max(min(figure.upper, 1.0), figure.value))

    return {
        "mae": in_labels_unit(lambda: intervals.mean(sums.mae, sums.mae_variance * effect, lowest=0.0)),
        "rmse": in_labels_unit(lambda: intervals.root(sums.rmse, sums.mse_variance * effect)),
        "mape": lambda: intervals.mean(sums.mape, sums.mape_variance * effect, lowest=0.0),
        "r2": r2,
        "bias": in_labels_unit(lambda: intervals.mean(sums.bias, sums.bias_variance * effect)),
    }


def label_deviation(layout: OutcomeLayout, found: Tally | None) -> float:
    """Standard deviation of numeric labels, or the unit of labels if there are none.

    Infinite on overflow.
    """
    deviation = 1.0
    if found is not None:
        deviation = sqrt(ErrorSums(found.rows, found.zeros, found.sums).label_variance)
    try:
        return ldexp(deviation, layout.unit)
    except OverflowError:
        return inf

"""Baselines of quality metrics, and tolerances for being worse than them. Pure.

The baseline of a metric is the first of: the figure of the reference's own predictions and labels, unless the
model was trained on them (an area of 1.0 in training may be 0.61 in use); the source run's metric of the same
meaning; the configured value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Literal

from exporter.evaluation.figures import HIGHER_IS_BETTER, QUALITY_METRICS
from exporter.measures.intervals import Interval, absolute, difference, known

BaselineSource = Literal["reference", "run", "configuration"]

TRAINING_SPLITS = ("train", "training")

# Names under which runs log a metric, without the prefix that names the rows.
_NAMES = {
    "accuracy": ("accuracy", "accuracy_score"),
    "precision": ("precision", "precision_score"),
    "recall": ("recall", "recall_score", "sensitivity", "true_positive_rate"),
    "f1": ("f1", "f1_score"),
    "precision_macro": ("precision_macro", "macro_precision", "precision_score_macro"),
    "recall_macro": ("recall_macro", "macro_recall", "recall_score_macro", "balanced_accuracy"),
    "f1_macro": ("f1_macro", "macro_f1", "f1_score_macro"),
    "roc_auc": ("roc_auc", "auc", "auroc", "auc_roc", "roc_auc_score"),
    "log_loss": ("log_loss", "logloss"),
    "brier": ("brier", "brier_score", "brier_score_loss", "brier_loss"),
    "calibration_error": ("calibration_error", "expected_calibration_error", "ece"),
    "mae": ("mae", "mean_absolute_error"),
    "rmse": ("rmse", "root_mean_squared_error"),
    "mape": ("mape", "mean_absolute_percentage_error"),
    "r2": ("r2", "r2_score"),
    "bias": ("bias",),
}
_SQUARES = ("mse", "mean_squared_error")  # squares of the RMSE
# Prefixes that name the rows, the preferred first; never those of training rows.
_PREFIXES = ("test_", "holdout_", "heldout_", "", "validation_", "val_", "valid_", "eval_", "evaluation_")
_SHARES = (HIGHER_IS_BETTER | {"calibration_error"}) - {"r2"}

# Default tolerances: absolute for shares, relative to the baseline for losses.
TOLERANCES = {
    "accuracy": 0.03,
    "precision": 0.05,
    "recall": 0.05,
    "f1": 0.05,
    "precision_macro": 0.05,
    "recall_macro": 0.05,
    "f1_macro": 0.05,
    "roc_auc": 0.03,
    "calibration_error": 0.03,
    "r2": 0.05,
}
RELATIVE_TOLERANCES = {"log_loss": 0.1, "brier": 0.1, "mae": 0.1, "rmse": 0.1, "mape": 0.1}
# Tolerance of the bias, whose baseline may be 0, in standard deviations of the labels.
BIAS_TOLERANCE = 0.1


@dataclass(frozen=True)
class Baseline:
    """Expected value of a metric, with an interval of width 0 if it is from a run or the configuration."""

    figure: Interval
    source: BaselineSource


def run_baselines(task: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics that a run logged for rows it was not trained on, by our names.

    >>> run_baselines("regression", {"test_mean_squared_error": 4.0, "training_mae": 0.1, "mae": 1.5})
    {'mae': 1.5, 'rmse': 2.0}
    """
    logged = {re.sub(r"[^a-z0-9]+", "_", name.lower()): value for name, value in metrics.items()}
    found = {}
    for metric in QUALITY_METRICS.get(task, ()):
        named = [(prefix + name, 1.0) for prefix in _PREFIXES for name in _NAMES[metric]]
        if metric == "rmse":
            named += [(prefix + name, 0.5) for prefix in _PREFIXES for name in _SQUARES]
        values = (
            logged[name] if power == 1.0 else sqrt(max(logged[name], 0.0))
            for name, power in named
            if name in logged
        )
        value = next((value for value in values if _is_possible(metric, value)), None)
        if value is not None:
            found[metric] = value
    return found


def _is_possible(metric: str, value: float) -> bool:
    """True if a metric can have the value; an accuracy of 93.5 is a percentage."""
    if not isfinite(value):
        return False
    if metric in _SHARES:
        return 0 <= value <= 1
    return value <= 1 if metric == "r2" else metric == "bias" or value >= 0


def choose_baselines(
    task: str,
    reference: Mapping[str, Interval],
    run_metrics: Mapping[str, float],
    configured: Mapping[str, float],
) -> dict[str, Baseline]:
    """Baselines by metric, for the metrics that have one.

    Args:
        task: of the model.
        reference: figures of the reference's own rows; empty if they may not be used.
        run_metrics: of the source run, by its own names.
        configured: by metric.
    """
    from_run = run_baselines(task, run_metrics)
    chosen = {}
    for metric in QUALITY_METRICS.get(task, ()):
        if metric in reference:
            chosen[metric] = Baseline(reference[metric], "reference")
        elif metric in from_run:
            chosen[metric] = Baseline(known(from_run[metric]), "run")
        elif metric in configured:
            chosen[metric] = Baseline(known(configured[metric]), "configuration")
    return chosen


def tolerance(metric: str, baseline: float, label_deviation: float) -> float:
    """Default tolerance of a metric: how much worse than its baseline it may be, in its own unit.

    Args:
        metric: its name.
        baseline: its baseline.
        label_deviation: standard deviation of numeric labels.
    """
    if metric == "bias":
        return BIAS_TOLERANCE * label_deviation
    if metric in RELATIVE_TOLERANCES:
        return RELATIVE_TOLERANCES[metric] * abs(baseline)
    return TOLERANCES[metric]


def shortfall(metric: str, figure: Interval, baseline: Interval) -> Interval:
    """Interval of how much worse a figure is than its baseline; negative is better.

    >>> round(shortfall("mae", known(1.2), known(1.0)).value, 6)
    0.2
    >>> round(shortfall("bias", known(-1.2), known(1.0)).value, 6)
    0.2
    """
    if metric == "bias":
        return difference(absolute(figure), absolute(baseline))
    return difference(baseline, figure) if metric in HIGHER_IS_BETTER else difference(figure, baseline)

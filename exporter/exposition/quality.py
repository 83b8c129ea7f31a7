"""What the quality of a version shows: evaluations by window -> samples.

mlflow_model_quality{model="fraud",model_version="3",metric="recall",window="7d"} 0.81
mlflow_model_quality_degraded{model="fraud",model_version="3",metric="recall",window="7d"} 1
mlflow_model_estimated_quality{model="fraud",model_version="3",metric="recall",window="24h"} 0.78
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite

from exporter.evaluation.comparison import DRIFTED, UNDECIDED
from exporter.evaluation.drift import WindowEvaluation
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.measures.intervals import Interval
from exporter.reference.bins import Column

MAX_METRICS = 16
MAX_CLASS_METRICS = 3

Sample = tuple[str, tuple[str, ...], float]


def count_quality_series(windows: int, classes: int) -> int:
    """How many series the quality of a version may ever need."""
    by_window = MAX_METRICS * 12 + MAX_CLASS_METRICS * classes + 2 + 4
    return windows * by_window + 2 * MAX_METRICS + 1


def quality_samples(
    version: tuple[str, str], evaluations: Sequence[QualityEvaluation], label: Column | None
) -> Iterator[Sample]:
    """Metric, labels and value of each sample; `label` is the reference's column of labels."""
    baselines: dict[str, tuple[float, float]] = {}
    for found in evaluations:
        window = found.window.name
        yield "mlflow_model_window_labels", (*version, window), found.labels
        yield from _finite("mlflow_model_label_coverage_ratio", (*version, window), found.coverage)
        for quality in found.metrics:
            labels = (*version, quality.metric, window)
            baselines[quality.metric] = (quality.baseline, quality.tolerance)
            yield from _interval("mlflow_model_quality", labels, quality.figure)
            yield from _finite("mlflow_model_quality_shortfall", labels, quality.shortfall)
            yield from _finite("mlflow_model_quality_allowance", labels, quality.allowance)
            yield from _verdict("mlflow_model_quality_degraded", labels, quality.degraded)
        for one in found.classes:
            of_class = (*version, one.label, one.metric, window)
            yield from _finite("mlflow_model_class_quality", of_class, one.figure.value)
        for estimate in found.estimates:
            labels = (*version, estimate.metric, window)
            yield from _interval("mlflow_model_estimated_quality", labels, estimate.figure)
            yield from _finite("mlflow_model_estimated_quality_error", labels, estimate.error)
            yield from _finite("mlflow_model_estimated_quality_allowance", labels, estimate.allowance)
            yield from _verdict("mlflow_model_estimated_quality_degraded", labels, estimate.degraded)
        if found.label_drift is not None and label is not None:
            yield from _label_drift(version, label, found.label_drift)
    for metric, (baseline, tolerance) in baselines.items():
        yield from _finite("mlflow_model_quality_baseline", (*version, metric), baseline)
        yield from _finite("mlflow_model_quality_tolerance", (*version, metric), tolerance)


def _label_drift(version: tuple[str, str], label: Column, drift: WindowEvaluation) -> Iterator[Sample]:
    labels = (*version, label.name, label.role, drift.window.name)
    yield from _finite("mlflow_model_drift_score", labels, float(drift.drift_score[0]))
    yield from _finite("mlflow_model_drift_limit", labels, float(drift.drift_limit[0]))
    yield from _finite("mlflow_model_drift_significance", labels, float(drift.drift_significance[0]))
    if drift.verdict[0] != UNDECIDED:
        yield "mlflow_model_drift_detected", labels, int(drift.verdict[0] == DRIFTED)


def _interval(name: str, labels: tuple[str, ...], figure: Interval) -> Iterator[Sample]:
    yield from _finite(name, labels, figure.value)
    yield from _finite(f"{name}_lower", labels, figure.lower)
    yield from _finite(f"{name}_upper", labels, figure.upper)


def _finite(name: str, labels: tuple[str, ...], value: float) -> Iterator[Sample]:
    if isfinite(value):
        yield name, labels, value


def _verdict(name: str, labels: tuple[str, ...], degraded: bool | None) -> Iterator[Sample]:
    if degraded is not None:
        yield name, labels, int(degraded)

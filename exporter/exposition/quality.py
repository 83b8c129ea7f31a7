"""Series of a version's quality.

    mlflow_model_quality{model="fraud",model_version="3",metric="recall",window="24h"} 0.76
    mlflow_model_quality_degraded{model="fraud",model_version="3",metric="recall",window="24h"} 1
    mlflow_model_estimated_quality{model="fraud",model_version="3",metric="recall",window="24h"} 0.78

Quality of labelled predictions, estimates without labels, and drift of the labels.
"""

from __future__ import annotations

from functools import lru_cache

from exporter.evaluation.figures import CLASS_METRICS, QUALITY_METRICS
from exporter.evaluation.model_quality import ClassQuality, Confusion, EstimatedQuality, QualityEvaluation
from exporter.evaluation.quality_verdicts import MetricQuality
from exporter.exposition.columns import DRIFT
from exporter.exposition.metric import VERSION, Metric, MetricOf, count_series
from exporter.exposition.samples import Samples
from exporter.exposition.view import VersionView
from exporter.reference.profile import Reference

MAX_CONFUSED = 10  # classes: the series are their square
MAX_METRICS = max(len(names) for names in QUALITY_METRICS.values())

WINDOWS: tuple[MetricOf[QualityEvaluation, float], ...] = (
    MetricOf(
        "mlflow_model_window_labels",
        "gauge",
        "Labelled predictions within a matured window.",
        (*VERSION, "window"),
        read=lambda found: found.labels,
    ),
    MetricOf(
        "mlflow_model_label_coverage_ratio",
        "gauge",
        "Share of the predictions within a matured window that have a label, from 0 to 1.",
        (*VERSION, "window"),
        read=lambda found: found.coverage,
    ),
)

MATURATION = Metric(
    "mlflow_model_label_maturation_seconds",
    "gauge",
    "Time that labels are given to arrive before a window of quality ends, in seconds; 0 counts "
    "the labels that have arrived.",
    VERSION,
)

QUALITY: tuple[MetricOf[MetricQuality, float | None], ...] = (
    MetricOf(
        "mlflow_model_quality",
        "gauge",
        "Quality within a matured window, by metric.",
        (*VERSION, "metric", "window"),
        read=lambda found: found.figure.value,
    ),
    MetricOf(
        "mlflow_model_quality_lower",
        "gauge",
        "Lower end of the 99 % interval of the quality.",
        (*VERSION, "metric", "window"),
        read=lambda found: found.figure.lower,
    ),
    MetricOf(
        "mlflow_model_quality_upper",
        "gauge",
        "Upper end of the 99 % interval of the quality.",
        (*VERSION, "metric", "window"),
        read=lambda found: found.figure.upper,
    ),
    MetricOf(
        "mlflow_model_quality_shortfall",
        "gauge",
        "Distance of the quality from its baseline; positive is worse, whatever the metric's direction.",
        (*VERSION, "metric", "window"),
        read=lambda found: found.shortfall,
    ),
    MetricOf(
        "mlflow_model_quality_allowance",
        "gauge",
        "Shortfall accepted beyond the tolerance, for natural variation; absent where that is not "
        "known and the verdict is provisional.",
        (*VERSION, "metric", "window"),
        read=lambda found: found.allowance,
    ),
    MetricOf(
        "mlflow_model_quality_degraded",
        "gauge",
        "1 where the shortfall significantly exceeds tolerance and allowance, in two adjacent windows"
        " or by twice as much in one, 0 where not, absent without a verdict.",
        (*VERSION, "metric", "window"),
        read=lambda found: found.degraded,
    ),
)

BASELINES: tuple[MetricOf[MetricQuality, float], ...] = (
    MetricOf(
        "mlflow_model_quality_baseline",
        "gauge",
        "Expected quality of the version: from its reference, its source run or the configuration.",
        (*VERSION, "metric"),
        read=lambda found: found.baseline,
    ),
    MetricOf(
        "mlflow_model_quality_tolerance",
        "gauge",
        "Accepted shortfall of the quality, without natural variation.",
        (*VERSION, "metric"),
        read=lambda found: found.tolerance,
    ),
)

CLASSES: tuple[MetricOf[ClassQuality, float], ...] = (
    MetricOf(
        "mlflow_model_class_quality",
        "gauge",
        "Quality of one class within a matured window, by metric.",
        (*VERSION, "class", "metric", "window"),
        read=lambda found: found.figure.value,
    ),
)

CONFUSION = Metric(
    "mlflow_model_confusion",
    "gauge",
    "Labelled predictions within a matured window by actual and predicted class, where there are at most "
    f"{MAX_CONFUSED}.",
    (*VERSION, "actual", "predicted", "window"),
)

ESTIMATES: tuple[MetricOf[EstimatedQuality, float | None], ...] = (
    MetricOf(
        "mlflow_model_estimated_quality",
        "gauge",
        "Quality within a window as estimated from scores alone, without labels; blind to concept drift.",
        (*VERSION, "metric", "window"),
        read=lambda found: found.figure.value,
    ),
    MetricOf(
        "mlflow_model_estimated_quality_lower",
        "gauge",
        "Lower end of the 99 % band of the estimated quality.",
        (*VERSION, "metric", "window"),
        read=lambda found: found.figure.lower,
    ),
    MetricOf(
        "mlflow_model_estimated_quality_upper",
        "gauge",
        "Upper end of the 99 % band of the estimated quality.",
        (*VERSION, "metric", "window"),
        read=lambda found: found.figure.upper,
    ),
    MetricOf(
        "mlflow_model_estimated_quality_error",
        "gauge",
        "Estimated minus real quality of the matured window, where there are labels.",
        (*VERSION, "metric", "window"),
        read=lambda found: found.error,
    ),
    MetricOf(
        "mlflow_model_estimated_quality_allowance",
        "gauge",
        "Shortfall of the estimate accepted beyond the tolerance, for natural variation; absent where"
        " that is not known and the verdict is provisional.",
        (*VERSION, "metric", "window"),
        read=lambda found: found.allowance,
    ),
    MetricOf(
        "mlflow_model_estimated_quality_degraded",
        "gauge",
        "1 where the estimate is below the baseline by significantly more than tolerance and "
        "allowance, else 0.",
        (*VERSION, "metric", "window"),
        read=lambda found: found.degraded,
    ),
)

QUALITY_CATALOG: tuple[Metric, ...] = (
    *WINDOWS,
    MATURATION,
    *QUALITY,
    *BASELINES,
    *CLASSES,
    CONFUSION,
    *ESTIMATES,
)


@lru_cache(1024)
def count_quality_series(windows: int, classes: int) -> int:
    """Upper bound of the series that `add_quality` adds."""
    by_metric = {"metric": MAX_METRICS, "window": windows}
    by_class = {"class": classes, "metric": len(CLASS_METRICS), "window": windows}
    confused = classes + 1 if classes <= MAX_CONFUSED else 0
    return (
        count_series((*WINDOWS, MATURATION, *QUALITY, *BASELINES, *ESTIMATES), by_metric)
        + count_series(CLASSES, by_class)
        + count_series((CONFUSION,), {"actual": confused, "predicted": confused, "window": windows})
        + count_series(DRIFT, {"window": windows})  # of the labels
    )


def add_quality(samples: Samples, view: VersionView, reference: Reference) -> None:
    """Add the quality of a version, and the drift of its labels; `reference` is the evaluation's."""
    version = (view.model, view.version)
    label = reference.labels.columns[0] if reference.labels is not None else None
    baselines: dict[str, MetricQuality] = {}
    for found in view.quality:
        window = found.window.name
        samples.add_read(WINDOWS, (*version, window), found)
        for quality in found.metrics:
            baselines[quality.metric] = quality
            samples.add_read(QUALITY, (*version, quality.metric, window), quality)
        for one in found.classes:
            samples.add_read(CLASSES, (*version, one.label, one.metric, window), one)
        if found.confusion is not None:
            _add_confusion(samples, version, window, found.confusion)
        for estimate in found.estimates:
            samples.add_read(ESTIMATES, (*version, estimate.metric, window), estimate)
        if found.label_drift is not None and label is not None:
            for metric in DRIFT:
                values, known = metric.read(found.label_drift)
                if known[0]:
                    labels = (*version, label.name, label.role, found.label_drift.window.name)
                    samples.add_one(metric, labels, values[0].item())
    for name, quality in baselines.items():
        samples.add_read(BASELINES, (*version, name), quality)
    if view.quality:
        samples.add_one(MATURATION, version, view.maturation_seconds)


def _add_confusion(samples: Samples, version: tuple[str, str], window: str, confusion: Confusion) -> None:
    """Add the counts of a window; those of other classes only where there are any."""
    *classes, other = confusion.classes
    if len(classes) > MAX_CONFUSED:
        return
    for actual, counts in zip(confusion.classes, confusion.rows.tolist(), strict=True):
        for predicted, rows in zip(confusion.classes, counts, strict=True):
            # A class may have the name of the others: its series would be there twice.
            if other not in (actual, predicted) or (rows and other not in classes):
                samples.add_one(CONFUSION, (*version, actual, predicted, window), rows)

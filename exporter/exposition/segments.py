"""Series of a version's segments.

    mlflow_segment_rows{model="fraud",model_version="3",segment="country=DE",window="1h"} 1204

They have names of their own, or `sum by (model)` would count rows twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from exporter.evaluation.drift import WindowEvaluation
from exporter.evaluation.quality_verdicts import MetricQuality
from exporter.evaluation.segments import SegmentEvaluation
from exporter.exposition.columns import Known, detected, finite
from exporter.exposition.metric import VERSION, Metric, MetricOf, count_series
from exporter.exposition.quality import MAX_METRICS
from exporter.exposition.samples import Samples
from exporter.reference.profile import Reference, Segment

SEGMENT = (*VERSION, "segment")

SEGMENT_ROWS = Metric(
    "mlflow_segment_rows",
    "gauge",
    "Predictions of a segment within a window, in whole coarse blocks.",
    (*SEGMENT, "window"),
)

SEGMENT_DRIFT: tuple[MetricOf[WindowEvaluation, Known], ...] = (
    MetricOf(
        "mlflow_segment_drift_score",
        "gauge",
        "Population stability index of a column of a segment against the reference's rows of that segment.",
        (*SEGMENT, "column", "role", "window"),
        read=lambda found: finite(found.drift_score),
    ),
    MetricOf(
        "mlflow_segment_drift_detected",
        "gauge",
        "1 where a column of a segment has drifted, 0 where it has not, absent without a verdict.",
        (*SEGMENT, "column", "role", "window"),
        read=lambda found: detected(found.verdict),
    ),
)

SEGMENT_QUALITY: tuple[MetricOf[MetricQuality, float | None], ...] = (
    MetricOf(
        "mlflow_segment_quality",
        "gauge",
        "Quality of a segment within a matured window, by metric, in its own unit.",
        (*SEGMENT, "metric", "window"),
        read=lambda found: found.figure.value,
    ),
    MetricOf(
        "mlflow_segment_quality_degraded",
        "gauge",
        "1 where a metric is worse than in the reference's rows of the same segment, 0 where it is not.",
        (*SEGMENT, "metric", "window"),
        read=lambda found: found.degraded,
    ),
)

SEGMENT_CATALOG: tuple[Metric, ...] = (SEGMENT_ROWS, *SEGMENT_DRIFT, *SEGMENT_QUALITY)


@lru_cache(1024)
def count_segment_series(windows: int, columns: int) -> int:
    """Upper bound of the series of one segment."""
    return count_series(SEGMENT_CATALOG, {"window": windows, "column": columns, "metric": MAX_METRICS})


def add_segments(
    samples: Samples,
    version: tuple[str, str],
    reference: Reference,
    evaluations: Sequence[SegmentEvaluation],
    *,
    names: bool,
) -> None:
    """Add the series of segments; without `names` a segment shows the index of its category."""
    for found in evaluations:
        segment = found.segment
        key = (*version, segment.name if names else _index(reference, segment))
        for window in found.drift:
            name = window.window.name
            samples.add_one(SEGMENT_ROWS, (*key, name), window.rows)
            for metric in SEGMENT_DRIFT:
                values, known = metric.read(window)
                for index, column in enumerate(reference.columns):
                    # The segment's own column has one value there, by definition.
                    if known[index] and window.rows and index != segment.column:
                        labels = (*key, column.name, column.role, name)
                        samples.add_one(metric, labels, values[index].item())
        for quality in found.quality:
            for one in quality.metrics:
                samples.add_read(SEGMENT_QUALITY, (*key, one.metric, quality.window.name), one)


def _index(reference: Reference, segment: Segment) -> str:
    place = segment.cell - int(reference.offsets[segment.column])
    return f"{reference.columns[segment.column].name}={place:02d}"

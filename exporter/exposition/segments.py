"""What the segments of a version show: evaluations by segment -> samples.

mlflow_segment_rows{model="fraud",model_version="3",segment="country=DE",window="1h"} 1204
mlflow_segment_quality{model="fraud",model_version="3",segment="country=DE",metric="recall",window="24h"} 0.76
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite

from exporter.evaluation.comparison import DRIFTED, UNDECIDED
from exporter.evaluation.segments import SegmentEvaluation
from exporter.exposition.quality import MAX_METRICS, Sample
from exporter.reference.profile import Reference, Segment


def count_segment_series(windows: int, reference: Reference) -> int:
    """How many series one segment may ever need."""
    return windows * (1 + 2 * len(reference.columns) + 2 * MAX_METRICS)


def segment_samples(
    version: tuple[str, str],
    reference: Reference,
    evaluations: Sequence[SegmentEvaluation],
    *,
    names: bool,
) -> Iterator[Sample]:
    """Metric, labels and value of each sample; without `names` a segment shows the index of its category."""
    for found in evaluations:
        segment = found.segment
        key = (*version, segment.name if names else _index(reference, segment))
        for window in found.drift:
            name = window.window.name
            yield "mlflow_segment_rows", (*key, name), window.rows
            for index, column in enumerate(reference.columns):
                if index == segment.column:  # it has one value there, by definition
                    continue
                labels = (*key, column.name, column.role, name)
                score, verdict = float(window.drift_score[index]), window.verdict[index]
                if window.rows and isfinite(score):
                    yield "mlflow_segment_drift_score", labels, score
                if verdict != UNDECIDED:
                    yield "mlflow_segment_drift_detected", labels, int(verdict == DRIFTED)
        for quality in found.quality:
            for metric in quality.metrics:
                of_metric = (*key, metric.metric, quality.window.name)
                if isfinite(metric.figure.value):
                    yield "mlflow_segment_quality", of_metric, metric.figure.value
                if metric.degraded is not None:
                    yield "mlflow_segment_quality_degraded", of_metric, int(metric.degraded)


def _index(reference: Reference, segment: Segment) -> str:
    place = segment.cell - int(reference.offsets[segment.column])
    return f"{reference.columns[segment.column].name}={place:02d}"

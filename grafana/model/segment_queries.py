"""Queries of the model dashboard on segments."""

from __future__ import annotations

from promql import gauge, highest

from model.queries import WINDOW

ROWS = gauge("mlflow_segment_rows", WINDOW, "segment")
DRIFTED = f"sum by (segment) ({gauge('mlflow_segment_drift_detected', WINDOW, 'segment, column, role')})"
HIGHEST_SCORE = gauge("mlflow_segment_drift_score", WINDOW, "segment")
DEGRADED = f"sum by (segment) ({gauge('mlflow_segment_quality_degraded', WINDOW, 'segment, metric')})"
QUALITY = gauge("mlflow_segment_quality", f"{WINDOW}, metric=${{metric:doublequote}}", "segment")
COLUMN_SCORE = gauge("mlflow_segment_drift_score", f"{WINDOW}, column=${{column:doublequote}}", "segment")
# What the whole has, to see what a segment is part of.
WHOLE_SCORE = gauge("mlflow_model_drift_score", f"{WINDOW}, column=${{column:doublequote}}")
WHOLE_QUALITY = gauge("mlflow_model_quality", f"{WINDOW}, metric=${{metric:doublequote}}")


def largest(figure: str, count: int) -> str:
    """A figure of the segments that had the most rows within the time range."""
    return f"{figure} and on (segment) topk ({count}, {highest(ROWS)})"

"""Queries of the model dashboard on segments."""

from __future__ import annotations

from promql import gauge, highest, joined, matching, or_named

from model.queries import WINDOW

_OF_METRIC = joined(WINDOW, matching("metric"))
_OF_SEGMENT = joined(WINDOW, matching("segment"))

ROWS = gauge("mlflow_segment_rows", WINDOW, "segment")
_DETECTED = gauge("mlflow_segment_drift_detected", WINDOW, "segment, column")
DRIFTED = f"{_DETECTED} == 1"
DEGRADED = f"{gauge('mlflow_segment_quality_degraded', WINDOW, 'segment, metric')} == 1"
HIGHEST_SCORE = gauge("mlflow_segment_drift_score", WINDOW, "segment")
QUALITY = gauge("mlflow_segment_quality", _OF_METRIC, "segment")
WHOLE_QUALITY = gauge("mlflow_model_quality", _OF_METRIC)
# By the whole number below: 2 degraded, 1 drifted, 0 neither, -1 undecided. What is added, less than 1,
# sorts the segments of one state by their highest score, and where they have none by rows.
_PLACE = f"(clamp_max({HIGHEST_SCORE}, 999) / 1000 or {ROWS} / 1e12)"
_JUDGED = f"max by (segment) ({_DETECTED}) or {gauge('mlflow_segment_quality_degraded', WINDOW, 'segment')}"
STATE = " or ".join(
    (
        f"({_PLACE} + 2 and on (segment) {DEGRADED})",
        f"({_PLACE} + 1 and on (segment) {DRIFTED})",
        f"({_PLACE} and on (segment) ({_JUDGED}))",
        f"({_PLACE} - 1)",
    )
)
# The one with most trouble first.
SEGMENTS = or_named(f"sort_desc({STATE})", "segment", "none")


def troubled(figure: str, count: int) -> str:
    """A figure of the segments that had most trouble within the time range."""
    return f"{figure} and on (segment) topk ({count}, {highest(STATE)})"


# In the chosen segment

_SCORES = gauge("mlflow_segment_drift_score", _OF_SEGMENT, "column")
COLUMN_SCORES = _SCORES
COLUMN_VERDICTS = f"{gauge('mlflow_segment_drift_detected', _OF_SEGMENT, 'column')} or (0 * {_SCORES} - 1)"
# What the whole has, to see whether the segment alone drifts.
WHOLE_SCORES = f"{gauge('mlflow_model_drift_score', WINDOW, 'column')} and {_SCORES}"

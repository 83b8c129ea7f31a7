"""Queries of the column dashboard."""

from __future__ import annotations

from promql import gauge, increase, joined, matching, or_blank, rate, series

VERSION = matching("model", "model_version")
_COLUMN = joined(VERSION, matching("column"))
_WINDOW = joined(_COLUMN, matching("window"))

# Every column that has bins, the one furthest beyond its limit first.
_IN_WINDOW = joined(VERSION, matching("window"))
COLUMNS = (
    f"sort_desc(max by (column) ({gauge('mlflow_model_drift_score', _IN_WINDOW, 'column')}"
    f" / {gauge('mlflow_model_drift_limit', _IN_WINDOW, 'column')})"
    f" or 0 * {gauge('mlflow_model_reference_ratio', VERSION, 'column')} - 1)"
)


# Verdicts


def drift(figure: str, by: str = "") -> str:
    """A figure of drift in the chosen window; with `by` = window in all windows."""
    return gauge(f"mlflow_model_drift_{figure}", _COLUMN if by else _WINDOW, by)


def of_day(figure: str) -> str:
    """A figure of change, whose window is a day."""
    return gauge(f"mlflow_model_change_{figure}", _COLUMN)


def check(figure: str) -> str:
    """A figure of data quality by check."""
    return gauge(f"mlflow_model_data_quality_{figure}", _COLUMN, "check")


# 1 drifted, 0 stable, -1 where there is a score but no verdict.
DRIFT = f"{drift('detected')} or (0 * {drift('score')} - 1)"
DRIFT_IN_WINDOWS = f"{drift('detected', 'window')} or (0 * {drift('score', 'window')} - 1)"
# The start of the first verdict that is still bad, of any kind; in milliseconds, as Grafana has times.
SINCE = " or ".join(
    f"1000 * min by (column) ({gauge(f'mlflow_model_{kind}_since_timestamp_seconds', _COLUMN, 'column')})"
    for kind in ("drift", "data_quality", "change")
)
CHANGE = f"{of_day('detected')} or (0 * {of_day('score')} - 1)"
CHECKS = f"sum ({check('degraded')}) or (0 * sum ({check('ratio')}) - 1)"
DISTANCES = gauge("mlflow_model_drift_distance", _WINDOW, "method")


# Distributions

_VALUES = "mlflow_model_values_total"
REFERENCE = gauge("mlflow_model_reference_ratio", _COLUMN, "bin")


def _shares(rows: str) -> str:
    return f"({rows}) / on () group_left () (sum ({rows}) > 0)"


# A window hardly longer than the scrape interval, as in a demonstration, holds too few samples.
LIVE = _shares(
    " or ".join(increase(_VALUES, _COLUMN, time, "bin") for time in ("${window}1ms", "$__rate_interval"))
)
BEFORE = _shares(f"sum by (bin) (increase({series(_VALUES, _COLUMN)}[1h] offset $ago))")
OVER_TIME = _shares(rate(_VALUES, _COLUMN, "bin"))


# Elsewhere

SEGMENT_SCORES = gauge("mlflow_segment_drift_score", _WINDOW, "segment")
SEGMENT_VERDICTS = (
    f"{gauge('mlflow_segment_drift_detected', _WINDOW, 'segment')} or (0 * {SEGMENT_SCORES} - 1)"
)
SEGMENT_ROWS = (
    f"{gauge('mlflow_segment_rows', joined(VERSION, matching('window')), 'segment')} and {SEGMENT_SCORES}"
)
_VERSIONS = matching("model", "column", "window")
VERSION_SCORES = gauge("mlflow_model_drift_score", _VERSIONS, "model_version")
VERSION_RATIOS = f"{VERSION_SCORES} / {gauge('mlflow_model_drift_limit', _VERSIONS, 'model_version')}"
VERSION_VERDICTS = (
    f"{gauge('mlflow_model_drift_detected', _VERSIONS, 'model_version')} or (0 * {VERSION_SCORES} - 1)"
)


def ratio_over_time() -> str:
    """Drift of the column by version, in multiples of the limit."""
    return or_blank(VERSION_RATIOS, VERSION_RATIOS, "model_version", "no score yet")

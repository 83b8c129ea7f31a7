"""Queries of the model dashboard."""

from __future__ import annotations

from promql import gauge, highest, increase, matching, or_blank, or_named, series

VERSION = matching("model", "model_version")
OTHER_VERSIONS = "model=${model:doublequote}, model_version!=${model_version:doublequote}"
WINDOW = f"{VERSION}, window=${{window:doublequote}}"
# An alert about a whole model has no label `model_version`.
ALERT = 'model=${model:doublequote}, model_version=~"|$model_version"'


# Drift

_COLUMN = "column, role"
DRIFT_SCORE = gauge("mlflow_model_drift_score", WINDOW, _COLUMN)
DRIFT_LIMIT = gauge("mlflow_model_drift_limit", WINDOW, _COLUMN)
DRIFT_SIGNIFICANCE = gauge("mlflow_model_drift_significance", WINDOW, _COLUMN)
DRIFT_RATIO = f"{DRIFT_SCORE} / {DRIFT_LIMIT}"
# Joined to the scores, so that a feature without a score in the window gets no row of its own.
IMPORTANCE = f"{gauge('mlflow_model_feature_importance_ratio', VERSION, _COLUMN)} and {DRIFT_SCORE}"
# 1 drifted, 0 stable, -1 where there is a score but not enough rows for a verdict.
DRIFT_VERDICT = f"{gauge('mlflow_model_drift_detected', WINDOW, _COLUMN)} or (0 * {DRIFT_SCORE} - 1)"
COLUMNS_BY_VERDICT = f"sum by (verdict) ({gauge('mlflow_model_columns', WINDOW, 'role, verdict')})"
_DRIFTED = f"""sum ({gauge("mlflow_model_columns", f'{WINDOW}, verdict="drifted"', "role")})"""
_JUDGED = f"""sum ({gauge("mlflow_model_columns", f'{WINDOW}, verdict!="undecided"', "role, verdict")})"""
# -1 where no column has a verdict: that is not the same as none has drifted.
COLUMNS_DRIFTED = f"({_DRIFTED} and {_JUDGED} > 0) or (0 * {_DRIFTED} - 1)"

# Every column that has bins, the one furthest beyond its limit first.
COLUMNS = (
    f"sort_desc(max by (column) ({DRIFT_RATIO}) "
    f"or 0 * {gauge('mlflow_model_reference_ratio', VERSION, 'column')} - 1)"
)


def worst(count: int) -> str:
    """Score over limit of the columns where it was largest within the time range."""
    found = f"(({DRIFT_RATIO}) and on ({_COLUMN}) topk ({count}, {highest(DRIFT_RATIO)}))"
    return or_blank(found, DRIFT_RATIO, "column", "no score yet")


def column_gauge(metric: str) -> str:
    """A drift figure of the chosen column."""
    return gauge(metric, f"{WINDOW}, column=${{column:doublequote}}")


def day_gauge(metric: str) -> str:
    """A figure of the chosen column for the window of a day, whichever window is chosen."""
    return gauge(metric, f'{VERSION}, column=${{column:doublequote}}, window=~"24h|1d"')


def output_ratio(role: str) -> str:
    """Score over limit of predictions and scores."""
    selector = f'{WINDOW}, role="{role}"'
    score = gauge("mlflow_model_drift_score", selector, "column")
    return f"{score} / {gauge('mlflow_model_drift_limit', selector, 'column')}"


# Distributions


def reference_shares(column: str) -> str:
    """Share of the reference in each bin of the column that the selector names."""
    return gauge("mlflow_model_reference_ratio", f"{VERSION}, {column}", "bin")


def live_shares(column: str) -> str:
    """Share of the window's live rows in each bin, over all replicas; nothing where there were no rows.

    A window hardly longer than the scrape interval, as in a demonstration, holds too few samples for an
    increase: the shortest range that holds enough takes its place.
    """
    selector = f"{VERSION}, {column}"
    rows = " or ".join(
        increase("mlflow_model_values_total", selector, time, "bin")
        for time in (
            "${window}1ms",
            "$__rate_interval",
        )  # before there is any data, a window is no time at all
    )
    return f"({rows}) / on () group_left () (sum ({rows}) > 0)"


# Data quality

_CHECK = "column, role, check"
QUALITY_RATIO = gauge("mlflow_model_data_quality_ratio", VERSION, _CHECK)
QUALITY_REFERENCE = gauge("mlflow_model_data_quality_reference_ratio", VERSION, _CHECK)
QUALITY_WINDOW = gauge("mlflow_model_data_quality_window_seconds", VERSION, _CHECK)
QUALITY_VERDICT = (
    f"{gauge('mlflow_model_data_quality_degraded', VERSION, _CHECK)} or (0 * {QUALITY_RATIO} - 1)"
)
CHECKS_DEGRADED = f"sum ({gauge('mlflow_model_data_quality_degraded', VERSION, _CHECK)})"


def most_changed(count: int) -> str:
    """Growth over the reference of the checks that grew most within the time range."""
    change = f"{QUALITY_RATIO} - {QUALITY_REFERENCE}"
    return f"({change}) and on ({_CHECK}) topk ({count}, {highest(change)})"


# Version, aliases, alerts

_VERSION_EXISTS = gauge("mlflow_model_version_info", VERSION)
ALIASES = or_named(gauge("mlflow_model_alias_info", VERSION, "alias"), "alias", "no alias")


def _info(selector: str) -> str:
    return gauge("mlflow_model_version_info", f"{VERSION}, {selector}")


# Natural variation: 2 where the reference tells it, 1 where live days have taught it, 0 where neither,
# -1 without a reference.
REFERENCE_STATE = (
    f"""2 * {_info('variation="reference"')} or {_info('variation="live"')} """
    f"""or 0 * {_info('reference_digest!=""')} """
    f"or 0 * {_VERSION_EXISTS} - 1"
)
VERSION_INFO = gauge(
    "mlflow_model_version_info", VERSION, "run_id, task, reference_source, reference_digest, variation"
)
SINCE_PREDICTION = f"time() - {gauge('mlflow_model_last_prediction_timestamp_seconds', VERSION)}"
SINCE_EVALUATION = f"time() - {gauge('mlflow_exporter_last_evaluation_timestamp_seconds', VERSION)}"


def _alerts(state: str, severity: str = 'severity!="none"') -> str:
    """Alerts of this version, of the whole model, and of the exporter itself, which have no model."""
    told = f'alertstate="{state}", {severity}'
    own, exporters = f"{ALERT}, {told}", f'model="", alertname=~"MLflow.+", {told}'
    return f"({series('ALERTS', own)} or {series('ALERTS', exporters)})"


_TOLD = 'severity=~"warning|critical"'
ALERTS_FIRING = f"count (group by (alertname, column, check) {_alerts('firing', _TOLD)}) or vector(0)"
# 2 firing, 1 pending, and 0 of a series that says so where there is no alert.
ALERTS_OVER_TIME = or_named(
    f"max by (alertname, column) (2 * {_alerts('firing')} or {_alerts('pending')})", "alertname", "no alert"
)

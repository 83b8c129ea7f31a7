"""Queries of the model dashboard."""

from __future__ import annotations

from promql import gauge, highest, matching, or_named, series

VERSION = matching("model", "model_version")
OTHER_VERSIONS = "model=${model:doublequote}, model_version!=${model_version:doublequote}"
WINDOW = f"{VERSION}, window=${{window:doublequote}}"
# An alert about a whole model has no label `model_version`.
ALERT = 'model=${model:doublequote}, model_version=~"|$model_version"'


# Columns

_COLUMN = "column, role"
_CHECK = "column, role, check"
_SCORE = gauge("mlflow_model_drift_score", WINDOW, "column")
DRIFT_RATIO = f"{_SCORE} / {gauge('mlflow_model_drift_limit', WINDOW, 'column')}"
_DETECTED = gauge("mlflow_model_drift_detected", WINDOW, "column")
_DEGRADED = gauge("mlflow_model_data_quality_degraded", VERSION, "column")
_MISSING = gauge("mlflow_model_data_quality_ratio", f'{VERSION}, check="missing"', "column")
_HAS_BINS = gauge("mlflow_model_reference_ratio", VERSION, "column")
# From the lowest value on: 3 drifted, 2 degraded, 1 all missing, 0 stable, -1 undecided, -2 without a score.
# What is added, less than 1, is a thousandth of score over limit: it sorts those of one state.
_PLACE = f"clamp_max({DRIFT_RATIO}, 999) / 1000"
STATE = " or ".join(
    (
        f"({_PLACE} + 3 and {_DETECTED} == 1)",
        f"(0 * ({_MISSING} > 0.999) + 1)",
        f"(0 * ({_DEGRADED} == 1) + 2)",
        f"({_PLACE} and {_DETECTED} == 0)",
        f"({_PLACE} - 1)",
        f"(0 * {_HAS_BINS} - 2)",
    )
)
# Joined to the columns that have bins, so that no other row appears.
COLUMN_RATIO = DRIFT_RATIO
IMPORTANCE = gauge("mlflow_model_feature_importance_ratio", VERSION, "column")
FAILING = f"{gauge('mlflow_model_data_quality_degraded', VERSION, 'column, check')} == 1"
FAILING_ROWS = gauge("mlflow_model_data_quality_ratio", VERSION, "column")


def _since(by: str, *kinds: str) -> str:
    found = " or ".join(
        f"label_replace({gauge(f'mlflow_model_{kind}_since_timestamp_seconds', VERSION, labels)},"
        f' "kind", "{kind}", "", "")'
        for kind, labels in (
            ("drift", _COLUMN),
            ("change", _COLUMN),
            ("data_quality", _CHECK),
            ("quality", "metric"),
            ("estimated_quality", "metric"),
        )
        if kind in kinds
    )
    return f"1000 * min by ({by}) ({found})"


# In milliseconds, as Grafana has times.
COLUMN_SINCE = _since("column", "drift", "change", "data_quality")
SINCE = _since("model", "drift", "change", "data_quality", "quality", "estimated_quality")


def worst(count: int) -> str:
    """Score over limit of the columns where it was largest within the time range."""
    return f"({DRIFT_RATIO}) and on (column) topk ({count}, {highest(DRIFT_RATIO)})"


# Verdicts

_DRIFTED = f"""sum ({gauge("mlflow_model_columns", f'{WINDOW}, verdict="drifted"', "role")})"""
_JUDGED = f"""sum ({gauge("mlflow_model_columns", f'{WINDOW}, verdict!="undecided"', "role, verdict")})"""
_COUNTED = f"({_DRIFTED} and {_JUDGED} > 0)"
_CHECKS = f"sum ({gauge('mlflow_model_data_quality_degraded', VERSION, _CHECK)})"
_METRICS = f"sum ({gauge('mlflow_model_quality_degraded', WINDOW, 'metric')})"
_WORST = f"group by (column) (topk (1, ({DRIFT_RATIO}) and {_DETECTED} == 1))"


def _named(expression: str, label: str, otherwise: str) -> str:
    return or_named(f'count_values("{label}", {expression})', label, otherwise)


# One series with a label for each count: its value means nothing.
SENTENCE = (
    f"{_named(_COUNTED, 'drifted', 'unknown')}"
    f" * on () group_left (column) ({or_named(_WORST, 'column', 'none')})"
    f" * on () group_left (checks) ({_named(_CHECKS, 'checks', 'unknown')})"
    f" * on () group_left (metrics) ({_named(_METRICS, 'metrics', 'unknown')})"
)


def _verdict(name: str, figure: str) -> str:
    return f'label_replace({figure}, "verdict", "{name}", "", "")'


_ESTIMATED = gauge("mlflow_model_estimated_quality_degraded", WINDOW)
# 1 bad, 0 good; a gap where there is no verdict.
VERDICTS_OVER_TIME = " or ".join(
    (
        _verdict("Quality", gauge("mlflow_model_quality_degraded", WINDOW)),
        _verdict("Estimated quality", _ESTIMATED),
        _verdict("Data quality", gauge("mlflow_model_data_quality_degraded", VERSION)),
        f'label_replace({_DETECTED} and on (column) {highest(_DETECTED)} == 1, "verdict", "$1", "column", "(.*)")',
    )
)


# Data quality

QUALITY_RATIO = gauge("mlflow_model_data_quality_ratio", VERSION, _CHECK)
QUALITY_REFERENCE = gauge("mlflow_model_data_quality_reference_ratio", VERSION, _CHECK)
QUALITY_WINDOW = gauge("mlflow_model_data_quality_window_seconds", VERSION, _CHECK)
QUALITY_VERDICT = (
    f"{gauge('mlflow_model_data_quality_degraded', VERSION, _CHECK)} or (0 * {QUALITY_RATIO} - 1)"
)


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


# What fires and what was done

_TOLD = f'{ALERT}, severity=~"warning|critical"'
_BY_STATE = f"count by (alertstate) (group by (alertname, alertstate, column, check) ({series('ALERTS', _TOLD)}))"
_WATCHDOG = series("ALERTS", 'alertname="Watchdog", alertstate="firing"')
# 0 firing where the rules are there and none fires.
ALERTS_BY_STATE = f"{_BY_STATE} or 0 * group by (alertstate) ({_WATCHDOG})"


def _alerts(state: str) -> str:
    """Alerts of this version, of the whole model, and of the exporter itself, which have no model."""
    told = f'alertstate="{state}", severity!="none"'
    own, exporters = f"{ALERT}, {told}", f'model="", alertname=~"MLflow.+", {told}'
    return f"({series('ALERTS', own)} or {series('ALERTS', exporters)})"


# 2 firing, 1 pending, and 0 of a series that says so where there is no alert.
ALERTS_OVER_TIME = or_named(
    f"max by (alertname, column) (2 * {_alerts('firing')} or {_alerts('pending')})", "alertname", "no alert"
)
ACTIONS = "1000 * " + gauge(
    "mlflow_exporter_remediation_state_timestamp_seconds", matching("model"), "action, state"
)

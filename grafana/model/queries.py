"""Queries of the model dashboard on columns, data quality and the version."""

from __future__ import annotations

import reason
from promql import gauge, highest, joined, matching, or_named

VERSION = matching("model", "model_version")
OTHER_VERSIONS = "model=${model:doublequote}, model_version!=${model_version:doublequote}"
WINDOW = joined(VERSION, matching("window"))

# Columns

_COLUMN = "column, role"
_CHECK = "column, role, check"
_SCORE = gauge("mlflow_model_drift_score", WINDOW, "column")
DRIFT_RATIO = f"{_SCORE} / {gauge('mlflow_model_drift_limit', WINDOW, 'column')}"
DETECTED = gauge("mlflow_model_drift_detected", WINDOW, "column")
DEGRADED = gauge("mlflow_model_data_quality_degraded", VERSION, "column")
_MISSING = gauge("mlflow_model_data_quality_ratio", joined(VERSION, 'check="missing"'), "column")
_NEVER_THERE = gauge(
    "mlflow_model_data_quality_reference_ratio", joined(VERSION, 'check="missing"'), "column"
)
_HAS_BINS = gauge("mlflow_model_reference_ratio", VERSION, "column")
# What is added to a state, less than 1, sorts the columns of one state by their score.
_PLACE = f"clamp_max({DRIFT_RATIO}, 999) / 1000"
# By the whole number below: 3 drifted, 2 with degraded data, 1 all values missing, 0 stable, -1 undecided,
# -2 without a score.
_JUDGED_STATE = " or ".join(
    (
        f"({_PLACE} + 3 and {DETECTED} == 1)",
        f"(0 * ({_MISSING} > 0.999 unless {_NEVER_THERE} > 0.999) + 1)",
        f"(0 * ({DEGRADED} == 1) + 2)",
        f"({_PLACE} and {DETECTED} == 0)",
        f"({_PLACE} - 1)",
        f"(0 * {_HAS_BINS} - 2)",
    )
)
# -3 for all of them while no verdict can be of the present.
STATE = (
    f"(0 * ({_HAS_BINS} or {_MISSING}) + on () group_left () (0 * ({reason.BLIND}) - 3)) or {_JUDGED_STATE}"
)
IMPORTANCE = gauge("mlflow_model_feature_importance_ratio", VERSION, "column")
FAILING = f"{gauge('mlflow_model_data_quality_degraded', VERSION, 'column, check')} == 1"
FAILING_ROWS = (
    f"max by (column) ({gauge('mlflow_model_data_quality_ratio', VERSION, 'column, check')} and ({FAILING}))"
)


def since(measure: str, by: str, selector: str = VERSION) -> str:
    """Start of the oldest bad verdict by a measure, for each value of the labels `by`, in seconds."""
    found = gauge(f"mlflow_model_{measure}_since_timestamp_seconds", selector, _KEYS[measure])
    return f"min by ({by}) ({found})" if by else f"min ({found})"


_KEYS = {
    "drift": _COLUMN,
    "change": _COLUMN,
    "data_quality": _CHECK,
    "quality": "metric",
    "estimated_quality": "metric",
}
_STARTS = (
    f'label_replace({since(measure, "column")}, "kind", "{measure}", "", "")'
    for measure in ("drift", "change", "data_quality")
)
# In milliseconds, as Grafana has times.
COLUMN_SINCE = f"1000 * min by (column) ({' or '.join(_STARTS)})"


def worst(count: int) -> str:
    """Score over limit of the columns where it was largest, and near the limit, within the time range."""
    return f"({DRIFT_RATIO}) and on (column) topk ({count}, {highest(DRIFT_RATIO)} > 0.75)"


def troubled(count: int) -> str:
    """Verdicts on columns that were bad within the time range: 1 drifted, 2 with degraded data, 0 neither.

    Series sort by the label `at`, which makes the worst the first: it is smaller, the higher the state was.
    """
    state = highest(_JUDGED_STATE)
    order = f'count_values by (column) ("at", 70000 - floor(10000 * topk ({count}, {state} >= 1)))'
    bad = f"({DETECTED} == 1 or 2 * ({DEGRADED} == 1) or 0 * {DETECTED} or 0 * {DEGRADED})"
    return f"{bad} * on (column) group_left (at) {order}"


# Data quality

QUALITY_RATIO = gauge("mlflow_model_data_quality_ratio", VERSION, _CHECK)
QUALITY_REFERENCE = gauge("mlflow_model_data_quality_reference_ratio", VERSION, _CHECK)
QUALITY_WINDOW = gauge("mlflow_model_data_quality_window_seconds", VERSION, _CHECK)
QUALITY_DEGRADED = gauge("mlflow_model_data_quality_degraded", VERSION, _CHECK)
QUALITY_VERDICT = f"{QUALITY_DEGRADED} or (0 * {QUALITY_RATIO} - 1)"
QUALITY_SINCE = f"1000 * {since('data_quality', _CHECK)}"


def most_changed(count: int) -> str:
    """Growth over the reference of the checks that grew most within the time range."""
    change = f"{QUALITY_RATIO} - {QUALITY_REFERENCE}"
    return f"({change}) and on ({_CHECK}) topk ({count}, {highest(change)})"


# Version and aliases

_VERSION_EXISTS = gauge("mlflow_model_version_info", VERSION)
ALIASES = or_named(gauge("mlflow_model_alias_info", VERSION, "alias"), "alias", "no alias")


def _info(selector: str) -> str:
    return gauge("mlflow_model_version_info", joined(VERSION, selector))


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

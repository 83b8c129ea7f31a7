"""How much a model needs somebody: a score by which models are sorted, and the version that serves it."""

from __future__ import annotations

from promql import gauge, joined, matching, series

# Points of each alert, degraded metric, drifted column and failing check.
CRITICAL, WARNING, DEGRADED, DRIFTED, FAILING = 1000, 100, 50, 10, 10
# Verdicts of this window count; those of others are of the same columns.
WINDOW = 'window=~"24h|1d"'


def score(by: str, selector: str = "", window: str = WINDOW) -> str:
    """Sum of the points, for every value of the labels `by`; 0 where nothing is wrong.

    Alerts without one of these labels belong to no row: a rule about a whole model has no `model_version`.
    """
    every = gauge("mlflow_model_version_info", selector, by)
    windowed = joined(selector, window)
    parts = (
        (CRITICAL, firing(by, joined(selector, 'severity="critical"'))),
        (WARNING, firing(by, joined(selector, 'severity="warning"'))),
        (DEGRADED, degraded(by, windowed)),
        (DRIFTED, drifted(by, windowed)),
        (FAILING, failing(by, selector)),
    )
    return " + ".join(f"({points} * {figure} or 0 * {every})" for points, figure in parts)


def firing(by: str, selector: str, state: str = "firing") -> str:
    """Alerts in a state; two severities of one alert count once, if both are selected."""
    alerts = series("ALERTS", joined(selector, f'model!="", alertstate="{state}"'))
    return f"count by ({by}) (group by ({by}, alertname, column, check, metric, segment) ({alerts}))"


def degraded(by: str, selector: str) -> str:
    """Degraded metrics of quality."""
    return f"sum by ({by}) ({gauge('mlflow_model_quality_degraded', selector, f'{by}, metric')})"


def drifted(by: str, selector: str) -> str:
    """Drifted columns."""
    columns = gauge("mlflow_model_columns", joined(selector, 'verdict="drifted"'), f"{by}, role")
    return f"sum by ({by}) ({columns})"


def failing(by: str, selector: str = "") -> str:
    """Failing checks of data quality."""
    checks = gauge("mlflow_model_data_quality_degraded", selector, f"{by}, column, role, check")
    return f"sum by ({by}) ({checks})"


# Models, the one with most trouble first.
MODELS = f"sort_desc({score('model')})"

_MODEL = matching("model")
# Versions of the chosen model: the champion, then what other aliases serve by traffic, then the newest.
VERSIONS = (
    "sort_desc("
    f"""1e15 * {gauge("mlflow_model_alias_info", f'{_MODEL}, alias="champion"', "model_version")}"""
    f" or 1e12 * {gauge('mlflow_model_alias_info', _MODEL, 'model_version')}"
    f" + {gauge('mlflow_model_window_rows', _MODEL, 'model_version')}"
    f" or {gauge('mlflow_model_version_created_timestamp_seconds', _MODEL, 'model_version')}"
    f" or 0 * {gauge('mlflow_model_version_info', _MODEL, 'model_version')})"
)

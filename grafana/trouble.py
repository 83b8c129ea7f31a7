"""The score of trouble that sorts models, its parts, and a model's versions."""

from __future__ import annotations

from promql import gauge, joined, matching, series

# Points of each alert and degraded metric, of all columns drifted, of each failing check, of silence.
CRITICAL, WARNING, DEGRADED, DRIFTED, FAILING, SILENT = 1000, 100, 50, 50, 10, 50
# Verdicts of a day, where no window is chosen.
_DAY = 'window=~"24h|1d"'
_ALERT = "alertname, column, role, check, metric, segment"
# A silence that is told although its habit is unknown, as of a model that stopped before the exporter was
# upgraded; after two weeks it is intended, as for the exporter.
_LONG_SECONDS, _INTENDED_SECONDS = 6 * 3600, 14 * 86400


def score() -> str:
    """Sum of the points, by model."""
    by = "model"
    alerts = ((CRITICAL, firing(by, "critical")), (WARNING, firing(by, "warning")))
    parts = (*alerts, *judged(by), (SILENT, f"max by ({by}) ({beyond_habit('model, alias')})"))
    every = gauge("mlflow_model_version_info", "", by)
    return " + ".join(f"({points} * {figure} or 0 * {every})" for points, figure in parts)


def judged(by: str, window: str = _DAY, selector: str = "") -> tuple[tuple[int, str], ...]:
    """Points and figures of the verdicts alone, without alerts."""
    window = joined(selector, window)
    share = f"{drifted(by, window)} / {columns(by, window)}"
    return (
        (DEGRADED, degraded(by, window)),
        (DRIFTED, share),
        (FAILING, failing(by, selector)),
    )


def firing(by: str, severity: str, state: str = "firing", selector: str = "") -> str:
    """Alerts in a state; two severities of one alert count once, if both are selected."""
    told = f'model!="", alertstate="{state}", severity=~"{severity}"'
    return f"count by ({by}) (group by ({by}, {_ALERT}) ({series('ALERTS', joined(selector, told))}))"


def degraded(by: str, window: str = _DAY) -> str:
    """Degraded metrics of quality."""
    return f"sum by ({by}) ({gauge('mlflow_model_quality_degraded', window, f'{by}, metric')})"


def drifted(by: str, window: str = _DAY) -> str:
    """Drifted columns."""
    return columns(by, joined(window, 'verdict="drifted"'))


def columns(by: str, selector: str = _DAY) -> str:
    """Columns, whatever their verdict."""
    return f"sum by ({by}) ({gauge('mlflow_model_columns', selector, f'{by}, role, verdict')})"


def failing(by: str, selector: str = "") -> str:
    """Failing checks of data quality."""
    checks = gauge("mlflow_model_data_quality_degraded", selector, f"{by}, column, role, check")
    return f"sum by ({by}) ({checks})"


def beyond_habit(by: str, selector: str = "") -> str:
    """1 where predictions are missing for longer than the past explains, 0 where not; `by` is of an alias."""
    return f"({_silence('seconds', by, selector)} > bool {_silence('limit_seconds', by, selector)})"


def silent(by: str, selector: str = "") -> str:
    """1 where an alias is beyond its habit, or has none, as no arrival was recorded, and stopped long ago."""
    last = gauge("mlflow_model_last_prediction_timestamp_seconds", selector, "model, model_version")
    stopped = f"(time() - {last} > {_LONG_SECONDS} < {_INTENDED_SECONDS})"
    aliases = gauge("mlflow_model_alias_info", selector, f"{by}, model_version")
    without = f"max by ({by}) ({aliases} * on (model, model_version) group_left () ({stopped} > bool 0))"
    return f"({beyond_habit(by, selector)} or ({without} unless {_silence('seconds', by, selector)}))"


def _silence(figure: str, by: str, selector: str) -> str:
    return gauge(f"mlflow_model_silence_{figure}", selector, by)


# Models, the one with most trouble first.
MODELS = f"sort_desc({score()})"

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

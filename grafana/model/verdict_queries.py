"""Queries of the model dashboard on its verdicts in words and over time, alerts, and what was done."""

from __future__ import annotations

import reason
from promql import gauge, joined, matching, or_blank, series

from model import quality_queries as qq
from model import queries as q

# In words. A clause is one series: labels that the legend joins are its words, and its value is its colour:
# 1 bad, 0.5 feared, 0 good, reason.UNKNOWN unknown.
CLAUSE = "{{what}}{{total}}{{worst}}{{since}}"


def _said(value: str, words: str) -> str:
    return f'label_replace({value}, "what", "{words}", "", "")'


def _counted(figure: str, label: str, words: str) -> str:
    """One series with a label of words, in which $1 is the figure."""
    return f'label_replace(count_values("n", {figure}), "{label}", "{words}", "n", "(.*)")'


def _bad(count: str, total: str, worst: str, kind: str, start: str) -> str:
    """Number of bad ones and of all, the worst, and the time since `start`, in the words of labels."""
    hours = f"floor((time() - {start}) / 3600)"
    lasting = _counted(hours, "since", ", for $1 h")
    lasting = f'label_replace({lasting}, "since", ", for minutes", "n", "0")'
    worst = f"group by ({kind}) (topk (1, {worst}))"
    most = f'label_replace({worst}, "worst", ", worst: $1", "{kind}", "(.*)")'
    # Of a long name the beginning and the end, which is what tells such names apart.
    most = f'label_replace({most}, "worst", ", worst: $1…$2", "{kind}", "(.{{12}}).{{9,}}(.{{14}})")'
    return (
        f"{_counted(f'{count} > 0', 'what', '$1 of ')}"
        f" * on () group_left (total) {total}"
        f" * on () group_left (worst) ({most} or on () vector(1))"
        f" * on () group_left (since) ({lasting} or on () vector(1))"
    )


def _clause(name: str, *said: str) -> str:
    """The first that is true; without one, or while no verdict can be of the present, it is unknown."""
    unknown = _said(f"vector({reason.UNKNOWN})", f"{name} unknown")
    blind = _said(f"0 * ({reason.BLIND}) + {reason.UNKNOWN}", f"{name} unknown")
    return " or on () ".join(f"({each})" for each in (blind, *said, unknown))


_DEGRADED = gauge("mlflow_model_quality_degraded", q.WINDOW, "metric")
_ESTIMATE = gauge("mlflow_model_estimated_quality_degraded", q.WINDOW, "metric")
QUALITY = _clause(
    "Quality",
    _bad(
        f"sum ({_DEGRADED})",
        _counted(f"count ({_DEGRADED})", "total", "$1 metrics of quality degraded"),
        f"{qq.RELATIVE_SHORTFALL} and {_DEGRADED} == 1",
        "metric",
        q.since("quality", "", q.WINDOW),
    ),
    _said(f"0 * (sum ({_ESTIMATE}) > 0) + 0.5", "Estimated quality falls"),
    _said(f"sum ({_DEGRADED}) == 0", "Quality holds"),
    _said(f"sum ({_ESTIMATE}) == 0", "Quality holds, by its estimate"),
)

_DRIFTED = f"""sum ({gauge("mlflow_model_columns", joined(q.WINDOW, 'verdict="drifted"'), "role")})"""
_COLUMNS = f"sum ({gauge('mlflow_model_columns', q.WINDOW, 'role, verdict')})"
_UNDECIDED = f"""sum ({gauge("mlflow_model_columns", joined(q.WINDOW, 'verdict="undecided"'), "role")})"""
DRIFT = _clause(
    "Drift",
    _bad(
        _DRIFTED,
        _counted(_COLUMNS, "total", "$1 columns drifted"),
        f"{q.DRIFT_RATIO} and {q.DETECTED} == 1",
        "column",
        q.since("drift", "", q.WINDOW),
    ),
    _said(f"({_DRIFTED} == 0) and {_COLUMNS} > {_UNDECIDED}", "No column drifts"),
)

DATA_QUALITY = _clause(
    "Data quality",
    _bad(
        f"sum ({q.QUALITY_DEGRADED})",
        _counted(f"count ({q.QUALITY_DEGRADED})", "total", "$1 data checks fail"),
        f"{q.QUALITY_RATIO} - {q.QUALITY_REFERENCE} and {q.QUALITY_DEGRADED} == 1",
        "column",
        q.since("data_quality", ""),
    ),
    _said(f"sum ({q.QUALITY_DEGRADED}) == 0", "Data is fine"),
)

# Over time: nothing while no verdict can be of the present.


def over_time(figure: str) -> str:
    return f"({figure}) unless on () ({reason.BLIND})"


QUALITY_OVER_TIME = over_time(f"max ({_DEGRADED})")
ESTIMATE_OVER_TIME = over_time(f"max ({_ESTIMATE})")
_DATA = over_time(f"max ({q.QUALITY_DEGRADED})")
DATA_OVER_TIME = or_blank(_DATA, _DATA, "verdict", "none")

# Alerts, and what was done

# An alert about a whole model has no label `model_version`.
_ALERT = 'model=${model:doublequote}, model_version=~"|$model_version"'
_WATCHDOG = series("ALERTS", 'alertname="Watchdog", alertstate="firing"')
_SCRAPED = gauge("mlflow_exporter_evaluation_interval_seconds")
_KEYS = "alertname, alertstate, column, check, metric, segment"
_TOLD = series("ALERTS", joined(_ALERT, 'severity=~"warning|critical"'))
# 0 firing where the rules are there, none fires, and what they rule on is scraped.
ALERTS_BY_STATE = (
    f"count by (alertstate) (group by ({_KEYS}) ({_TOLD}))"
    f" or 0 * group by (alertstate) ({_WATCHDOG}) and on () {_SCRAPED}"
)


def _alerts(state: str) -> str:
    """Alerts of this version, of the whole model, and of the exporter itself, which have no model."""
    told = f'alertstate="{state}", severity!="none"'
    own, exporters = joined(_ALERT, told), f'model="", alertname=~"MLflow.+", {told}'
    return f"({series('ALERTS', own)} or {series('ALERTS', exporters)})"


# 2 firing, 1 pending; 0 of a series that says so where rules are there and no alert is.
_NONE = f'label_replace(0 * max ({_WATCHDOG}), "alertname", "no alert", "", "")'
ALERTS_OVER_TIME = (
    f"max by (alertname, column) (2 * {_alerts('firing')} or {_alerts('pending')}) or on () {_NONE}"
)
_STATE = "mlflow_exporter_remediation_state_timestamp_seconds"
ACTIONS = f"1000 * {gauge(_STATE, matching('model'), 'action, state')}"

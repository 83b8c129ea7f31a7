"""Why verdicts can or cannot be trusted now: the strip on top of dashboards, and verdicts that respect it."""

from __future__ import annotations

import look
import panels
import trouble
from grafana_foundation_sdk.builders import stat
from promql import gauge, joined, matching

VERSION = matching("model", "model_version")
# Below every code of a verdict.
UNKNOWN = -9
# The first that holds wins. Until a version is evaluated and has traffic, no verdict is of the present.
_JUDGED, _DOWN, _MISSING, _STALE, _SILENT, _NO_REFERENCE, _FILLING = range(7)
_WORDS = {
    _DOWN: ("Exporter down, or not scraped: what is shown is unknown", look.UNKNOWN),
    _MISSING: ("Not monitored: the exporter knows no such version", look.UNKNOWN),
    _STALE: ("Evaluation stale: figures are old, verdicts unknown", look.UNKNOWN),
    _SILENT: ("Silent: predictions stopped, verdicts are of the past", look.UNKNOWN),
    _NO_REFERENCE: ("No reference: there is nothing to compare with", look.UNKNOWN),
    _FILLING: ("Filling: too little data for a verdict yet", look.UNKNOWN),
    _JUDGED: ("Judged", look.GOOD),
}
_WHY = {
    "no_values": "no values",
    "no_base": "no reference",
    "variation": "variation unknown",
    "rows": "too few rows",
    "significance": "not significant",
    "persistence": "not yet lasting",
}

_INTERVAL = "mlflow_exporter_evaluation_interval_seconds"
_SINCE = f"time() - {gauge('mlflow_exporter_last_evaluation_timestamp_seconds', VERSION)}"
# As the rule MLflowExporterEvaluationStale has it.
_STALENESS = f"clamp_min(5 * {gauge(_INTERVAL)}, 300)"
_ALIASES = gauge("mlflow_model_alias_info", VERSION, "alias")
_SILENT_ALIASES = f"({trouble.silent('model, alias', matching('model'))}) > 0"
_WINDOW = joined(VERSION, matching("window"))
_REFERENCE = gauge("mlflow_model_version_info", joined(VERSION, 'reference_digest!=""'))
_COLUMNS = gauge("mlflow_model_columns", joined(_WINDOW, 'verdict!="undecided"'), "role, verdict")
_UNDECIDED = f"sum by (reason) ({gauge('mlflow_model_columns_undecided', _WINDOW, 'role, reason')})"

# Present while no verdict can be of the present.
BLIND = " or ".join(
    (
        f"{_DOWN} * absent({gauge(_INTERVAL)})",
        f"{_MISSING} * absent({gauge('mlflow_model_version_info', VERSION)})",
        f"{_STALE} + 0 * ({_SINCE} > {_STALENESS})",
        f"{_SILENT} + 0 * max ({_ALIASES} and on (alias) ({_SILENT_ALIASES}))",
        f"{_SILENT} + 0 * ({gauge('mlflow_model_window_rows', _WINDOW)} == 0)",
    )
)
REASON = (
    f"{BLIND} or {_NO_REFERENCE} * absent({_REFERENCE})"
    f" or {_FILLING} * absent(sum ({_COLUMNS}) > 0) or vector({_JUDGED})"
)


def known(expression: str) -> str:
    """The expression, one value without labels; `UNKNOWN` while no verdict can be of the present."""
    return f"{UNKNOWN} + 0 * ({BLIND}) or {expression}"


def strip() -> tuple[stat.Panel, stat.Panel]:
    """One line of the page: the reason, and why the columns without a verdict have none."""
    reason = panels.number(
        "Verdicts on version $model_version, $window",
        "The first that holds: the exporter is down, the version is not monitored, its evaluation is stale, "
        "predictions stopped, it has no reference, the window holds too little data; else it is judged. "
        "While the exporter, the evaluation or the traffic stands still, verdicts below are unknown.",
        REASON,
        unit="none",
        words=_WORDS,
        size=(15, 3),
        nothing="Prometheus does not answer",
    )
    undecided = panels.numbers(
        "Undecided columns by reason",
        "Columns without a verdict in the window, and what is missing for one: values, a reference, the "
        "variation between days, rows, significance, or a second look.",
        _UNDECIDED,
        "{{reason}}",
        {},
        size=(9, 3),
        nothing="None",
    )
    for code, word in _WHY.items():
        undecided = undecided.override_by_name(code, [look.of_field("displayName", word)])
    return reason.text(panels.written(20)), undecided.text(panels.written(20))

"""Queries of the dashboard on alerts and remediation."""

from __future__ import annotations

from promql import among, gauge, increase, series

MODEL = among("model")

# What fired

_ALERT = "alertname, severity, model, model_version, column, check, metric, segment"
# 0 where rules are loaded and none fires; nothing where there are no rules.
_WATCHDOG = series("ALERTS", 'alertname="Watchdog"')
_NONE = f"0 * max ({_WATCHDOG})"


def firing(severity: str) -> str:
    """Number of alerts of a severity that fire, about the chosen models."""
    alerts = series("ALERTS", f'{MODEL}, alertstate="firing", severity="{severity}"')
    return f"count (group by ({_ALERT}) ({alerts})) or {_NONE}"


# 3 critical, 2 warning, 1 pending: by the worst of an alert's severities. Where there is none,
# a series says so.
_WORST = " or ".join(
    f"max by (alertname, model, model_version) ({value} * group by ({_ALERT}) ({alerts}))"
    for value, alerts in (
        (3, series("ALERTS", f'{MODEL}, alertstate="firing", severity="critical"')),
        (2, series("ALERTS", f'{MODEL}, alertstate="firing", severity="warning"')),
        (1, series("ALERTS", f'{MODEL}, alertstate="pending", severity=~"critical|warning"')),
    )
)

_NAMED = 'label_replace({}, "alertname", "{}", "", "")'
ALERTS = " or on () ".join(
    (f"({_WORST})", _NAMED.format(_NONE, "no alert"), _NAMED.format("vector(-1)", "no rules"))
)

# What was decided and done

_STATE = "mlflow_exporter_remediation_state_timestamp_seconds"
STATES = f"1000 * {gauge(_STATE, MODEL, 'model, action, state')}"
REFUSALS = "1000 * " + gauge(
    "mlflow_exporter_remediation_refused_timestamp_seconds", MODEL, "model, action, guard"
)
_WAITING = gauge("mlflow_exporter_remediation_pending", 'state="awaiting_approval"', "action")
WAITING = f"sum ({_WAITING})"
SUSPENDED = (
    f"sum ({gauge('mlflow_exporter_remediation_breaker_open', MODEL, 'model')})"
    f" or 0 * {gauge('mlflow_exporter_remediation_policies')}"
)
POLICIES = gauge("mlflow_exporter_remediation_policies", "", "mode")
PENDING = f"{gauge('mlflow_exporter_remediation_pending', '', 'action, state')} > 0"
ENDED = f"{increase('mlflow_exporter_remediations_total', '', '$__rate_interval', 'action, outcome')} > 0"
REFUSED = f"{increase('mlflow_exporter_remediation_refused_total', '', '$__rate_interval', 'guard')} > 0"

# Did it help

# Verdicts on versions that an alias points to: a rollback takes the alias from the version that is bad.
_ALIASES = gauge("mlflow_model_alias_info", MODEL, "model, model_version")
_SERVED = f"and on (model, model_version) {_ALIASES}"
_NOTHING = f"0 * {gauge('mlflow_model_version_info', MODEL)}"


def bad(measure: str, by: str) -> str:
    """Number of bad verdicts by a measure, each column, check or metric once."""
    since = gauge(f"mlflow_model_{measure}_since_timestamp_seconds", MODEL, f"model, model_version, {by}")
    return f"count ({since} {_SERVED}) or {_NOTHING}"


def severe(*measures: str) -> str:
    """Number of bad verdicts that have been severe."""
    by = "model, model_version, column, role, check, metric"
    found = " or ".join(gauge(f"mlflow_model_{measure}_severe", MODEL, by) for measure in measures)
    return f"sum (({found}) {_SERVED}) or {_NOTHING}"


# Audit trail and deliveries

_CHECKPOINT = "mlflow_exporter_audit_checkpoint_info"
SINCE_DELIVERY = f"time() - {gauge('mlflow_exporter_alerts_last_received_timestamp_seconds')}"
SINCE_CHECKPOINT = f"time() - {gauge('mlflow_exporter_audit_checkpoint_timestamp_seconds')}"
# Made at the time that is the value.
CHECKPOINT = (
    f"1000 * {gauge(_CHECKPOINT, '', 'seq, digest')}"
    f" * on () group_left () {gauge('mlflow_exporter_audit_checkpoint_timestamp_seconds')}"
)
# Records that checkpoints of the time range sign with two digests.
_TARGET = "cluster, namespace, job"
_DIGESTS = f"max by ({_TARGET}, seq, digest) (last_over_time({series(_CHECKPOINT)}[$__range]))"
CONTRADICTIONS = (
    f"count (count by ({_TARGET}, seq) ({_DIGESTS}) > 1)"
    f" or 0 * {gauge('mlflow_exporter_audit_checkpoint_timestamp_seconds')}"
)
DELIVERED = increase("mlflow_exporter_alerts_received_total", "", "$__rate_interval", "status")

"""Queries of the exporter's own dashboard."""

from __future__ import annotations

from promql import gauge, increase, or_named, quantile, rate, series

# As the rules know it, by the name of its job.
_JOB = 'job="mlflow-exporter"'
UP = f"sum ({series('up', _JOB)})"
MLFLOW = f"min ({series('mlflow_up')})"
CONFIGURATION = f"min ({series('mlflow_exporter_config_last_reload_successful')})"
QUEUE = f"sum ({series('mlflow_exporter_queue_rows')})"
_STORE, _LIMIT = gauge("mlflow_exporter_store_bytes"), gauge("mlflow_exporter_store_limit_bytes")
STORE_USED = f"{_STORE} / {_LIMIT}"
STORE, STORE_LIMIT = _STORE, _LIMIT
SERIES = gauge("mlflow_exporter_series")
SERIES_LEFT_OUT = gauge("mlflow_exporter_dropped_series")
VERSIONS_LEFT_OUT = gauge("mlflow_exporter_unmonitored_versions")
STORE_FAILURES = increase("mlflow_exporter_store_errors_total", "", "$__rate_interval", "reason")

# Intake

INGESTED = f"{rate('mlflow_exporter_ingest_rows_total', '', 'kind, outcome')} > 0"
DROPPED = f"{rate('mlflow_exporter_dropped_rows_total', '', 'reason')} > 0"
_ALL = rate("mlflow_exporter_ingest_rows_total", "")
REJECTED_SHARE = f"""{rate("mlflow_exporter_ingest_rows_total", 'outcome="rejected"')} / ({_ALL} > 0)"""
DROPPED_SHARE = f"{rate('mlflow_exporter_dropped_rows_total', '')} / ({_ALL} > 0)"


def commit(share: float) -> str:
    """A quantile of the time from the receipt of a batch to its commit."""
    return quantile(share, "mlflow_exporter_ingest_duration_seconds")


# Evaluations

_VERSION = "model, model_version"
SINCE_EVALUATION = f"time() - {gauge('mlflow_exporter_last_evaluation_timestamp_seconds', '', _VERSION)}"
ERRORS = increase("mlflow_exporter_evaluation_errors_total", "", "$__range", f"{_VERSION}, stage")
RECENT_ERRORS = increase("mlflow_exporter_evaluation_errors_total", "", "$__rate_interval", _VERSION)
REFERENCES = gauge("mlflow_model_version_info", "", f"{_VERSION}, reference_source, variation")


def evaluation(share: float) -> str:
    """A quantile of the time that the evaluation of one version takes."""
    return quantile(share, "mlflow_exporter_evaluation_duration_seconds")


# Remediation

PENDING_ACTIONS = gauge("mlflow_exporter_remediation_pending", "", "action, state")
_ENDED = increase("mlflow_exporter_remediations_total", "", "$__rate_interval", "action, outcome")
ENDED_ACTIONS = f"{_ENDED} > 0"
_REFUSED = increase("mlflow_exporter_remediation_refused_total", "", "$__rate_interval", "guard")
REFUSED_ACTIONS = f"{_REFUSED} > 0"
SINCE_DELIVERY = f"time() - {gauge('mlflow_exporter_alerts_last_received_timestamp_seconds')}"
SINCE_CHECKPOINT = f"time() - {gauge('mlflow_exporter_audit_checkpoint_timestamp_seconds')}"

# Process

MEMORY = gauge("process_resident_memory_bytes", _JOB, "instance")
CPU = rate("process_cpu_seconds_total", _JOB, "instance")


def _alerts(state: str) -> str:
    return series("ALERTS", f'alertname=~"MLflow.+", alertstate="{state}"')


# 2 firing, 1 pending, and 0 of a series that says so where there is no alert.
ALERTS = or_named(
    f"max by (alertname, model) (2 * {_alerts('firing')} or {_alerts('pending')})", "alertname", "no alert"
)

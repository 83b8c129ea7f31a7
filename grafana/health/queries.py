"""Queries of the exporter's own dashboard."""

from __future__ import annotations

from promql import gauge, increase, quantile, rate, series

# As the rules know it, by the name of its job.
_JOB = 'job="mlflow-exporter"'
UP = f"sum ({series('up', _JOB)})"
# 2 while no replica is up, which says nothing about MLflow or the file; 3 where no file is configured.
_DOWN = f"({UP} == 0) + 2"
MLFLOW = f"min ({series('mlflow_up')}) or {_DOWN}"
CONFIGURATION = (
    f"min ({series('mlflow_exporter_config_last_reload_successful')}) or {_DOWN} or 0 * ({UP} > 0) + 3"
)
QUEUE = f"sum ({series('mlflow_exporter_queue_rows')})"
_STORE, _LIMIT = gauge("mlflow_exporter_store_bytes"), gauge("mlflow_exporter_store_limit_bytes")
STORE_USED = f"{_STORE} / {_LIMIT}"
STORE, STORE_LIMIT = _STORE, _LIMIT
SERIES_LEFT_OUT = gauge("mlflow_exporter_dropped_series")
VERSIONS_LEFT_OUT = gauge("mlflow_exporter_unmonitored_versions")
STORE_FAILURES = increase("mlflow_exporter_store_errors_total", "", "$__rate_interval", "reason")

# Several exporters
_SHARDS = gauge("mlflow_exporter_shard_info", by="shard")
SHARDS_MISSING = f"{gauge('mlflow_exporter_shards')} - count ({_SHARDS})"
_LEADER = series("mlflow_exporter_leader")
LEADERS = f"sum ({_LEADER})"
LEADS = f"max by (instance) ({_LEADER})"
TRANSITIONS = increase("mlflow_exporter_lease_transitions_total", "", "$__rate_interval")

KAFKA_LAG = gauge("mlflow_exporter_kafka_lag_seconds", by="partition")
DEAD_LETTERS = increase("mlflow_exporter_kafka_dead_letters_total", "", "$__rate_interval", "reason")

# Intake

INGESTED = f"{rate('mlflow_exporter_ingest_rows_total', '', 'kind, outcome')} > 0"
DROPPED = f"{rate('mlflow_exporter_dropped_rows_total', '', 'reason')} > 0"
_ALL = rate("mlflow_exporter_ingest_rows_total", 'outcome!="produced"')  # which workers count again
REJECTED_SHARE = f"""{rate("mlflow_exporter_ingest_rows_total", 'outcome="rejected"')} / ({_ALL} > 0)"""
DROPPED_SHARE = f"{rate('mlflow_exporter_dropped_rows_total', '')} / ({_ALL} > 0)"


def commit(share: float) -> str:
    """A quantile of the time from the receipt of a batch to its commit."""
    return quantile(share, "mlflow_exporter_ingest_duration_seconds")


REFUSED_REQUESTS = f"""{rate("mlflow_exporter_ingest_requests_total", 'status!="202"', "kind, status")} > 0"""
EVENTS = f"{rate('mlflow_exporter_cloudevents_total', '', 'kind, outcome')} > 0"
CLOSED = increase("mlflow_exporter_closed_connections_total", "", "$__rate_interval", "reason")

# Evaluations

_VERSION = "model, model_version"
_LAST = "mlflow_exporter_last_evaluation_timestamp_seconds"
# Age of the oldest last evaluation, and in multiples of the interval.
OLDEST = f"time() - min ({gauge(_LAST, '', _VERSION)})"
INTERVAL = gauge("mlflow_exporter_evaluation_interval_seconds")
LAG = f"({OLDEST}) / {INTERVAL}"
SINCE_EVALUATION = f"time() - {gauge(_LAST, '', _VERSION)}"
ERRORS = increase("mlflow_exporter_evaluation_errors_total", "", "$__range", f"{_VERSION}, stage")
RECENT_ERRORS = increase("mlflow_exporter_evaluation_errors_total", "", "$__rate_interval", _VERSION)
REFERENCES = gauge("mlflow_model_version_info", "", f"{_VERSION}, reference_source, variation")
MISSING_PARTITIONS = gauge("mlflow_model_missing_partitions", "", _VERSION)


def evaluation(share: float) -> str:
    """A quantile of the time that the evaluation of one version takes."""
    return quantile(share, "mlflow_exporter_evaluation_duration_seconds")


# Child processes

REPORTS_WAITING = gauge("mlflow_exporter_reports_waiting")
REPORTS_UNSENT = gauge("mlflow_exporter_reports_unsent", "", "destination")
_REPORTS, _SENDINGS = "mlflow_exporter_reports_total", "mlflow_exporter_report_sendings_total"
REPORTS_FAILED = f"""{increase(_REPORTS, 'outcome!="done"', "$__rate_interval", "outcome")} > 0"""
SENDINGS_FAILED = (
    f"""{increase(_SENDINGS, 'outcome!="sent"', "$__rate_interval", "destination, outcome")} > 0"""
)
FAILURES_BY_STAGE = increase("mlflow_exporter_evaluation_errors_total", "", "$__rate_interval", "stage")


def report(share: float) -> str:
    """A quantile of the time that an attempt to make a report takes."""
    return quantile(share, "mlflow_exporter_report_duration_seconds")


# Process

MEMORY = gauge("process_resident_memory_bytes", _JOB, "instance")
CPU = rate("process_cpu_seconds_total", _JOB, "instance")


def _alerts(state: str) -> str:
    return series("ALERTS", f'alertname=~"MLflow.+", alertstate="{state}"')


_WATCHDOG = 'alertname="Watchdog"'
# 2 firing, 1 pending. Where there is no alert, 0 of a series that says so, if the rules are there at all.
_WATCHED = f"0 * max ({series('ALERTS', _WATCHDOG)})"
_NONE = f'label_replace({_WATCHED}, "alertname", "no alert", "", "")'
ALERTS = f"max by (alertname, model) (2 * {_alerts('firing')} or {_alerts('pending')}) or on () {_NONE}"

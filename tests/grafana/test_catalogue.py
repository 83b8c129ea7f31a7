"""Every exported metric is used by a dashboard, a rule or a runbook, or a reason is given."""

from __future__ import annotations

import re

from exporter.exposition.catalog import CATALOG
from tests.grafana.dashboards import FILES
from tests.prometheus.alerting import RULE_FILES, RUNBOOKS

UNUSED = {
    "mlflow_model_sample_rows": "for capacity planning of the store",
    "mlflow_model_sample_bytes": "for capacity planning of the store",
    "mlflow_model_change_significance": "evidence behind a verdict that is shown; score and limit explain it",
    "mlflow_model_drift_importance": "for rankings of one's own; tables show each column's importance",
    "mlflow_model_attribution_drift": "for models with permutation importance; on the exporter's pages",
    "mlflow_model_evidently_value": "values that the owner of a model names for panels of their own",
    "mlflow_exporter_dropped_evidently_values": "beside the values that the owner names",
    "mlflow_exporter_remediation_oldest_pending_seconds": "for escalations of one's own",
    "mlflow_exporter_reports_oldest_waiting_seconds": "for alerts of one's own; waiting reports are shown",
    "mlflow_exporter_cloudevents_waiting": "most wait for moments; those that wait in vain are shown",
    "mlflow_exporter_kafka_lag": "messages; the lag in seconds is shown, and has one limit for all topics",
    "mlflow_exporter_kafka_messages_total": "for capacity planning; dead letters are shown",
    "mlflow_exporter_kafka_commits_total": "for capacity planning",
    "mlflow_exporter_cloudevents_waiting_bytes": "for capacity planning of memory",
    "process_virtual_memory_bytes": "standard of Prometheus' clients; resident memory is shown",
    "process_open_fds": "standard of Prometheus' clients",
    "process_max_fds": "standard of Prometheus' clients",
    "python_info": "standard of Prometheus' clients",
}


def test_a_metric_that_nothing_uses_is_listed_with_a_reason() -> None:
    files = (*FILES, *RULE_FILES, *RUNBOOKS)
    used = {name for path in files for name in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    unused = {metric.name for metric in CATALOG if not used & {*metric.series_names}}
    assert unused == set(UNUSED)

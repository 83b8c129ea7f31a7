"""Every query of every dashboard, asked of a Prometheus that scrapes the demo during its incident."""

from __future__ import annotations

import re
import time

import httpx

from tests.grafana.dashboards import FILES, load
from tests.grafana.frontend import Opened, Prometheus, has_data, open_dashboard
from tests.support.fakes import TIMEOUT_SECONDS

RANGE_SECONDS = 300
LIMIT_SECONDS = 90  # until a report and what a rehearsal leads to are scraped
# Metrics of which the demo has no series, and the reason; all queries about them are empty.
NOT_IN_THE_DEMO = {
    "mlflow_model_change_score": "a day is compared with past weeks from the 19th day on",
    "mlflow_model_change_limit": "a day is compared with past weeks from the 19th day on",
    "mlflow_model_drift_distance": "further distances are exported on demand",
    "mlflow_exporter_remediation_refused_timestamp_seconds": "a rehearsal is told of guards, and not refused",
    "mlflow_exporter_shards": "one exporter has all models",
    "mlflow_exporter_kafka_lag_seconds": "there is no Kafka",
    "mlflow_exporter_kafka_dead_letters_total": "there is no Kafka",
    "mlflow_model_missing_partitions": "there is no Kafka",
    "mlflow_model_serving_gpu_utilization_ratio": "the demo's model needs no GPU",
    "mlflow_model_serving_gpu_memory_bytes": "the demo's model needs no GPU",
    "mlflow_model_serving_gpu_memory_limit_bytes": "the demo's model needs no GPU",
    "mlflow_segment_rows": "the demo's model has no segments",
    "mlflow_segment_drift_score": "the demo's model has no segments",
    "mlflow_segment_drift_detected": "the demo's model has no segments",
    "mlflow_segment_quality": "the demo's model has no segments",
    "mlflow_segment_quality_degraded": "the demo's model has no segments",
}
# Queries for what does not happen in the demo, by dashboard, panel and expression.
DOES_NOT_HAPPEN = {
    "mlflow_model_latency_limit_seconds": "two days of traffic tell what is usual",
    "mlflow_model_serving_memory_limit_bytes": "the machine may set no limit",
    "mlflow_model_serving_in_flight_requests": "the demo's process may count no requests",
    "mlflow_model_serving_dropped_rows_total.*> 0": "no row is lost",
    "mlflow_exporter_dropped_rows_total.*> 0": "rows are counted",
    "mlflow_exporter_cloudevents_total.*> 0": "the demo's model sends by the client, not by a logger",
    "mlflow_exporter_ingest_requests_total.*> 0": "requests are accepted",
    'mlflow_exporter_reports_total{outcome!="done".*> 0': "reports succeed",
    'mlflow_exporter_report_sendings_total{outcome!="sent".*> 0': "reports are sent at once",
    "mlflow_exporter_remediation_pending.*> 0": "a rehearsal does not wait",
    "mlflow_exporter_remediations_total.*> 0": "the rehearsal is over within seconds",
    "mlflow_exporter_remediation_refused_total.*> 0": "a rehearsal is told of guards, and not refused",
    r"^mlflow-column: .*an hour \$ago ago": "there was no traffic a day ago",
    r"^mlflow-versions: \$metric of each version G": "no third version has traffic",
}


def check_demonstration(url: str) -> None:
    """Assert that dashboards open on the champion, and that every query finds data or is listed above."""
    deadline = time.monotonic() + LIMIT_SECONDS
    missing = ask_all(url)
    while missing:
        assert time.monotonic() < deadline, f"nothing is found by {missing}"
        time.sleep(2)
        missing = {place: missing[place] for place in ask_all(url) if place in missing}
    known = set(httpx.get(f"{url}/api/v1/label/__name__/values", timeout=TIMEOUT_SECONDS).json()["data"])
    assert not known & set(NOT_IN_THE_DEMO)


def ask_all(url: str) -> dict[str, str]:
    """Queries that find nothing now and that no list explains, by dashboard and panel."""
    missing = {}
    for path in FILES:
        opened = open_dashboard(load(path), Prometheus(url, time.time(), RANGE_SECONDS))
        assert opened.values.get("model_version") in (None, champion(opened)), path.stem
        for place, expression, instant in opened.queries():
            ask = opened.prometheus.now if instant else opened.prometheus.over_time
            if not explained(f"{path.stem}: {place} {expression}") and not has_data(ask(expression)):
                missing[f"{path.stem}: {place}"] = expression
    return missing


def champion(opened: Opened) -> str:
    (series,) = opened.prometheus.now('max by (model_version) (mlflow_model_alias_info{alias="champion"})')
    return str(series["metric"]["model_version"])


def explained(query: str) -> bool:
    return any(re.search(rf"\b{metric}\b", query) for metric in NOT_IN_THE_DEMO) or any(
        re.search(pattern, query) for pattern in DOES_NOT_HAPPEN
    )

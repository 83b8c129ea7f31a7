"""The exporter's metrics about itself, kept by prometheus-client.

    mlflow_exporter_ingest_rows_total{kind="prediction",outcome="accepted"} 1204.0
    mlflow_exporter_dropped_rows_total{reason="too_old"} 3.0

Every known combination of labels exists from 0, or `increase()` would miss the first event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from threading import Lock
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client import Metric as ClientMetric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from exporter import __version__
from exporter.aggregates.block import LATENCY_BOUNDS
from exporter.errors import StoreFault
from exporter.exposition.capture import CAPTURE_CATALOG, CaptureTelemetry
from exporter.exposition.group import GROUP_CATALOG, GroupTelemetry
from exporter.exposition.metric import VERSION, Metric
from exporter.exposition.process import PROCESS_CATALOG, ProcessMetrics
from exporter.exposition.remediation import REMEDIATION_CATALOG, RemediationTelemetry
from exporter.exposition.reports import REPORTS_CATALOG, ReportsTelemetry
from exporter.shard import Shard

RowKind = Literal["prediction", "label", "aggregate"]
# produced: the brokers of Kafka have them; the worker that takes them counts them again, by another outcome.
Outcome = Literal["accepted", "duplicate", "conflict", "unmatched", "correction", "rejected", "produced"]
OUTCOMES: dict[RowKind, tuple[Outcome, ...]] = {
    "prediction": ("accepted", "duplicate", "conflict", "rejected", "produced"),
    "label": ("accepted", "unmatched", "correction", "duplicate", "rejected", "produced"),
    # rows that were counted before they were sent
    "aggregate": ("accepted", "duplicate", "rejected", "produced"),
}
# no_version: sent by an alias that pointed to no version at the time of the row.
DropReason = Literal["too_old", "future", "no_version"]
# timeout: the client did not go on; limit: too many were open; head: the head of its request was too large.
CloseReason = Literal["timeout", "limit", "head"]
# Answers to requests with rows: taken, the client hung up, refused by a `RequestError`, and an error of ours.
STATUSES = (202, 400, 401, 403, 404, 408, 409, 413, 415, 421, 422, 429, 500, 503)
# Of a report. left_out: too many processes are known; rejected: malformed, or of an unknown version.
ReportOutcome = Literal["accepted", "left_out", "rejected"]
# ask: MLflow did not answer; follow: its answer was not taken over.
PollStage = Literal["ask", "follow"]
# reference: find, read and profile it; evaluation: of the version; store: keep or read the reference;
# importance: read or measure it.
Stage = Literal["reference", "evaluation", "store", "importance"]

# Gauges by the attribute of `Telemetry` that has their value.
GAUGES = {
    "mlflow_up": Metric("mlflow_up", "gauge", "1 if MLflow answered the last poll, else 0."),
    "mlflow_last_success": Metric(
        "mlflow_last_success_timestamp_seconds",
        "gauge",
        "Time of the last poll of MLflow whose answer was processed, in seconds since the epoch.",
    ),
    "config_successful": Metric(
        "mlflow_exporter_config_last_reload_successful",
        "gauge",
        "1 if the configuration file was accepted when it was last read, else 0; absent without a file.",
    ),
    "config_last_success": Metric(
        "mlflow_exporter_config_last_reload_success_timestamp_seconds",
        "gauge",
        "Time at which the configuration in use was read, in seconds since the epoch.",
    ),
    "shards": Metric(
        "mlflow_exporter_shards", "gauge", "Number of exporters that share the models; absent without shards."
    ),
    "queue_rows": Metric("mlflow_exporter_queue_rows", "gauge", "Rows waiting to be committed."),
    "store_bytes": Metric("mlflow_exporter_store_bytes", "gauge", "Size of the durable store, in bytes."),
    "store_limit_bytes": Metric(
        "mlflow_exporter_store_limit_bytes",
        "gauge",
        "Configured limit of the durable store's size, in bytes.",
    ),
    "unmonitored_versions": Metric(
        "mlflow_exporter_unmonitored_versions",
        "gauge",
        "Versions with an alias that are not monitored because of the limit on versions.",
    ),
}
BUILD_INFO = Metric(
    "mlflow_exporter_build_info", "gauge", "Always 1: the version of the exporter.", ("version",)
)
SHARD_INFO = Metric(
    "mlflow_exporter_shard_info",
    "gauge",
    "Always 1: the share of the models that the exporter monitors; absent without shards.",
    ("shard", "shards"),
)
ADDRESS_INFO = Metric(
    "mlflow_exporter_address_info",
    "gauge",
    "Always 1: address, as browsers reach it, of a program: MLflow's UI (mlflow), the exporter's pages "
    "(exporter).",
    ("program", "url"),
)
LEADER = Metric(
    "mlflow_exporter_leader",
    "gauge",
    "1 while this process leads, 0 while it stands by or cannot be certain of its lease.",
)
LEASE_TRANSITIONS = Metric(
    "mlflow_exporter_lease_transitions_total",
    "counter",
    "Times that this process took the lease over from another one.",
)
LABELS_UNMATCHED = Metric(
    "mlflow_model_labels_unmatched_total",
    "counter",
    "Labels without a prediction at the end of the day after their arrival.",
    ("model",),
)
POLL_ERRORS = Metric(
    "mlflow_exporter_poll_errors_total",
    "counter",
    "Failed polls of MLflow, by stage: it did not answer (ask), or its answer could not be "
    "processed (follow).",
    ("stage",),
)
EVALUATION_ERRORS = Metric(
    "mlflow_exporter_evaluation_errors_total",
    "counter",
    "Failures while a version was prepared or evaluated, by stage.",
    (*VERSION, "stage"),
)
EVALUATION_DURATION = Metric(
    "mlflow_exporter_evaluation_duration_seconds",
    "histogram",
    "Duration of the evaluation of one version, in seconds.",
    buckets=LATENCY_BOUNDS,
)
INGEST_DURATION = Metric(
    "mlflow_exporter_ingest_duration_seconds",
    "histogram",
    "Time from the receipt of a batch to its durable commit, in seconds.",
    buckets=LATENCY_BOUNDS,
)
INGEST_ROWS = Metric(
    "mlflow_exporter_ingest_rows_total",
    "counter",
    "Rows received, by kind and outcome; produced: the brokers of Kafka have them, and the worker that takes "
    "them counts them once more.",
    ("kind", "outcome"),
)
INGEST_REQUESTS = Metric(
    "mlflow_exporter_ingest_requests_total",
    "counter",
    "Requests with samples, by kind and by the status of the answer.",
    ("kind", "status"),
)
DROPPED_ROWS = Metric(
    "mlflow_exporter_dropped_rows_total",
    "counter",
    "Rows not counted, by reason: too_old, future, no_version (the alias pointed to no version).",
    ("reason",),
)
NAIVE_TIMESTAMPS = Metric(
    "mlflow_exporter_naive_timestamps_total",
    "counter",
    "Rows whose time had no zone and was taken as UTC.",
)
CLOSED_CONNECTIONS = Metric(
    "mlflow_exporter_closed_connections_total",
    "counter",
    "Connections closed by the exporter, by reason: the client stalled (timeout), too many "
    "connections (limit), the head of a request too large (head).",
    ("reason",),
)
SERVING_REPORTS = Metric(
    "mlflow_exporter_serving_reports_total",
    "counter",
    "Reports of serving processes, by outcome: accepted, left_out (too many processes), rejected.",
    ("outcome",),
)
STORE_ERRORS = Metric(
    "mlflow_exporter_store_errors_total",
    "counter",
    "Failures of the store, by reason: failed, damaged, missing, lost.",
    ("reason",),
)
TELEMETRY_CATALOG = (
    *GAUGES.values(),
    BUILD_INFO,
    SHARD_INFO,
    ADDRESS_INFO,
    LEADER,
    LEASE_TRANSITIONS,
    LABELS_UNMATCHED,
    POLL_ERRORS,
    EVALUATION_ERRORS,
    EVALUATION_DURATION,
    INGEST_DURATION,
    INGEST_ROWS,
    INGEST_REQUESTS,
    DROPPED_ROWS,
    NAIVE_TIMESTAMPS,
    CLOSED_CONNECTIONS,
    SERVING_REPORTS,
    STORE_ERRORS,
    *CAPTURE_CATALOG,
    *GROUP_CATALOG,
    *REMEDIATION_CATALOG,
    *REPORTS_CATALOG,
    *PROCESS_CATALOG,
)
_BY_OPENMETRICS_NAME = {metric.openmetrics_name: metric for metric in TELEMETRY_CATALOG}


class Telemetry(Collector):
    """The exporter's own metrics. Methods may be called from any thread.

    The public attributes are gauges, each assigned by its one owner; None means unknown and gives no series.
    `mlflow_last_success` and `config_last_success` are in seconds since the epoch. `addresses` are URLs by
    program, "mlflow" and "exporter"; an empty one gives no series. `shard` is None where there is but one.
    `capture` has the metrics of
    inference loggers' events, `remediation` those of remediation and audit, `reports` those of reports.
    `leads` is true while this process leads, `count_transitions` returns how often it took over; where the
    first is None, as in a process that never leads, neither gives a series.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.mlflow_up: bool | None = None
        self.mlflow_last_success: float | None = None
        self.unmonitored_versions: int | None = None
        self.config_successful: bool | None = None
        self.config_last_success: float | None = None
        self.shard: Shard | None = None
        self.queue_rows = 0
        self.store_bytes: int | None = None
        self.store_limit_bytes: int | None = None
        self.addresses: Mapping[str, str] = {}
        self.leads: Callable[[], bool] | None = None
        self.count_transitions: Callable[[], int] = lambda: 0

        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._lock = Lock()
        self._watched: frozenset[tuple[str, str]] = frozenset()
        self._labels_unmatched = self._counter(LABELS_UNMATCHED)
        self._evaluation_errors = self._counter(EVALUATION_ERRORS)
        self._evaluation_duration = self._histogram(EVALUATION_DURATION)
        self._ingest_duration = self._histogram(INGEST_DURATION)
        self._naive_timestamps = self._counter(NAIVE_TIMESTAMPS)
        self._poll_errors = self._series(POLL_ERRORS, product(get_args(PollStage)))
        outcomes = ((kind, outcome) for kind, found in OUTCOMES.items() for outcome in found)
        self._ingest_rows = self._series(INGEST_ROWS, outcomes)
        self._ingest_requests = self._series(INGEST_REQUESTS, product(OUTCOMES, STATUSES))
        self._dropped_rows = self._series(DROPPED_ROWS, product(get_args(DropReason)))
        self._closed_connections = self._series(CLOSED_CONNECTIONS, product(get_args(CloseReason)))
        self._serving_reports = self._series(SERVING_REPORTS, product(get_args(ReportOutcome)))
        self._store_errors = self._series(STORE_ERRORS, product(get_args(StoreFault)))
        self.capture = CaptureTelemetry(self._registry)
        self.remediation = RemediationTelemetry(self._registry, clock)
        self.reports = ReportsTelemetry(self._registry, clock)
        self._registry.register(ProcessMetrics())

    @property
    def shards(self) -> int | None:
        return None if self.shard is None else self.shard.shards

    def add_group(self) -> GroupTelemetry:
        """Have the metrics of a worker of a Kafka group, which other processes lack."""
        return GroupTelemetry(self._registry)

    def _counter(self, metric: Metric) -> Counter:
        return Counter(metric.name, metric.help, metric.labels, registry=self._registry)

    def _series(
        self, metric: Metric, labels: Iterable[tuple[object, ...]]
    ) -> dict[tuple[object, ...], Counter]:
        """Series of a counter, from 0, by their labels."""
        counter = self._counter(metric)
        return {each: counter.labels(*each) for each in labels}

    def _histogram(self, metric: Metric) -> Histogram:
        return Histogram(metric.name, metric.help, buckets=metric.buckets, registry=self._registry)

    def count_rows(self, kind: RowKind, outcome: Outcome, rows: int = 1) -> None:
        """Count received rows by outcome."""
        self._ingest_rows[kind, outcome].inc(rows)

    def count_request(self, kind: RowKind, status: int) -> None:
        """Count a request with rows by the status of its answer, one of `STATUSES`."""
        self._ingest_requests[kind, status].inc()

    def count_dropped_rows(self, reason: DropReason, rows: int = 1) -> None:
        """Count received rows that are in no aggregate."""
        self._dropped_rows[reason,].inc(rows)

    def count_closed_connection(self, reason: CloseReason) -> None:
        """Count a connection that the exporter cut."""
        self._closed_connections[reason,].inc()

    def count_serving_report(self, outcome: ReportOutcome) -> None:
        """Count a report of a serving process."""
        self._serving_reports[outcome,].inc()

    def count_naive_timestamps(self, rows: int) -> None:
        """Count rows whose time came without a zone."""
        self._naive_timestamps.inc(rows)

    def count_poll_error(self, stage: PollStage) -> None:
        """Count a failed poll of MLflow."""
        self._poll_errors[stage,].inc()

    def count_store_error(self, reason: StoreFault) -> None:
        """Count a failure of the store."""
        self._store_errors[reason,].inc()

    def count_unmatched_labels(self, model: str, labels: int) -> None:
        """Count labels whose prediction never came; ignored unless a version of the model is monitored."""
        with self._lock:
            if any(name == model for name, _ in self._watched):
                self._labels_unmatched.labels(model).inc(labels)

    def count_evaluation_error(self, model: str, version: str, stage: Stage) -> None:
        """Count a failure of a version; ignored unless the version is monitored."""
        with self._lock:
            if (model, version) in self._watched:
                self._evaluation_errors.labels(model, version, stage).inc()

    def watch_version(self, model: str, version: str) -> None:
        """Start the counters of a version at 0, unless it has them."""
        with self._lock:
            self._watched |= {(model, version)}
            self._labels_unmatched.labels(model)
            for stage in get_args(Stage):
                self._evaluation_errors.labels(model, version, stage)

    def forget_version(self, model: str, version: str) -> None:
        """Drop the counters of a version that is not monitored any more."""
        with self._lock:
            self._watched -= {(model, version)}
            self._evaluation_errors.remove_by_labels({"model": model, "model_version": version})
            if not any(name == model for name, _ in self._watched):
                self._labels_unmatched.remove(model)

    def observe_evaluation(self, seconds: float) -> None:
        """Record how long the evaluation of one version took."""
        self._evaluation_duration.observe(seconds)

    def observe_ingest(self, seconds: float) -> None:
        """Record the time from the receipt of a batch to its commit."""
        self._ingest_duration.observe(seconds)

    def collect(self) -> Iterable[ClientMetric]:
        """Known gauges, the exporter's version, addresses, and the lease."""
        for attribute, metric in GAUGES.items():
            value = getattr(self, attribute)
            if value is not None:
                yield GaugeMetricFamily(metric.name, metric.help, value)
        if self.shard is not None:
            shard = GaugeMetricFamily(SHARD_INFO.name, SHARD_INFO.help, labels=SHARD_INFO.labels)
            shard.add_metric((str(self.shard.number), str(self.shard.shards)), 1)
            yield shard
        build = GaugeMetricFamily(BUILD_INFO.name, BUILD_INFO.help, labels=BUILD_INFO.labels)
        build.add_metric((__version__,), 1)
        yield build
        addresses = GaugeMetricFamily(ADDRESS_INFO.name, ADDRESS_INFO.help, labels=ADDRESS_INFO.labels)
        for program, url in self.addresses.items():
            if url:
                addresses.add_metric((program, url), 1)
        yield addresses
        if self.leads is not None:
            yield GaugeMetricFamily(LEADER.name, LEADER.help, float(self.leads()))
            name = LEASE_TRANSITIONS.openmetrics_name
            yield CounterMetricFamily(name, LEASE_TRANSITIONS.help, self.count_transitions())

    def families(self) -> list[tuple[Metric, ClientMetric]]:
        """Own metrics with their samples, without empty ones.

        Left out are the `_created` series of prometheus-client, which can only be switched off for the whole
        process, and metrics that another release of it may add.
        """
        families = []
        for found in self._registry.collect():
            metric = _BY_OPENMETRICS_NAME.get(found.name)
            if metric is not None:
                family = ClientMetric(found.name, metric.help, found.type)
                family.samples = [each for each in found.samples if not each.name.endswith("_created")]
                families += [(metric, family)] if family.samples else []
        return families

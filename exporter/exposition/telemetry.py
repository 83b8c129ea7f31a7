"""What the exporter says about itself: counters and histograms of its own work, and the process it runs in.

    mlflow_exporter_ingest_rows_total{kind="prediction",outcome="accepted"} 1204
    mlflow_exporter_dropped_rows_total{reason="too_old"} 0

Every known combination of labels is there from 0, or `increase()` would miss the first event.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from threading import Lock
from typing import Literal, get_args

from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from exporter import __version__
from exporter.aggregates.block import LATENCY_BOUNDS
from exporter.exposition.catalog import BY_NAME
from exporter.exposition.render import Family, histogram_prefixes, histogram_values, render_prefix

Kind = Literal["prediction", "label"]
Outcome = Literal["accepted", "duplicate", "conflict", "unmatched", "correction", "rejected"]
OUTCOMES: dict[Kind, tuple[Outcome, ...]] = {
    "prediction": ("accepted", "duplicate", "conflict", "rejected"),
    "label": ("accepted", "unmatched", "correction", "duplicate", "rejected"),
}
# no_version: sent by an alias that pointed to no version at the time of the row.
DropReason = Literal["too_old", "future", "no_version"]
# timeout: the client did not go on; limit: too many were open; head: the head of its request was too large.
CloseReason = Literal["timeout", "limit", "head"]
# Of answers to samples: taken, the client hung up, the refusals of `RequestError`, and an error of ours.
STATUSES = (202, 400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503)
# ask: MLflow; follow: take over what it answered.
PollStage = Literal["ask", "follow"]
# reference: find, read and profile it; evaluation: the version's; store: keep or read the reference.
Stage = Literal["reference", "evaluation", "store"]

# failed: the disk is full, another holds a lock, PostgreSQL is away; damaged: it cannot be read; missing: its
# files were deleted or replaced; lost: memory may differ from it.
StoreFault = Literal["failed", "damaged", "missing", "lost"]


class _Histogram:
    """Counts of durations by bucket, with the bounds of `LATENCY_BOUNDS`; its owner locks."""

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self.sum += seconds


class Telemetry:
    """The exporter's own figures. Methods may be called from any thread.

    The public attributes are gauges, each assigned by the one who knows; None is not known yet and gives no
    series. `mlflow_last_success` and `config_last_success` are in seconds since the epoch.
    """

    def __init__(self) -> None:
        self.mlflow_up: bool | None = None
        self.mlflow_last_success: float | None = None
        self.unmonitored_versions: int | None = None
        self.config_successful: bool | None = None
        self.config_last_success: float | None = None
        self.queue_rows = 0
        self.store_bytes: int | None = None
        self.store_limit_bytes: int | None = None

        self._lock = Lock()
        self._ingest_rows = {(kind, outcome): 0 for kind, found in OUTCOMES.items() for outcome in found}
        self._ingest_requests = {(kind, status): 0 for kind in OUTCOMES for status in STATUSES}
        self._dropped_rows = dict.fromkeys(get_args(DropReason), 0)
        self._closed_connections = dict.fromkeys(get_args(CloseReason), 0)
        self._naive_timestamps = 0
        self._unmatched_labels: dict[str, int] = {}
        self._evaluation_errors: dict[tuple[str, str, str], int] = {}
        self._store_errors = dict.fromkeys(get_args(StoreFault), 0)
        self._poll_errors = dict.fromkeys(get_args(PollStage), 0)
        self._evaluation_duration = _Histogram()
        self._ingest_duration = _Histogram()
        self._process = ProcessCollector(registry=None)
        self._platform = PlatformCollector(registry=None)

    def count_rows(self, kind: Kind, outcome: Outcome, rows: int = 1) -> None:
        """Count rows received by what became of them."""
        with self._lock:
            self._ingest_rows[kind, outcome] += rows

    def count_request(self, kind: Kind, status: int) -> None:
        """Count a request with samples by the status of its answer, one of `STATUSES`."""
        with self._lock:
            self._ingest_requests[kind, status] += 1

    def count_dropped_rows(self, reason: DropReason, rows: int = 1) -> None:
        """Count rows that were received and are in no aggregate."""
        with self._lock:
            self._dropped_rows[reason] += rows

    def count_closed_connection(self, reason: CloseReason) -> None:
        """Count a connection that was closed on a client that had not."""
        with self._lock:
            self._closed_connections[reason] += 1

    def count_unmatched_labels(self, model: str, labels: int) -> None:
        """Count labels that waited for their prediction in vain."""
        with self._lock:
            self._unmatched_labels[model] = self._unmatched_labels.get(model, 0) + labels

    def count_naive_timestamps(self, rows: int) -> None:
        """Count rows whose time came without a zone."""
        with self._lock:
            self._naive_timestamps += rows

    def count_evaluation_error(self, model: str, version: str, stage: Stage) -> None:
        """Count a failure of a version; one that comes after `forget_version` does not count."""
        with self._lock:
            if (model, version, stage) in self._evaluation_errors:
                self._evaluation_errors[model, version, stage] += 1

    def count_poll_error(self, stage: PollStage) -> None:
        """Count a poll of MLflow that failed."""
        with self._lock:
            self._poll_errors[stage] += 1

    def count_store_error(self, reason: StoreFault) -> None:
        """Count a failure of the store."""
        with self._lock:
            self._store_errors[reason] += 1

    def watch_version(self, model: str, version: str) -> None:
        """Start counters of a version at 0, unless there are some."""
        with self._lock:
            for stage in get_args(Stage):
                self._evaluation_errors.setdefault((model, version, stage), 0)

    def forget_version(self, model: str, version: str) -> None:
        """Drop the counters of a version that is not monitored any more."""
        with self._lock:
            for stage in get_args(Stage):
                self._evaluation_errors.pop((model, version, stage), None)

    def observe_evaluation(self, seconds: float) -> None:
        """Record how long one version's evaluation took."""
        with self._lock:
            self._evaluation_duration.observe(seconds)

    def observe_ingest(self, seconds: float) -> None:
        """Record the time from a batch's receipt to its commit."""
        with self._lock:
            self._ingest_duration.observe(seconds)

    def families(self, versions: Iterable[tuple[str, str]]) -> list[Family]:
        """All of it. `versions` are the (model, version) that are shown."""
        with self._lock:
            unmatched = {model: self._unmatched_labels.get(model, 0) for model, _ in versions}
            families = [
                _family("mlflow_exporter_build_info", [((__version__,), 1)]),
                _family("mlflow_exporter_evaluation_errors_total", self._evaluation_errors.items()),
                _family(
                    "mlflow_model_labels_unmatched_total",
                    [((model,), labels) for model, labels in unmatched.items()],
                ),
                _family("mlflow_exporter_ingest_rows_total", self._ingest_rows.items()),
                _family(
                    "mlflow_exporter_ingest_requests_total",
                    [((kind, str(status)), count) for (kind, status), count in self._ingest_requests.items()],
                ),
                _family(
                    "mlflow_exporter_dropped_rows_total",
                    [((reason,), rows) for reason, rows in self._dropped_rows.items()],
                ),
                _family(
                    "mlflow_exporter_closed_connections_total",
                    [((reason,), closed) for reason, closed in self._closed_connections.items()],
                ),
                _family(
                    "mlflow_exporter_poll_errors_total",
                    [((stage,), failed) for stage, failed in self._poll_errors.items()],
                ),
                _family(
                    "mlflow_exporter_store_errors_total",
                    [((reason,), failed) for reason, failed in self._store_errors.items()],
                ),
                _family("mlflow_exporter_naive_timestamps_total", [((), self._naive_timestamps)]),
                _histogram_family("mlflow_exporter_evaluation_duration_seconds", self._evaluation_duration),
                _histogram_family("mlflow_exporter_ingest_duration_seconds", self._ingest_duration),
            ]
        gauges = {
            "mlflow_up": self.mlflow_up,
            "mlflow_last_success_timestamp_seconds": self.mlflow_last_success,
            "mlflow_exporter_unmonitored_versions": self.unmonitored_versions,
            "mlflow_exporter_config_last_reload_successful": self.config_successful,
            "mlflow_exporter_config_last_reload_success_timestamp_seconds": self.config_last_success,
            "mlflow_exporter_queue_rows": self.queue_rows,
            "mlflow_exporter_store_bytes": self.store_bytes,
            "mlflow_exporter_store_limit_bytes": self.store_limit_bytes,
        }
        families += [_family(name, [((), value)]) for name, value in gauges.items() if value is not None]
        return families + self._process_families()

    def _process_families(self) -> list[Family]:
        try:
            process = list(self._process.collect())
        except ValueError:  # an unlimited number of file descriptors is no number to it
            process = []
        samples = [sample for found in (*process, *self._platform.collect()) for sample in found.samples]
        families = []
        for sample in samples:
            metric = BY_NAME.get(sample.name)
            if metric is not None:  # another release of the client may have others, which nobody documents
                labels = tuple(sample.labels[label] for label in metric.labels)
                families.append(_family(metric.name, [(labels, sample.value)]))
        return families


def _family(name: str, samples: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    """A family from pairs of label values and value."""
    metric = BY_NAME[name]
    pairs = list(samples)
    prefixes = [render_prefix(metric, labels) for labels, _ in pairs]
    return Family(metric, prefixes, [value for _, value in pairs])


def _histogram_family(name: str, histogram: _Histogram) -> Family:
    metric = BY_NAME[name]
    prefixes = histogram_prefixes(metric, (), LATENCY_BOUNDS)
    return Family(metric, prefixes, histogram_values(histogram.counts, histogram.sum))

"""Metrics of a worker of a Kafka group.

    mlflow_exporter_kafka_lag{partition="3"} 120.0
    mlflow_exporter_kafka_dead_letters_total{reason="undecodable"} 1.0

Each partition is on the page of the worker that has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter
from prometheus_client import Metric as ClientMetric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from exporter.exposition.metric import Metric

# taken: committed; dead: committed as a dead letter; expired: deleted by the brokers before it was read.
MessageOutcome = Literal["taken", "dead", "expired"]
# undecodable: no message of ours; too_large, unsupported: as a request is refused; unknown: model, version or
# alias; unavailable: its reference was not ready in time; refused: for its content by the store; internal: an
# error of ours.
DeadReason = Literal[
    "undecodable", "too_large", "unsupported", "unknown", "unavailable", "refused", "internal"
]

LAG = Metric(
    "mlflow_exporter_kafka_lag",
    "gauge",
    "Messages of a partition that are not committed.",
    ("partition",),
)
LAG_SECONDS = Metric(
    "mlflow_exporter_kafka_lag_seconds",
    "gauge",
    "Age of the last committed message of a partition while later ones wait, in seconds; 0 if none does.",
    ("partition",),
)
PARTITIONS = Metric("mlflow_exporter_kafka_partitions", "gauge", "Partitions of the topic.")
ASSIGNED = Metric(
    "mlflow_exporter_kafka_assigned_partitions",
    "gauge",
    "Partitions that this worker has, by state: consuming, waiting (for PostgreSQL, a reference or a "
    "discovered version).",
    ("state",),
)
MESSAGES = Metric(
    "mlflow_exporter_kafka_messages_total",
    "counter",
    "Messages by outcome: taken, dead (in the dead-letter topic), expired (deleted by the brokers before "
    "they were read).",
    ("outcome",),
)
DEAD_LETTERS = Metric(
    "mlflow_exporter_kafka_dead_letters_total",
    "counter",
    "Messages in the dead-letter topic, by reason: undecodable, too_large, unsupported, unknown (model, "
    "version or alias), unavailable (its reference was not ready in time), refused (by the store), internal.",
    ("reason",),
)
COMMITS = Metric(
    "mlflow_exporter_kafka_commits_total", "counter", "Commits of messages together with their offset."
)
GROUP_CATALOG = (LAG, LAG_SECONDS, PARTITIONS, ASSIGNED, MESSAGES, DEAD_LETTERS, COMMITS)


@dataclass(frozen=True)
class Lag:
    """Messages that wait in a partition, and the age of the last committed one."""

    messages: int
    seconds: float


class GroupTelemetry(Collector):
    """Metrics of a worker. Methods may be called from any thread.

    `lags` by partition, `partitions` and the numbers of assigned ones are gauges, set by the worker's thread;
    `partitions` is None until the brokers have answered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.lags: Mapping[int, Lag] = {}
        self.partitions: int | None = None
        self.consuming = self.waiting = 0
        messages = Counter(MESSAGES.name, MESSAGES.help, MESSAGES.labels, registry=registry)
        self._messages = {outcome: messages.labels(outcome) for outcome in get_args(MessageOutcome)}
        dead = Counter(DEAD_LETTERS.name, DEAD_LETTERS.help, DEAD_LETTERS.labels, registry=registry)
        self._dead = {reason: dead.labels(reason) for reason in get_args(DeadReason)}
        self._commits = Counter(COMMITS.name, COMMITS.help, registry=registry)
        registry.register(self)

    def count_messages(self, outcome: MessageOutcome, messages: int) -> None:
        self._messages[outcome].inc(messages)

    def count_dead_letter(self, reason: DeadReason) -> None:
        """Count a message that the dead-letter topic has, and that is committed as dead."""
        self._dead[reason].inc()
        self._messages["dead"].inc()

    def count_commit(self) -> None:
        self._commits.inc()

    def collect(self) -> Iterable[ClientMetric]:
        """Gauges of the partitions."""
        lag = GaugeMetricFamily(LAG.name, LAG.help, labels=LAG.labels)
        seconds = GaugeMetricFamily(LAG_SECONDS.name, LAG_SECONDS.help, labels=LAG_SECONDS.labels)
        for partition, found in self.lags.items():
            lag.add_metric((str(partition),), found.messages)
            seconds.add_metric((str(partition),), found.seconds)
        yield from (lag, seconds)
        if self.partitions is not None:
            yield GaugeMetricFamily(PARTITIONS.name, PARTITIONS.help, self.partitions)
        assigned = GaugeMetricFamily(ASSIGNED.name, ASSIGNED.help, labels=ASSIGNED.labels)
        assigned.add_metric(("consuming",), self.consuming)
        assigned.add_metric(("waiting",), self.waiting)
        yield assigned

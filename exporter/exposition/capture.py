"""Metrics of capture.

    mlflow_exporter_cloudevents_total{kind="request",outcome="unanswered"} 1.0
    mlflow_exporter_cloudevents_waiting 12.0

An event that waits for the other half of its exchange has no outcome yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter
from prometheus_client import Metric as ClientMetric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from exporter.exposition.metric import Metric

EventKind = Literal["request", "response", "unknown"]
EventOutcome = Literal[
    "taken", "duplicate", "reused", "unanswered", "unrequested", "unreadable", "unmapped", "ignored",
    "overflow", "refused", "unauthorized",
]  # fmt: skip
_OF_HALVES: tuple[EventOutcome, ...] = (
    "taken", "duplicate", "reused", "unreadable", "unmapped", "ignored", "overflow", "refused",
)  # fmt: skip
EVENT_OUTCOMES: dict[EventKind, tuple[EventOutcome, ...]] = {
    "request": (*_OF_HALVES, "unanswered"),
    "response": (*_OF_HALVES, "unrequested"),
    "unknown": ("unreadable", "unauthorized"),
}

CLOUDEVENTS = Metric(
    "mlflow_exporter_cloudevents_total",
    "counter",
    "Events of inference loggers, by kind (request, response, unknown) and outcome: taken, duplicate, "
    "reused (an id with other content), unanswered or unrequested (its other half never came), unreadable, "
    "unmapped (a service of no version), ignored (another component), overflow (too many wait), "
    "refused (429 or 503), unauthorized.",
    ("kind", "outcome"),
)
WAITING = Metric(
    "mlflow_exporter_cloudevents_waiting", "gauge", "Events that wait for the other half of their exchange."
)
WAITING_BYTES = Metric(
    "mlflow_exporter_cloudevents_waiting_bytes", "gauge", "Memory of the waiting events, in bytes."
)
CAPTURE_CATALOG = (CLOUDEVENTS, WAITING, WAITING_BYTES)


class CaptureTelemetry(Collector):
    """Counts of events; `waiting` and `waiting_bytes` are gauges. Methods may be called from any thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.waiting = 0
        self.waiting_bytes = 0
        events = Counter(CLOUDEVENTS.name, CLOUDEVENTS.help, CLOUDEVENTS.labels, registry=registry)
        self._events = {
            (kind, outcome): events.labels(kind, outcome)
            for kind, outcomes in EVENT_OUTCOMES.items()
            for outcome in outcomes
        }
        registry.register(self)

    def count(self, kind: EventKind, outcome: EventOutcome) -> None:
        """Count an event whose outcome is known now."""
        self._events[kind, outcome].inc()

    def collect(self) -> Iterable[ClientMetric]:
        """Gauges of the waiting room."""
        yield GaugeMetricFamily(WAITING.name, WAITING.help, self.waiting)
        yield GaugeMetricFamily(WAITING_BYTES.name, WAITING_BYTES.help, self.waiting_bytes)

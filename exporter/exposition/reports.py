"""Metrics of reports.

    mlflow_exporter_reports_total{outcome="done",trigger="verdict"} 1.0
    mlflow_exporter_reports_waiting 2.0
    mlflow_exporter_report_sendings_total{destination="mlflow",outcome="sent"} 1.0
    mlflow_exporter_reports_unsent{destination="mlflow"} 0.0

Counters are of this process. The gauges are read from the store, so they are the same after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client import Metric as ClientMetric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from exporter.exposition.metric import VERSION, Metric
from exporter.storage.report_sending import DESTINATIONS, DestinationName
from exporter.storage.reports import TRIGGERS, Trigger

# repeated: the attempt failed, and the report waits for the next one.
ReportOutcome = Literal["done", "failed", "repeated"]
SendOutcome = Literal["sent", "refused", "given_up", "down"]

REPORTS = Metric(
    "mlflow_exporter_reports_total",
    "counter",
    "Attempts to make a report, by trigger (request, action, verdict, schedule) and outcome (done, failed, "
    "repeated: it is tried again).",
    ("outcome", "trigger"),
)
DURATION = Metric(
    "mlflow_exporter_report_duration_seconds",
    "histogram",
    "Duration of an attempt to make a report, in seconds.",
    buckets=(1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0),
)
WAITING = Metric(
    "mlflow_exporter_reports_waiting", "gauge", "Reports that wait to be made or are being made."
)
OLDEST_WAITING = Metric(
    "mlflow_exporter_reports_oldest_waiting_seconds",
    "gauge",
    "Time since the oldest report that waits was asked for, in seconds; absent if none waits.",
)
REPORT_TIME = Metric(
    "mlflow_model_report_timestamp_seconds",
    "gauge",
    "Time at which the newest report of the version was done, in seconds since the epoch.",
    VERSION,
)
SENDINGS = Metric(
    "mlflow_exporter_report_sendings_total",
    "counter",
    "Attempts to send a report that is done, by destination (mlflow, evidently) and outcome (sent, refused: "
    "it is tried again, given_up, down: all reports wait).",
    ("destination", "outcome"),
)
UNSENT = Metric(
    "mlflow_exporter_reports_unsent",
    "gauge",
    "Reports that are done and wait to be sent, by destination (mlflow, evidently).",
    ("destination",),
)
REPORTS_CATALOG = (SENDINGS, UNSENT, REPORTS, DURATION, WAITING, OLDEST_WAITING, REPORT_TIME)


@dataclass(frozen=True)
class ReportsView:
    """Reports as the store has them. Times are in seconds since the epoch.

    Attributes:
        waiting: number of reports that wait or are being made.
        oldest: time at which the oldest of these was asked for.
        done: time at which the newest report was done, by model and version.
    """

    waiting: int = 0
    oldest: float | None = None
    done: Mapping[tuple[str, str], float] = field(default_factory=dict)


class ReportsTelemetry(Collector):
    """Metrics of reports. Methods may be called from any thread.

    `view` and `unsent`, the number of reports that wait to be sent by destination, have one owner each, which
    replaces them as a whole; None is unknown.
    """

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        self.view: ReportsView | None = None
        self.unsent: Mapping[DestinationName, int] | None = None
        self._clock = clock
        attempts = Counter(REPORTS.name, REPORTS.help, REPORTS.labels, registry=registry)
        self._attempts = {
            (outcome, trigger): attempts.labels(outcome, trigger)
            for outcome, trigger in product(get_args(ReportOutcome), TRIGGERS)
        }
        self._duration = Histogram(DURATION.name, DURATION.help, buckets=DURATION.buckets, registry=registry)
        sendings = Counter(SENDINGS.name, SENDINGS.help, SENDINGS.labels, registry=registry)
        self._sendings = {
            (destination, outcome): sendings.labels(destination, outcome)
            for destination, outcome in product(DESTINATIONS, get_args(SendOutcome))
        }
        registry.register(self)

    def count(self, outcome: ReportOutcome, trigger: Trigger, seconds: float) -> None:
        """Count an attempt to make a report, and record how long it took."""
        self._attempts[outcome, trigger].inc()
        self._duration.observe(seconds)

    def count_sending(self, destination: DestinationName, outcome: SendOutcome) -> None:
        """Count an attempt to send a report that is done."""
        self._sendings[destination, outcome].inc()

    def collect(self) -> Iterable[ClientMetric]:
        """Gauges that are known."""
        if self.unsent is not None:
            unsent = GaugeMetricFamily(UNSENT.name, UNSENT.help, labels=UNSENT.labels)
            for destination, count in self.unsent.items():
                unsent.add_metric([destination], count)
            yield unsent
        if (view := self.view) is None:
            return
        yield GaugeMetricFamily(WAITING.name, WAITING.help, view.waiting)
        if view.oldest is not None:
            age = max(self._clock() - view.oldest, 0.0)
            yield GaugeMetricFamily(OLDEST_WAITING.name, OLDEST_WAITING.help, age)
        done = GaugeMetricFamily(REPORT_TIME.name, REPORT_TIME.help, labels=REPORT_TIME.labels)
        for names, at in view.done.items():
            done.add_metric(names, at)
        yield done

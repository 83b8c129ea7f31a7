"""Metrics of the sending of reports.

    mlflow_exporter_report_sendings_total{destination="mlflow",outcome="sent"} 1.0
    mlflow_exporter_reports_unsent{destination="mlflow"} 0.0

Counters are of this process; the gauge is read from the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter
from prometheus_client import Metric as ClientMetric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from exporter.exposition.metric import Metric
from exporter.storage.report_sending import DESTINATIONS, DestinationName

SendOutcome = Literal["sent", "refused", "given_up", "down"]

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
SENDING_CATALOG = (SENDINGS, UNSENT)


class SendingTelemetry(Collector):
    """Metrics of sending. Methods may be called from any thread.

    `unsent` is the number of reports that wait, by destination; None is unknown. Its one owner replaces it
    as a whole.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.unsent: Mapping[DestinationName, int] | None = None
        counter = Counter(SENDINGS.name, SENDINGS.help, SENDINGS.labels, registry=registry)
        self._sendings = {
            (destination, outcome): counter.labels(destination, outcome)
            for destination, outcome in product(DESTINATIONS, get_args(SendOutcome))
        }
        registry.register(self)

    def count(self, destination: DestinationName, outcome: SendOutcome) -> None:
        """Count an attempt to send a report."""
        self._sendings[destination, outcome].inc()

    def collect(self) -> Iterable[ClientMetric]:
        """The gauge, if it is known."""
        if self.unsent is None:
            return
        family = GaugeMetricFamily(UNSENT.name, UNSENT.help, labels=UNSENT.labels)
        for destination, count in self.unsent.items():
            family.add_metric([destination], count)
        yield family

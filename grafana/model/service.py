"""Panels on traffic, alerts, aliases, and the source of the version."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables
from promql import gauge, quantile, rate

from model import queries as q


def traffic() -> Iterator[panels.Panel]:
    name = "version {{model_version}}"

    def predictions(selector: str) -> str:
        return rate("mlflow_model_predictions_total", selector, "model_version")

    yield panels.stacked(
        panels.lines(
            "Predictions by version",
            "Predictions received per second, all replicas together: this version in blue, the model's "
            "other versions stacked above in grey.",
            panels.line(name, predictions(q.VERSION), look.LIVE),
            panels.Line(name, predictions(q.OTHER_VERSIONS), (look.shaded(look.REFERENCE),)),
            unit="rowsps",
            size=(12, 8),
            nothing="No predictions were received.",
        )
    ).id(links.MODEL.id("traffic"))
    yield panels.lines(
        "Latency of the model",
        "Time that the model took for a prediction, as reported by its callers: median, p90 and p99.",
        *panels.quantiles(lambda share: quantile(share, "mlflow_model_latency_seconds", q.VERSION)),
        unit="s",
        size=(12, 8),
        nothing="Callers report no latency.",
    )


def alerts_and_aliases() -> Iterator[panels.Panel]:
    yield panels.alerts(
        "Alerts of this version",
        "Alerts in Prometheus for this version, its model, or the exporter itself: pending, then firing. "
        "Click one for its runbook.",
        q.ALERTS_OVER_TIME,
        "{{alertname}} {{column}}",
        size=(13, 7),
    ).id(links.MODEL.id("alerts"))
    yield panels.aliases(size=(11, 7))


def version() -> Iterator[panels.Panel]:
    yield tables.facts(
        "Source of version $model_version",
        "The run in MLflow that made this version, and the source of its reference. Variation none: the "
        "reference has no timestamps, so the limits on drift are wide until two weeks of traffic have "
        "shown how much days differ (live); a column timestamp in the reference avoids that.",
        q.VERSION_INFO,
        tables.Key("task", "Task", [look.of_field("custom.width", 90)]),
        tables.Key("run_id", "Run", [look.of_field("custom.width", 280)]),
        tables.Key("reference_source", "Reference", [look.of_field("custom.width", 110)]),
        tables.Key("reference_digest", "Digest"),
        tables.Key("variation", "Variation", [look.of_field("custom.width", 90)]),
        size=(15, 5),
        nothing="This version is not monitored.",
    )
    yield tables.of(
        "Metrics of the source run",
        "Last values that the run logged, in the units of the run.",
        tables.Key("metric", "Metric"),
        tables.Column("Value", gauge("mlflow_model_version_metric", q.VERSION, "metric")),
        order="Metric",
        unit="none",
        decimals=4,
        size=(9, 5),
        nothing="The run logged no metrics.",
    )

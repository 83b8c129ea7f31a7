"""Panels on traffic, alerts, aliases, and the source of the version."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables
from grafana_foundation_sdk.models import common
from promql import gauge, quantile, rate

from model import queries as q
from model import verdict_queries as vq


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
    ).id(links.MODEL.id("latency"))


def alerts_and_aliases() -> Iterator[panels.Panel]:
    yield panels.alerts(
        "Alerts of this version",
        "Alerts in Prometheus for this version, its model, or the exporter itself: pending, then firing. "
        "Click one for its runbook.",
        vq.ALERTS_OVER_TIME,
        "{{alertname}} {{column}}",
        size=(13, 8),
    ).id(links.MODEL.id("alerts"))
    yield panels.aliases(size=(11, 8))


def version() -> Iterator[panels.Panel]:
    """The version, and the data that its verdicts are based on."""
    yield (
        panels.number(
            "Version $model_version",
            "Aliases of this version in MLflow, which deployments load. A version without an alias is no "
            "longer served; it is monitored for another day, so that a rollback can be judged.",
            q.ALIASES,
            unit="none",
            size=(5, 3),
        )
        .targets([panels.now(q.ALIASES, "{{alias}}")])
        .text_mode(common.BigValueTextMode.NAME)
    )
    yield panels.number(
        "Last prediction",
        "Age of the newest prediction. If it is old, the figures here do not describe the present.",
        q.SINCE_PREDICTION,
        unit="s",
        size=(5, 3),
    )
    yield panels.number(
        "Rows, $window",
        "Predictions that the verdicts are based on. With fewer than some hundreds only gross drift can "
        "be detected.",
        gauge("mlflow_model_window_rows", q.WINDOW),
        unit="short",
        size=(4, 3),
    )
    yield panels.number(
        "Reference",
        "The data that live data is compared with. Provisional: the reference has no timestamps, so the "
        "limits on drift are wide until two weeks of traffic have shown how much days differ (Learned); a "
        "column timestamp in the reference avoids that.",
        q.REFERENCE_STATE,
        unit="none",
        words={
            2: ("Complete", look.GOOD),
            1: ("Learned", look.GOOD),
            0: ("Provisional", look.NEAR),
            -1: ("No reference", look.BEYOND),
        },
        size=(5, 3),
    )
    yield panels.number(
        "Evaluated",
        "Age of the last evaluation of this version, which happens every 30 seconds by default. If it grows, "
        "the figures on this page are old.",
        q.SINCE_EVALUATION,
        unit="s",
        size=(5, 3),
    )
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

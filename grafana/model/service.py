"""What goes in, what alerts, and whether the figures can be trusted."""

from __future__ import annotations

from collections.abc import Iterator

import look
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.models import common
from promql import gauge, increase, quantile, rate

from model import queries as q


def traffic() -> Iterator[look.Panel]:
    predictions, name = "mlflow_model_predictions_total", "version {{model_version}}"
    yield (
        look.lines(
            "Predictions by version",
            "Predictions taken per second, all replicas together: this version in blue, the model's others "
            "stacked above in grey.",
            unit="rowsps",
            width=12,
            height=8,
        )
        .stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
        .fill_opacity(25)
        .line_width(1)
        .color_scheme(look.fixed(look.LIVE))
        .override_by_query("others", [look.shaded(look.REFERENCE)])
        .no_value("No predictions were taken.")
        .with_target(look.query(rate(predictions, q.VERSION, "model_version"), name, "chosen"))
        .with_target(look.query(rate(predictions, q.OTHER_VERSIONS, "model_version"), name, "others"))
    )
    latency = look.lines(
        "Latency of the model",
        "Time the model took for a prediction, as its callers report it: the median, and what the slowest "
        "tenth and hundredth exceed.",
        unit="s",
        width=12,
        height=8,
    ).no_value("Callers report no latency.")
    for share, color in ((0.99, "dark-blue"), (0.9, "blue"), (0.5, "light-blue")):
        name = f"p{share * 100:.0f}"
        target = look.query(quantile(share, "mlflow_model_latency_seconds", q.VERSION), name, name)
        latency = latency.with_target(target).override_by_name(name, [look.painted(color), look.unfilled()])
    yield latency


def alerts_and_aliases() -> Iterator[look.Panel]:
    yield (
        look.timeline(
            "Alerts of this version",
            "Alerts in Prometheus for this version, its model, or the exporter itself: pending, then firing.",
            unit="none",
            width=13,
            height=7,
        )
        .mappings(look.texts({2: ("firing", look.BAD), 1: ("pending", look.NEAR), 0: ("none", look.CALM)}))
        .no_value("No alert was pending or firing.")
        .with_target(look.query(q.ALERTS_OVER_TIME, "{{alertname}} {{column}}"))
    )
    yield (
        look.timeline(
            "Version behind each alias",
            "The version that each alias of the model pointed to; a border is a deployment or a rollback.",
            unit="none",
            width=11,
            height=7,
        )
        .show_value(common.VisibilityMode.ALWAYS)
        .align_value(common.TimelineValueAlignment.CENTER)
        .color_scheme(look.fixed(look.LIVE))
        .fill_opacity(35)
        .line_width(2)
        .legend(common_builders.VizLegendOptions().show_legend(False))
        .no_value("The model has no alias.")
        .with_target(look.query(q.ALIAS_VERSIONS, "{{alias}}"))
    )


def exporter() -> Iterator[look.Panel]:
    """Six figures on the exporter's own health, and two charts of its work."""
    yield (
        look.number(
            "MLflow",
            "Whether MLflow answered the last poll of every replica. While it does not, known versions are "
            "evaluated as before.",
            unit="none",
            width=4,
        )
        .mappings(look.texts({1: ("Reachable", look.GOOD), 0: ("Unreachable", look.BAD)}))
        .no_value("Exporter down")
        .with_target(look.now("min (mlflow_up)"))
    )
    yield (
        look.number(
            "Rows in the queue",
            "Rows that wait for their commit, all replicas together. While it is full, callers get 429.",
            unit="short",
            width=4,
        ).with_target(look.now("sum (mlflow_exporter_queue_rows)"))
    )
    used = f"{gauge('mlflow_exporter_store_bytes')} / {gauge('mlflow_exporter_store_limit_bytes')}"
    yield (
        look.number(
            "Store used",
            "Size of the durable store as a share of its limit, above which nothing more is taken.",
            unit="percentunit",
            width=4,
        )
        .decimals(1)
        .color_scheme(look.by_threshold())
        .thresholds(look.steps(look.PLAIN, (0.8, look.NEAR), (0.95, look.BAD)))
        .with_target(look.now(used))
    )
    yield look.number(
        "Series",
        "Series of monitored versions, all models together, that one replica exports.",
        unit="short",
        width=4,
    ).with_target(look.now(gauge("mlflow_exporter_series")))
    yield (
        look.number(
            "Series left out",
            "Series of bins that are not exported because of the limit on series; verdicts always are.",
            unit="short",
            width=4,
        )
        .mappings(look.texts({0: ("None", look.GOOD)}))
        .color_scheme(look.by_threshold())
        .thresholds(look.steps(look.PLAIN, (1, look.NEAR)))
        .with_target(look.now(gauge("mlflow_exporter_dropped_series")))
    )
    errors = increase("mlflow_exporter_evaluation_errors_total", q.VERSION, "$__range")
    yield (
        look.number(
            "Evaluation errors",
            "Failures while this version was prepared or evaluated, within the dashboard's time range.",
            unit="short",
            width=4,
        )
        .decimals(0)
        .mappings(look.texts({0: ("None", look.GOOD)}))
        .color_scheme(look.by_threshold())
        .thresholds(look.steps(look.PLAIN, (0.5, look.BAD)))
        .with_target(look.now(errors))
    )
    ingested = rate("mlflow_exporter_ingest_rows_total", "", "kind, outcome")
    dropped = rate("mlflow_exporter_dropped_rows_total", "", "reason")
    yield (
        look.lines(
            "Rows by outcome",
            "Rows received per second by what became of them, all models together. Dropped rows were "
            "received and not counted.",
            unit="rowsps",
            width=12,
            height=7,
        )
        .no_value("No rows were received.")
        .override_by_regexp(".*accepted", [look.painted(look.LIVE)])
        .override_by_regexp(".*duplicate", [look.painted(look.REFERENCE)])
        .override_by_regexp(".*conflict", [look.painted(look.NEAR)])
        .override_by_regexp(".*rejected", [look.painted(look.BEYOND)])
        .override_by_regexp("dropped .*", [look.painted(look.BAD)])
        .with_target(look.query(ingested, "{{kind}} {{outcome}}", "outcome"))
        .with_target(look.query(dropped, "dropped {{reason}}", "dropped"))
    )
    commit = quantile(0.99, "mlflow_exporter_ingest_duration_seconds")
    evaluation = quantile(0.99, "mlflow_exporter_evaluation_duration_seconds")
    yield (
        look.lines(
            "Time to commit and to evaluate",
            "What all but a hundredth stay below: the time from the receipt of a batch to its commit, and "
            "that of the evaluation of one version.",
            unit="s",
            width=12,
            height=7,
        )
        .no_value("Nothing was committed or evaluated.")
        .override_by_name("commit", [look.painted(look.LIVE)])
        .override_by_name("evaluation", [look.painted(look.OTHER)])
        .with_target(look.query(commit, "commit", "commit"))
        .with_target(look.query(evaluation, "evaluation", "evaluation"))
    )


def version() -> Iterator[look.Panel]:
    yield (
        look.listing(
            "Source of version $model_version",
            "The run in MLflow that made this version, and where its reference comes from. Variation none: "
            "how much the reference varies by nature is unknown, and verdicts are provisional.",
            unit="none",
            width=15,
            height=5,
        )
        .no_value("This version is not monitored.")
        .with_target(look.rows(q.VERSION_INFO, "A"))
        .with_transformation(
            look.arranged(
                {
                    "task": "Task",
                    "run_id": "Run",
                    "reference_source": "Reference",
                    "reference_digest": "Digest",
                    "variation": "Variation",
                },
                "Time",
                "Value",
            )
        )
        .override_by_name("Task", [look.of_field("custom.width", 110)])
        .override_by_name("Run", [look.of_field("custom.width", 290)])
        .override_by_name("Reference", [look.of_field("custom.width", 120)])
        .override_by_name("Variation", [look.of_field("custom.width", 100)])
    )
    yield (
        look.listing(
            "Metrics of the source run",
            "Last values that the run logged, in the run's own units.",
            unit="none",
            width=9,
            height=5,
        )
        .decimals(4)
        .no_value("The run logged no metrics.")
        .with_target(look.rows(gauge("mlflow_model_version_metric", q.VERSION, "metric"), "A"))
        .with_transformation(look.arranged({"metric": "Metric", "Value": "Value"}, "Time"))
    )

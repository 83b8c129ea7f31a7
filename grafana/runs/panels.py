"""One experiment and its newest runs, then all experiments."""

from __future__ import annotations

from collections.abc import Iterator

import look
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.models import common, dashboard

from runs import queries as q

_STATUSES = {
    "FINISHED": look.GOOD,
    "RUNNING": look.LIVE,
    "SCHEDULED": look.OTHER,
    "KILLED": look.REFERENCE,
    "FAILED": look.BAD,
}
_NO_RUN = "No run of this experiment has logged a metric that is exported."


def summary() -> Iterator[look.Panel]:
    yield look.number(
        "Runs",
        "Runs of the experiment that are not deleted, whatever their status.",
        unit="short",
        width=4,
    ).with_target(look.now(q.RUNS))
    statuses = (
        look.number(
            "Runs by status",
            "What became of the runs of the experiment. A status that no run has is left out.",
            unit="short",
            width=11,
        )
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME)
        .no_value("No runs")
        .with_target(look.now(q.STATUSES, "{{status}}"))
    )
    for status, color in _STATUSES.items():
        statuses = statuses.override_by_name(status, [look.painted(color)])
    yield statuses
    yield look.number(
        "Last run",
        "Time since the newest run of the experiment started: how old what is learned there is.",
        unit="s",
        width=5,
    ).with_target(look.now(q.SINCE_RUN))
    yield (
        look.number(
            "Series left out",
            "Series of experiments and runs, of all of them, that the limits keep from being exported.",
            unit="short",
            width=4,
        )
        .mappings(look.texts({0: ("None", look.GOOD)}))
        .color_scheme(look.by_threshold())
        .thresholds(look.steps(look.PLAIN, (1, look.NEAR)))
        .with_target(look.now(q.DROPPED))
    )


def newest() -> Iterator[look.Panel]:
    yield (
        look.listing(
            "Metrics of the newest runs",
            "Last values of the metrics of the newest runs, in the runs' own units; the run with the largest "
            "$metric is first. A metric that a run did not log has no value.",
            unit="none",
            width=14,
            height=14,
        )
        .decimals(4)
        .no_value(_NO_RUN)
        .with_target(look.rows(q.METRICS, "A"))
        .with_transformation(
            look.transformation(
                "groupingToMatrix",
                columnField="metric",
                rowField="run",
                valueField="Value",
                emptyValue="null",
            )
        )
        .with_transformation(look.arranged({"run\\metric": "Run"}))
        .with_transformation(look.sorted_by("$metric", descending=True))
        .override_by_regexp("^(?!Run$).*", look.column(115, decimals=4))
        .override_by_name("Run", [look.of_field("custom.minWidth", 220)])
    )
    yield (
        look.lines(
            "$metric of the newest runs over time",
            "Each line is a run, from when it first logged the metric: it moves while the run goes on, and "
            "is level afterwards.",
            unit="none",
            width=10,
            height=14,
            from_zero=False,
        )
        .decimals(4)
        .fill_opacity(0)
        .no_value(_NO_RUN)
        .legend(common_builders.VizLegendOptions().show_legend(False))
        .with_target(look.query(q.CHOSEN, "{{run_name}}"))
    )


def experiments() -> Iterator[look.Panel]:
    yield (
        look.listing(
            "Experiments",
            "Runs of every experiment; running includes scheduled, failed includes killed ones; and the time "
            "since the newest one started. Click an experiment to see its runs above.",
            unit="none",
            width=14,
            height=9,
        )
        .decimals(0)
        .no_value("MLflow has no experiments with runs, or they are not followed.")
        .with_target(look.rows(q.runs_of(".+"), "all"))
        .with_target(look.rows(q.runs_of("FINISHED"), "finished"))
        .with_target(look.rows(q.runs_of("RUNNING|SCHEDULED"), "running"))
        .with_target(look.rows(q.runs_of("FAILED|KILLED"), "failed"))
        .with_target(look.rows(q.ALL_SINCE_RUN, "age"))
        .transformations(
            look.merged(
                ("experiment",),
                {
                    "experiment": "Experiment",
                    "all": "Runs",
                    "finished": "Finished",
                    "running": "Running",
                    "failed": "Failed",
                    "age": "Last run",
                },
            )
        )
        .with_transformation(look.sorted_by("Last run"))
        .override_by_name("Experiment", _experiment_link())
        .override_by_regexp("Runs|Finished|Running|Failed", look.column(95, decimals=0))
        .override_by_name("Last run", [look.of_field("unit", "s"), *look.column(120, decimals=1)])
    )
    statuses = (
        look.lines(
            "Runs by status over time",
            "How many runs of the experiment have each status, stacked; a step up is a new run.",
            unit="short",
            width=10,
            height=9,
        )
        .decimals(0)
        .stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
        .line_interpolation(common.LineInterpolation.STEP_AFTER)
        .fill_opacity(25)
        .line_width(1)
        .no_value("The experiment has no runs.")
        .with_target(look.query(q.STATUSES, "{{status}}"))
    )
    for status, color in _STATUSES.items():
        statuses = statuses.override_by_name(status, [look.painted(color)])
    yield statuses


def _experiment_link() -> list[dashboard.DynamicConfigValue]:
    url = (
        "/d/mlflow-runs?${datasource:queryparam}&var-experiment=${__value.text:percentencode}"
        "&${__url_time_range}"
    )
    return [look.of_field("links", [{"title": "Show this experiment", "url": url}])]

"""One experiment and its newest runs, then all experiments."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.models import common, dashboard

from runs import queries as q

_STATUSES = {
    "FINISHED": look.LIVE,
    "RUNNING": look.OTHER,
    "SCHEDULED": look.REFERENCE,
    "KILLED": look.REFERENCE,
    "FAILED": look.LIMIT,
}
_PAINTED = {status: [look.painted(color)] for status, color in _STATUSES.items()}
_FAILED = dashboard.ValueMap(
    options={"FAILED": dashboard.ValueMappingResult(text="FAILED", color=look.BEYOND)}
)
# Grafana 12 and 13 hide a column that links still use by one and by the other.
_UNSEEN = [look.of_field("custom.hidden", True), look.of_field("custom.hideFrom", {"viz": True})]
_METRIC = [look.of_field("custom.minWidth", 90), look.of_field("custom.wrapHeaderText", True)]
_RUN = "${mlflow}/#/experiments/%s/runs/%s"
_RUN_OF_ROW = _RUN % ("${__data.fields.experiment_id}", "${__data.fields.run_id}")
_RUN_OF_POINT = _RUN % ("${__field.labels.experiment_id}", "${__field.labels.run_id}")
_CHOOSE_EXPERIMENT = tables.link("Show this experiment", links.RUNS, experiment=links.VALUE)


def summary() -> Iterator[panels.Panel]:
    yield panels.number(
        "Runs",
        "Runs of the experiment that are not deleted, whatever their status.",
        q.RUNS,
        unit="short",
        size=(4, 4),
    )
    yield panels.numbers(
        "Runs by status",
        "Runs of the experiment by status. A status without runs is left out.",
        q.STATUSES,
        "{{status}}",
        {"FAILED": [look.painted(look.BEYOND)]},
        size=(11, 4),
        nothing="No runs",
    )
    yield panels.number(
        "Last run",
        "Time since the newest run of the experiment started.",
        q.SINCE_RUN,
        unit="s",
        size=(5, 4),
    )
    yield panels.count_of_bad(
        "Series left out",
        "Series of all experiments and runs that are not exported because of the limits on them.",
        q.DROPPED,
        look.NEAR,
        size=(4, 4),
    )


def newest() -> Iterator[panels.Panel]:
    table = tables.listing(
        "Newest runs",
        "The newest 20 runs of the experiment, the best by the chosen metric first, with the last values of "
        "their metrics in the runs' own units. Champion: the model whose champion came from the run. Click a "
        "run to see it in MLflow, a metric that a run did not log is empty.",
        unit="none",
        size=(14, 12),
        nothing="The experiment has no runs.",
    ).decimals(4)
    for ref, expression in zip("ABCD", (q.STARTED, q.METRICS, q.CHAMPION, q.RANK), strict=True):
        table = table.with_target(panels.now(expression, ref=ref))
    titles = {"run_name": "Run", "status": "Status", "model": "Champion of", "Started": "Started"}
    yield (
        table.with_transformation(
            tables.transformation("labelsToFields", mode="columns", valueLabel="metric")
        )
        .with_transformation(tables.transformation("merge"))
        .with_transformation(tables.sorted_by("Rank", descending=True))
        .with_transformation(tables.arranged(titles, "Time", "Rank", "Champion"))
        .override_by_regexp("^(?!Run$|Status$|Champion of$|Started$).*", _METRIC)
        .override_by_name("Run", [look.at_least(170), _to_mlflow(_RUN_OF_ROW)])
        .override_by_name(
            "Status",
            [
                look.of_field("mappings", [_FAILED]),
                look.stepped(look.steps("transparent")),
                look.ground(),
                look.of_field("custom.width", 95),
            ],
        )
        .override_by_name("Champion of", [look.of_field("custom.width", 130)])
        .override_by_name(
            "Started", [look.of_field("unit", "dateTimeFromNow"), look.of_field("custom.width", 120)]
        )
        .override_by_regexp("run_id|experiment_id", _UNSEEN)
    )
    points = panels.lines(
        "$metric of the newest runs by their start",
        "A point for each run at the time at which it started; the one from which the champion came is blue. "
        "Runs that started outside the time range are left out. Click a point to see the run in MLflow.",
        panels.line("{{run_name}}", q.AT_START, look.REFERENCE),
        panels.line(
            "{{run_name}}, champion", q.AT_START_CHAMPION, look.LIVE, look.of_field("custom.pointSize", 14)
        ),
        unit="none",
        decimals=4,
        size=(10, 12),
        nothing="No run with this metric started in the time range.",
        from_zero=False,
        filled=False,
    )
    yield (
        points.draw_style(common.GraphDrawStyle.POINTS)
        .point_size(9)
        .show_points(common.VisibilityMode.ALWAYS)
        .legend(common_builders.VizLegendOptions().show_legend(False))
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE))
        .override_by_regexp(".*", [_to_mlflow(_RUN_OF_POINT)])
    )


def _to_mlflow(url: str) -> panels.Property:
    return look.of_field("links", [{"title": "Show the run in MLflow", "url": url, "targetBlank": True}])


def experiments() -> Iterator[panels.Panel]:
    yield tables.of(
        "Experiments",
        "Runs of every experiment; running includes scheduled, failed includes killed ones; and the time "
        "since the newest one started. Click an experiment to see its runs above.",
        tables.Key("experiment", "Experiment", _CHOOSE_EXPERIMENT),
        tables.Column("Runs", q.runs_of(".+"), look.column(90, decimals=0)),
        tables.Column("Finished", q.runs_of("FINISHED"), look.column(90, decimals=0)),
        tables.Column("Running", q.runs_of("RUNNING|SCHEDULED"), look.column(90, decimals=0)),
        tables.Column("Failed", q.runs_of("FAILED|KILLED"), look.column(90, decimals=0)),
        tables.Column("Last run", q.ALL_SINCE_RUN, look.measured("s", 110)),
        order="Last run",
        unit="none",
        size=(14, 9),
        nothing="MLflow has no experiments with runs, or they are not monitored.",
    )
    statuses = panels.stacked(
        panels.lines(
            "Runs by status over time",
            "How many runs of the experiment have each status, stacked; a step up is a new run.",
            panels.Line("{{status}}", q.STATUSES),
            unit="short",
            decimals=0,
            size=(10, 9),
            nothing="The experiment has no runs.",
        )
    ).line_interpolation(common.LineInterpolation.STEP_AFTER)
    for status, properties in _PAINTED.items():
        statuses = statuses.override_by_name(status, properties)
    yield statuses

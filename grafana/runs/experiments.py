"""One experiment and its newest runs, then all experiments."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables
from grafana_foundation_sdk.models import common

from runs import queries as q

_STATUSES = {
    "FINISHED": look.GOOD,
    "RUNNING": look.LIVE,
    "SCHEDULED": look.OTHER,
    "KILLED": look.REFERENCE,
    "FAILED": look.BAD,
}
_PAINTED = {status: [look.painted(color)] for status, color in _STATUSES.items()}
_NO_RUN = "No run of this experiment has logged a metric that is exported."
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
        _PAINTED,
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
    yield (
        tables.matrix(
            "Metrics of the newest runs",
            "Last values of the metrics of the newest runs, in the runs' own units; the run with the largest "
            "$metric is first. A metric that a run did not log has no value.",
            q.METRICS,
            row=tables.Key("run", "Run"),
            column="metric",
            unit="none",
            decimals=4,
            size=(14, 11),
            nothing=_NO_RUN,
        )
        .with_transformation(tables.sorted_by("$metric", descending=True))
        .override_by_regexp("^(?!Run$).*", look.column(100, decimals=4))
        .override_by_name("Run", [look.of_field("custom.minWidth", 200)])
    )
    yield panels.lines(
        "$metric of the newest runs over time",
        "Each line is a run, from the time at which it first logged the metric: it moves while the run is "
        "active, and is level afterwards.",
        panels.Line("{{run_name}}", q.CHOSEN),
        unit="none",
        decimals=4,
        size=(10, 11),
        nothing=_NO_RUN,
        from_zero=False,
        filled=False,
    )


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

"""Two versions, each named by an alias: which is better."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels
import tables
from links import VERSIONS

from versions import by_age
from versions import queries as q

_WORDS = {1: ("better", look.GOOD), 0: ("close", look.UNKNOWN), -1: ("worse", look.BAD)}
_NOTHING = "There are no labels of both versions in this window."
_COLORS = {"champion": look.LIVE, "challenger": look.OTHER}


def outcome() -> Iterator[panels.Panel]:
    for alias, role in ((q.CHAMPION, "Champion"), (q.CHALLENGER, "Challenger")):
        yield panels.number(
            f"{role}: ${alias}",
            f"Number of the version that the alias chosen as {role.lower()} points to in MLflow.",
            q.version_of(alias),
            unit="prefix:version ",
            size=(4, 4),
            nothing="No such alias",
        )
        yield panels.number(
            f"{role}'s age",
            "Time since the version was registered in MLflow.",
            q.age_of(alias),
            unit="s",
            decimals=1,
            size=(3, 4),
        )
    yield panels.numbers(
        "Metrics of the challenger",
        "Metrics in which the challenger is significantly better or worse than the champion: the 99 % "
        "intervals do not overlap. Close: they overlap; either more labels are needed, or there is no "
        "difference.",
        q.OUTCOMES,
        "{{outcome}}",
        {"better": panels.when_any(look.GOOD), "worse": panels.when_any(look.BAD)},
        size=(4, 4),
        nothing="Nothing to compare",
    )
    yield panels.number(
        "Challenger's rows",
        "Predictions of the challenger in the window as a share of the champion's. At 100 % both are likely "
        "to score the same requests; a much smaller share has to be a random sample of them to be compared.",
        q.ROWS_RATIO,
        unit="percentunit",
        decimals=0,
        size=(3, 4),
    )
    yield panels.number(
        "$champion moved",
        "Time since the alias chosen as champion was first seen to point to its version.",
        q.since_move(q.CHAMPION),
        unit="s",
        decimals=1,
        size=(3, 4),
    ).id(VERSIONS.id("moved"))


def metrics() -> Iterator[panels.Panel]:
    figures = [
        tables.Column(title, q.compared(f"{q.QUALITY}{end}", alias))
        for alias, role in ((q.CHAMPION, "Champion"), (q.CHALLENGER, "Challenger"))
        for end, title in (("", role), ("_lower", f"{role} ≥"), ("_upper", f"{role} ≤"))
    ]
    yield (
        tables.of(
            "Challenger against champion",
            "Every metric of quality of both versions in the chosen window, with 99 % intervals; the "
            "difference is the challenger's minus the champion's. Better and worse respect the metric's "
            "direction and require intervals that do not overlap.",
            tables.Key("metric", "Metric"),
            tables.Column(
                "Challenger is", q.BETTER, [*look.worded(_WORDS), look.of_field("custom.width", 105)]
            ),
            tables.Column("Difference", q.DIFFERENCE, look.column(90)),
            *figures,
            order="Metric",
            unit="none",
            decimals=3,
            size=(13, 10),
            nothing=_NOTHING,
        )
        .override_by_regexp("^Cha.*(?<! is)$", look.column(105))
        .id(VERSIONS.id("compared"))
    )
    yield panels.lines(
        "$metric of each version",
        "By labels in the chosen window: figures at one time are of the same days, and where versions score "
        "the same requests of the same rows. Champion and challenger have their 99 % intervals; other "
        "versions, such as the one before, are grey. Dashed: accepted distance of the champion from its "
        "baseline. Roles are those at the end of the time range.",
        *_band("champion", q.CHAMPION),
        *_band("challenger", q.CHALLENGER),
        panels.Line(
            "{{series}}",
            q.others(q.by_version(q.QUALITY, q.CHOSEN)),
            (look.painted(look.REFERENCE), look.of_field("custom.lineWidth", 1)),
        ),
        panels.guide("limit of the champion", q.LIMIT, look.LIMIT),
        unit="none",
        decimals=3,
        size=(11, 10),
        nothing="There are no labels in this window.",
        from_zero=False,
        filled=False,
    ).id(VERSIONS.id("over time"))


def _band(role: str, alias: str) -> tuple[panels.Line, ...]:
    lower, upper, _ = panels.band(role, lambda end: q.chosen(end, alias), _COLORS[role])
    name = f"{role}, version {{{{model_version}}}}"
    return lower, upper, panels.line(name, q.chosen("", alias), _COLORS[role])


def age() -> Iterator[panels.Panel]:
    yield by_age.chart(
        "$metric by age of the version",
        "By labels in the chosen window, at the age that each version had at the time: whether a loss is new "
        "or came at the same age of the version before. Choose a time range that spans the lives of both.",
        age=q.AGE_AT_THE_TIME,
        figure=q.with_roles(q.by_version(q.QUALITY, q.CHOSEN)),
        size=(13, 9),
        nothing="There are no labels in this window.",
    ).id(VERSIONS.id("by age"))
    yield tables.of(
        "Metrics of the source runs",
        "Metrics that the runs from which the two versions came logged to MLflow, in the runs' units; the "
        "difference is the challenger's minus the champion's.",
        tables.Key("metric", "Metric"),
        tables.Column("Champion", q.of_run(q.CHAMPION), look.column(100, decimals=4)),
        tables.Column("Challenger", q.of_run(q.CHALLENGER), look.column(100, decimals=4)),
        tables.Column("Difference", q.RUN_DIFFERENCE, look.column(100, decimals=4)),
        order="Metric",
        unit="none",
        decimals=4,
        size=(11, 9),
        nothing="The runs of both versions logged no metrics.",
    )

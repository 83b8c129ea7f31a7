"""Two versions, each named by an alias: which is better."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels
import tables

from versions import queries as q

_WORDS = {1: ("better", look.GOOD), 0: ("close", look.UNKNOWN), -1: ("worse", look.BAD)}
_NOTHING = "There are no labels of both versions in this window."


def outcome() -> Iterator[panels.Panel]:
    for alias, role in ((q.CHAMPION, "champion"), (q.CHALLENGER, "challenger")):
        yield panels.number(
            f"Alias {alias}",
            f"Number of the version that the alias chosen as {role} points to in MLflow.",
            q.version_of(alias),
            unit="prefix:version ",
            size=(5, 4),
            nothing="No such alias",
        )
    yield panels.numbers(
        "Metrics of the challenger against the champion",
        "Metrics in which the challenger is significantly better or worse: the 99 % intervals do not "
        "overlap. Close: they overlap; either more labels are needed, or there is no difference.",
        q.OUTCOMES,
        "{{outcome}}",
        {"better": panels.when_any(look.GOOD), "worse": panels.when_any(look.BAD)},
        size=(9, 4),
        nothing="Nothing to compare",
    )
    yield panels.number(
        "Alias $champion moved",
        "Time since the alias chosen as champion was first seen to point to its version.",
        q.since_move(q.CHAMPION),
        unit="s",
        size=(5, 4),
    )


def metrics() -> Iterator[panels.Panel]:
    figures = [
        tables.Column(title, q.compared(f"{q.QUALITY}{end}", alias))
        for alias in (q.CHAMPION, q.CHALLENGER)
        for end, title in (("", alias), ("_lower", f"{alias} ≥"), ("_upper", f"{alias} ≤"))
    ]
    yield (
        tables.of(
            "$challenger against $champion, $window",
            "Figures of both with their 99 % intervals; the difference is the challenger's minus the "
            "champion's. Better and worse respect each metric's direction and require intervals that do "
            "not overlap.",
            tables.Key("metric", "Metric"),
            tables.Column("$challenger is", q.BETTER),
            tables.Column("Difference", q.DIFFERENCE),
            *figures,
            order="Metric",
            unit="none",
            decimals=3,
            size=(17, 11),
            nothing=_NOTHING,
        )
        # By expression: Grafana puts no variables into the names that these are compared with.
        .override_by_regexp(".* is", [*look.worded(_WORDS), look.of_field("custom.width", 105)])
        .override_by_regexp("^(?!Metric$|.* is$|.* [≥≤]$).*", look.column(80))
        .override_by_regexp(".* [≥≤]$", look.column(96))
    )
    yield panels.lines(
        "$metric of $champion and $challenger, $window",
        "By labels, with 99 % intervals, for the version that each alias pointed to at the time. Dashed: "
        "the accepted distance of the champion from its baseline. Marks are moves of aliases.",
        *panels.band("champion", lambda end: q.chosen(end, q.CHAMPION), look.LIVE),
        *panels.band("challenger", lambda end: q.chosen(end, q.CHALLENGER), look.OTHER),
        panels.guide("limit", q.limit_of(q.CHAMPION), look.LIMIT),
        unit="none",
        decimals=3,
        size=(7, 11),
        nothing=_NOTHING,
        from_zero=False,
        filled=False,
    )

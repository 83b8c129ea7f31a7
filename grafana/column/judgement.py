"""Verdicts on the column, and the figures that they are made of."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels
import reason
import tables

from column import queries as q

DRIFT = {1: ("drifted", look.BAD), 0: ("stable", look.GOOD), -1: ("undecided", look.UNKNOWN)}
_NO_SCORE = "This column has no score in this window yet."


def verdicts() -> Iterator[panels.Panel]:
    """The reason strip, and the verdicts on the column."""
    yield from reason.strip()
    yield panels.verdict(
        "Drift, $window",
        "Drifted: the distribution differs from the reference beyond the limit, significantly, and in two "
        "adjacent windows or grossly. Grey: too little data for a verdict.",
        reason.known(q.DRIFT),
        unit="none",
        words=DRIFT,
        nothing="No score",
        size=(4, 5),
    )
    yield panels.verdict(
        "Change within a day",
        "The last 24 hours against the four weeks before, independent of the reference. Available from the "
        "19th day of traffic on.",
        reason.known(q.CHANGE),
        unit="none",
        words={**DRIFT, 1: ("changed", look.BAD)},
        nothing="Not known yet",
        size=(4, 5),
    )
    yield panels.verdict(
        "Data quality",
        "Checks that fail significantly more often than in the reference.",
        reason.known(q.CHECKS),
        unit="suffix: degraded",
        words={0: ("Fine", look.GOOD), -1: ("No verdict yet", look.UNKNOWN)},
        nothing="No check",
        size=(4, 5),
    )
    yield panels.number(
        "Bad since",
        "Start of the oldest verdict on this column that is still bad, as the audit trail has it.",
        q.SINCE,
        unit="dateTimeFromNow",
        size=(4, 5),
        nothing="Nothing is bad",
    ).text(panels.written(20))
    yield tables.of(
        "Drift by window",
        "Verdict, score (PSI), limit and significance (-log10 p) in every window. The same change reaches "
        "the short windows first.",
        tables.Key("window", "Window", [look.at_least(60)]),
        tables.Column("Verdict", q.DRIFT_IN_WINDOWS, look.worded(DRIFT)),
        tables.Column("Score", q.drift("score", "window"), look.column(65)),
        tables.Column("Limit", q.drift("limit", "window"), look.column(65)),
        tables.Column("Significance", q.drift("significance", "window"), look.column(95, 1)),
        order="Window",
        unit="none",
        size=(8, 5),
        nothing="No window has a score yet.",
    )


def scores() -> Iterator[panels.Panel]:
    """Scores against their limits over time, and distances that are not judged."""
    yield panels.against_limit(
        "Score and limit, $window",
        "The column counts as drifted when its score stays beyond the dashed limit and is significant.",
        q.drift("score"),
        q.drift("limit"),
        size=(8, 8),
        nothing=_NO_SCORE,
    )
    yield panels.against_limit(
        "A day against the past weeks",
        "The score of the last 24 hours against the four weeks that end five days ago. The limit follows "
        "from the differences between the days of those weeks.",
        q.of_day("score"),
        q.of_day("limit"),
        size=(8, 8),
        nothing="Available from the 19th day of traffic on, with a window of 24h.",
    )
    yield panels.lines(
        "Further distances, $window",
        "Distances from the reference that EXPORTER_DRIFT_DISTANCES asks for; none is judged.",
        panels.Line("{{method}}", q.DISTANCES),
        unit="none",
        size=(8, 8),
        nothing="None is asked for: set EXPORTER_DRIFT_DISTANCES.",
        filled=False,
    )

"""Panels on data quality."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables

from model import queries as q

_WORDS = {1: ("degraded", look.BAD), 0: ("fine", look.GOOD), -1: ("undecided", look.UNKNOWN)}
_NO_FIGURE = "No check has a figure yet."
_OPEN_COLUMN = tables.link(
    "Open this column", links.COLUMN, "model", "model_version", "window", column=links.VALUE
)


def checks() -> Iterator[panels.Panel]:
    share = [look.of_field("custom.width", 85)]
    yield tables.of(
        "Checks by change",
        "Share of rows that fail a check, now and in the reference, and the difference; degraded means "
        "significantly more often than in the reference. Window: the shortest for which the reference is "
        "dense enough, or the shortest of all if half of the column fails there. Click a column to open it.",
        tables.Key("column", "Column", [*_OPEN_COLUMN, look.both_ends()]),
        tables.Key("check", "Check", [look.at_least(115)]),
        tables.Column("Verdict", q.QUALITY_VERDICT, look.worded(_WORDS)),
        tables.Column("Since", q.QUALITY_SINCE, look.measured("dateTimeFromNow", 115, 0)),
        tables.Column("Change", f"{q.QUALITY_RATIO} - {q.QUALITY_REFERENCE}", share),
        tables.Column("Live", q.QUALITY_RATIO, share),
        tables.Column("Reference", q.QUALITY_REFERENCE, share),
        tables.Column("Window", q.QUALITY_WINDOW, look.measured("s", 75, 0)),
        order="Change",
        descending=True,
        unit="percentunit",
        decimals=1,
        size=(14, 9),
        nothing=_NO_FIGURE,
    ).id(links.MODEL.id("checks"))
    yield panels.lines(
        "Failing rows above the reference",
        "The five checks that grew most: share of failing rows minus the share in the reference. At zero "
        "nothing changed.",
        panels.Line("{{column}} {{check}}", q.most_changed(5)),
        unit="percentunit",
        size=(10, 9),
        nothing=_NO_FIGURE,
    )

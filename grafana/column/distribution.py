"""Distribution of the column: in the reference, live, an hour before, and over time."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables
from grafana_foundation_sdk.builders import barchart

from column import queries as q

_NO_BINS = "This column has no bins: it is the label, or there is no reference."
# `03 [18, 25)`: the index orders, the content is what is read.
_CONTENT = look.of_field(
    "mappings", [{"type": "regex", "options": {"pattern": r"^\d+ (.*)$", "result": {"text": "$1"}}}]
)


def now_and_before() -> Iterator[panels.Panel]:
    """Shares by bin, side by side, and values that are not in any bin of the reference."""
    yield _shares()
    yield tables.of(
        "Bad values",
        "Share of rows that fail a check, now and in the reference. Window: the shortest for which the "
        "reference is dense enough, or the shortest of all if half of the column fails there.",
        tables.Key("check", "Check", [look.at_least(100)]),
        tables.Column(
            "Verdict",
            f"{q.check('degraded')} or (0 * {q.check('ratio')} - 1)",
            look.worded({1: ("degraded", look.BAD), 0: ("fine", look.GOOD), -1: ("undecided", look.UNKNOWN)}),
        ),
        tables.Column("Live", q.check("ratio"), [look.of_field("custom.width", 75)]),
        tables.Column("Reference", q.check("reference_ratio"), [look.of_field("custom.width", 90)]),
        tables.Column("Window", q.check("window_seconds"), look.measured("s", 75, 0)),
        order="Live",
        descending=True,
        unit="percentunit",
        decimals=1,
        size=(9, 10),
        nothing="No check applies, or none has a figure yet.",
    )


def over_time() -> Iterator[panels.Panel]:
    """The same shares over the dashboard's time range."""
    yield panels.heatmap(
        "Distribution over time",
        "Share of live rows in each bin, from the first bin at the bottom to the last; the darker, the more "
        "rows. A change shows as a step from one moment on.",
        q.OVER_TIME,
        "{{bin}}",
        unit="percentunit",
        size=(15, 10),
        nothing=_NO_BINS,
    ).with_transformation(tables.transformation("renameByRegex", regex=r"^\d+ (.*)$", renamePattern="$1"))
    yield (
        panels.lines(
            "Missing, unseen and out of range",
            "Share of rows that fail a check, over time, beside the share in the reference (dashed).",
            panels.Line("{{check}}", q.check("ratio")),
            panels.Line(
                "{{check}}, reference",
                q.check("reference_ratio"),
                (look.painted(look.REFERENCE), look.dashed(), look.unfilled()),
            ),
            unit="percentunit",
            size=(9, 10),
            nothing="No check applies, or none has a figure yet.",
            filled=False,
        )
        .axis_soft_max(0.05)
        .id(links.COLUMN.id("bad values"))
    )


def _shares() -> barchart.Panel:
    panel = panels.bars(
        "$column: reference, an hour $ago ago, and live in $window",
        "Share of rows in each bin of the reference. Live: rows that arrived within the window, at all "
        "replicas. $ago ago: rows of the hour that ended then. If the bars have the same height, nothing "
        "changed. Bins that are empty everywhere are left out.",
        unit="percentunit",
        size=(15, 10),
        nothing=_NO_BINS,
    ).x_field("bin")
    titles = {"bin": "bin"}
    anywhere = f"({q.REFERENCE} > 0 or {q.LIVE} > 0)"
    for ref, name, shares, color in (
        ("reference", "Reference", q.REFERENCE, look.REFERENCE),
        ("before", "$ago ago", q.BEFORE, look.OTHER),
        ("live", "Live", q.LIVE, look.LIVE),
    ):
        panel = panel.with_target(tables.rows(f"({shares}) and {anywhere}", ref))
        panel = panel.override_by_name(name, [look.painted(color)])
        titles[f"Value #{ref}"] = name
    return (
        panel.with_transformation(tables.transformation("merge"))
        .with_transformation(tables.sorted_by("bin"))
        .with_transformation(tables.arranged(titles, "Time"))
        # Else names that have no room are written as what the panel says without data.
        .override_by_name("bin", [look.of_field("noValue", " "), _CONTENT])
    )

"""Panels on segments: drift and quality."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables

from model import segment_queries as q

_NONE = "This version has no segments: `segments` in exporter.yml names columns to slice by."
_STATES = (
    (2, "degraded", look.BAD),
    (1, "drifted", look.BAD),
    (0, "fine", look.GOOD),
    (-1, "undecided", look.UNKNOWN),
)
_DRIFT = {1: ("drifted", look.BAD), 0: ("stable", look.GOOD), -1: ("undecided", look.UNKNOWN)}
_CHOOSE = tables.link(
    "Show this segment", links.MODEL, "model", "model_version", "window", "metric", segment=links.VALUE
)
_OPEN_COLUMN = tables.link(
    "Open this column", links.COLUMN, "model", "model_version", "window", column=links.VALUE
)


def segments() -> Iterator[panels.Panel]:
    yield tables.of(
        "Segments, $window",
        "Each segment against the reference's own rows of it, those with trouble first: degraded quality, "
        "then drift by the highest score of any column. Drifting and degraded: columns and metrics by "
        "verdict. Quality: $metric. Click a segment to see its columns.",
        tables.Key("segment", "Segment", [*_CHOOSE, look.at_least(120)]),
        tables.Column("State", q.STATE, look.ranged(_STATES)),
        tables.Column("Drifting columns", q.DRIFTED, [look.at_least(120)], listed="column"),
        tables.Column("Score", q.HIGHEST_SCORE, look.column(65)),
        tables.Column("Degraded metrics", q.DEGRADED, [look.at_least(120)], listed="metric"),
        tables.Column("Quality", q.QUALITY, look.column(70)),
        tables.Column("Rows", q.ROWS, look.rows()),
        order="State",
        descending=True,
        unit="short",
        size=(12, 9),
        nothing=_NONE,
    ).id(links.MODEL.id("segments"))
    yield tables.of(
        "Columns in $segment, $window",
        "Drift score of each column in the chosen segment, beside that in all rows: where it is high here "
        "alone, the segment drifts and not the whole. Click a column to open it.",
        tables.Key("column", "Column", [*_OPEN_COLUMN, look.both_ends(), look.at_least(110)]),
        tables.Column("Verdict", q.COLUMN_VERDICTS, look.worded(_DRIFT)),
        tables.Column("Score", q.COLUMN_SCORES, look.column(65)),
        tables.Column("All rows", q.WHOLE_SCORES, look.column(75)),
        order="Score",
        descending=True,
        unit="none",
        size=(5, 9),
        nothing="No column has a score in this segment.",
    )
    yield panels.lines(
        "$metric by segment, $window",
        "Quality of the six segments with most trouble, beside that of all rows (dashed).",
        panels.Line("{{segment}}", q.troubled(q.QUALITY, 6)),
        # Alone it would look like a segment where there is none.
        panels.guide("All rows", f"{q.WHOLE_QUALITY} and on () {q.ROWS}", look.REFERENCE),
        unit="none",
        decimals=3,
        size=(7, 9),
        nothing="No segment has labels, or there are no segments.",
        from_zero=False,
        filled=False,
    )

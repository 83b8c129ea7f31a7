"""Panels on segments: drift and quality."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables
from grafana_foundation_sdk.builders import timeseries

from model import segment_queries as q

_SHOWN = 6
_WHOLE = "All rows"
_NONE = "This version has no segments: `segments` in exporter.yml names columns to slice by."


def segments() -> Iterator[panels.Panel]:
    table = tables.of(
        "Segments, $window",
        "Each segment against the reference's own rows of it. Drifted: columns by verdict. Score: the "
        "highest of any column. Degraded: metrics by verdict; a segment with few labels has none. "
        "Quality: $metric.",
        tables.Key("segment", "Segment", [look.at_least(110)]),
        tables.Column("Rows", q.ROWS, look.rows()),
        tables.Column("Drifted", q.DRIFTED, look.counted()),
        tables.Column("Score", q.HIGHEST_SCORE, look.column(65)),
        tables.Column("Degraded", q.DEGRADED, look.counted()),
        tables.Column("Quality", q.QUALITY, look.column(70)),
        order="Rows",
        descending=True,
        unit="short",
        size=(10, 9),
        nothing=_NONE,
    )
    yield table.id(links.MODEL.id("segments"))
    yield _by_segment(
        "$metric by segment, $window",
        "Quality of the six largest segments by rows, beside that of all rows (dashed).",
        q.QUALITY,
        q.WHOLE_QUALITY,
        "No segment has labels, or there are no segments.",
    )
    yield _by_segment(
        "Drift of $column by segment, $window",
        "Drift score of the column in the six largest segments, each against the reference's rows of it, "
        "beside that of all rows (dashed).",
        q.COLUMN_SCORE,
        q.WHOLE_SCORE,
        "The column has no score in any segment, or there are no segments.",
    )


def _by_segment(title: str, description: str, figure: str, whole: str, nothing: str) -> timeseries.Panel:
    return panels.lines(
        title,
        description,
        panels.Line("{{segment}}", q.largest(figure, _SHOWN)),
        # Alone it would look like a segment where there is none.
        panels.guide(_WHOLE, f"{whole} and on () {q.ROWS}", look.REFERENCE),
        unit="none",
        decimals=3,
        size=(7, 9),
        nothing=nothing,
        from_zero=False,
        filled=False,
    )

"""The slices of the traffic by configured columns: which of them drifts, and which is served worse."""

from __future__ import annotations

from collections.abc import Iterator

import look

from model import segment_queries as q

_SHOWN = 10
_WHOLE = "All rows"
_NONE = "This version has no segments: `segments` in exporter.yml names columns to slice by."


def segments() -> Iterator[look.Panel]:
    red = look.counted()
    yield (
        look.listing(
            "Segments, $window",
            "Each slice against the reference's own rows of it. Drifted: columns by verdict. Score: the "
            "highest of any column. Degraded: metrics by verdict; a segment of few labels has none. Quality: "
            "$metric.",
            unit="short",
            width=12,
            height=9,
        )
        .with_target(look.rows(q.ROWS, "rows"))
        .with_target(look.rows(q.DRIFTED, "drifted"))
        .with_target(look.rows(q.HIGHEST_SCORE, "score"))
        .with_target(look.rows(q.DEGRADED, "degraded"))
        .with_target(look.rows(q.QUALITY, "quality"))
        .transformations(
            look.merged(
                ("segment",),
                {
                    "segment": "Segment",
                    "rows": "Rows",
                    "drifted": "Drifted",
                    "score": "Highest score",
                    "degraded": "Degraded",
                    "quality": "Quality",
                },
            )
        )
        .with_transformation(look.sorted_by("Rows", descending=True))
        .no_value(_NONE)
        .override_by_name("Rows", look.column(85, decimals=1))
        .override_by_name("Drifted", red)
        .override_by_name("Highest score", look.column(110))
        .override_by_name("Degraded", red)
        .override_by_name("Quality", look.column(85))
    )
    yield _by_segment(
        "$metric by segment, $window",
        "Quality of the largest segments by labels, beside that of all rows (dashed).",
        q.QUALITY,
        q.WHOLE_QUALITY,
        "No segment has labels, or there are no segments.",
    )
    yield _by_segment(
        "Drift of $column by segment, $window",
        "Drift score of the column in the largest segments, each against the reference's rows of it, beside "
        "that of all rows (dashed).",
        q.COLUMN_SCORE,
        q.WHOLE_SCORE,
        "The column has no score in any segment, or there are no segments.",
    )


def _by_segment(title: str, description: str, figure: str, whole: str, nothing: str) -> look.Panel:
    return (
        look.lines(title, description, unit="none", width=6, height=9, from_zero=False)
        .decimals(3)
        .fill_opacity(0)
        .color_scheme(look.by_name())
        .no_value(nothing)
        .with_target(look.query(q.largest(figure, _SHOWN), "{{segment}}", "segments"))
        # Alone it would look like a segment where there is none.
        .with_target(look.query(f"{whole} and on () {q.ROWS}", _WHOLE, "whole"))
        .override_by_name(_WHOLE, [look.painted(look.REFERENCE), look.dashed()])
    )

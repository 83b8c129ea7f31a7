"""The column in segments of the version, and in the other versions of the model."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables

from column import judgement
from column import queries as q


def compared() -> Iterator[panels.Panel]:
    """Drift by segment and by version."""
    yield tables.of(
        "By segment, $window",
        "Drift of the column in each segment, against the reference's own rows of it, the furthest first.",
        tables.Key("segment", "Segment", [look.at_least(110)]),
        tables.Column("Verdict", q.SEGMENT_VERDICTS, look.worded(judgement.DRIFT)),
        tables.Column("Score", q.SEGMENT_SCORES, look.column(65)),
        tables.Column("Rows", q.SEGMENT_ROWS, look.rows()),
        order="Score",
        descending=True,
        unit="none",
        size=(8, 8),
        nothing="No segment has a score: `segments` in exporter.yml names columns to slice by.",
    ).id(links.COLUMN.id("segments"))
    yield _versions()
    yield panels.in_limits(
        panels.lines(
            "Drift of $column by version, $window",
            "Score in multiples of its limit, which is dashed, in every monitored version of the model.",
            panels.Line("version {{model_version}}", q.ratio_over_time()),
            unit=look.TIMES,
            size=(9, 8),
            nothing="No version has a score in this window yet.",
            filled=False,
        )
    )


def _versions() -> panels.Panel:
    """The column in every version of the model."""
    return tables.of(
        "By version, $window",
        "Drift of the column in every monitored version, each against its own reference; a click opens the "
        "version.",
        tables.Key(
            "model_version",
            "Version",
            tables.link("Open", links.COLUMN, "model", "window", "column", "ago", model_version=links.VALUE),
        ),
        tables.Column("Verdict", q.VERSION_VERDICTS, look.worded(judgement.DRIFT)),
        tables.Column("Of its limit", q.VERSION_RATIOS, look.gauged(3)),
        order="Of its limit",
        descending=True,
        unit="none",
        size=(7, 8),
        nothing="No version has a score in this window yet.",
    )

"""Values that should not be there, or are not."""

from __future__ import annotations

from collections.abc import Iterator

import look

from model import queries as q
from model.overview import column_link

_WORDS = {1: ("degraded", look.BAD), 0: ("fine", look.GOOD), -1: ("undecided", look.UNKNOWN)}


def checks() -> Iterator[look.Panel]:
    yield (
        look.listing(
            "Checks by change, shortest window",
            "Share of rows that fail a check, now and in the reference, and the difference; degraded means "
            "clearly more often than in the reference. Click a column to see its distribution above.",
            unit="percentunit",
            width=13,
            height=9,
        )
        .decimals(1)
        .with_target(look.rows(f"{q.QUALITY_RATIO} - {q.QUALITY_REFERENCE}", "change"))
        .with_target(look.rows(q.QUALITY_VERDICT, "verdict"))
        .with_target(look.rows(q.QUALITY_RATIO, "live"))
        .with_target(look.rows(q.QUALITY_REFERENCE, "reference"))
        .transformations(
            look.merged(
                ("column", "check"),
                {
                    "column": "Column",
                    "check": "Check",
                    "verdict": "Verdict",
                    "change": "Change",
                    "live": "Live",
                    "reference": "Reference",
                },
            )
        )
        .with_transformation(look.sorted_by("Change", descending=True))
        .no_value("No check has a figure yet.")
        .override_by_name("Column", column_link())
        .override_by_name("Verdict", look.worded(_WORDS))
        .override_by_name("Change", [look.of_field("custom.width", 100)])
        .override_by_name("Live", [look.of_field("custom.width", 100)])
        .override_by_name("Reference", [look.of_field("custom.width", 100)])
    )
    yield (
        look.lines(
            "Failing rows beyond the reference, shortest window",
            "The five checks that grew most: share of rows that fail minus the share in the reference. At "
            "zero the data is as it was.",
            unit="percentunit",
            width=11,
            height=9,
        )
        .no_value("No check has a figure yet.")
        .with_target(look.query(q.most_changed(5), "{{column}} {{check}}"))
    )

"""The dashboard of one column: how did this input, score or prediction change?"""

from __future__ import annotations

import annotations
import board
import links
from board import Section
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard

from column import distribution, elsewhere, judgement
from column import queries as q

SECTIONS: tuple[Section, ...] = (
    ("", judgement.verdicts),
    ("", distribution.now_and_before),
    ("", distribution.over_time),
    ("Scores over time", judgement.scores),
    ("By segment and by version", elsewhere.compared),
)
# Hours of the past, beside the present.
_AGO = ("1h", "2h", "6h", "12h", "1d", "2d", "3d", "1w", "2w")


def build() -> dashboard.Dashboard:
    page = (
        board.begin(
            links.COLUMN.uid,
            "MLflow column",
            "One column of a model version: its distribution now, before and in the reference, its verdicts, "
            "bad values, segments and versions.",
        )
        .with_variable(board.model())
        .with_variable(board.model_version())
        .with_variable(board.window(q.VERSION))
        .with_variable(board.of_query("column", "Column", q.COLUMNS))
        .with_variable(
            builders.CustomVariable("ago")
            .label("Compare with")
            .description("An hour of the past, this long ago, which is shown beside the present.")
            .values(", ".join(_AGO))
            .current(board.chosen("1d"))
        )
    )
    return board.finish(annotations.of_model(page), SECTIONS)

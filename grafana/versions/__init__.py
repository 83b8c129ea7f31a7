"""The dashboard of a model's versions, champion and challenger side by side."""

from __future__ import annotations

import annotations
import board
from board import Section
from grafana_foundation_sdk.models import dashboard

from versions import comparison, fleet
from versions import queries as q

UID = "mlflow-versions"
SECTIONS: tuple[Section, ...] = (
    ("", comparison.outcome),
    ("", comparison.metrics),
    ("Every version", fleet.versions),
    ("Live against baseline", fleet.baseline),
    ("Drift", fleet.drift),
    ("Traffic", fleet.traffic),
)


def build() -> dashboard.Dashboard:
    page = (
        board.begin(
            UID,
            "MLflow versions",
            "Versions of a model side by side: champion against challenger, each against its own baseline.",
        )
        .with_variable(board.model())
        .with_variable(
            board.of_label("champion", "Champion", "mlflow_model_alias_version", q.MODEL, "alias").current(
                board.chosen("champion")
            )
        )
        .with_variable(
            board.of_query("challenger", "Challenger", q.CHALLENGERS, "alias").current(
                board.chosen("challenger")
            )
        )
        .with_variable(board.of_query("metric", "Metric", q.METRICS).sort(dashboard.VariableSort.NATURAL_ASC))
        .with_variable(board.window(q.MODEL))
    )
    return board.finish(annotations.of_model(page), SECTIONS)

"""The dashboard of a model's versions: is the challenger better, was the version before?"""

from __future__ import annotations

import annotations
import board
import reason
from board import Section
from grafana_foundation_sdk.models import dashboard
from promql import or_named

from versions import comparison, fleet
from versions import queries as q

UID = "mlflow-versions"
SECTIONS: tuple[Section, ...] = (
    ("", reason.strip),
    ("", comparison.outcome),
    ("", comparison.metrics),
    ("", fleet.versions),
    ("", comparison.age),
    ("Live against baseline", fleet.baseline),
    ("Drift", fleet.drift),
    ("Traffic", fleet.traffic),
)


def build() -> dashboard.Dashboard:
    page = (
        board.begin(
            UID,
            "MLflow versions",
            "Is the challenger better than the champion, and was the version before? Each against its own "
            "baseline as well.",
        )
        .with_variable(board.model())
        .with_variable(board.of_query("champion", "Champion", q.CHAMPIONS, "alias"))
        .with_variable(board.of_query("challenger", "Challenger", q.CHALLENGERS, "alias"))
        .with_variable(board.of_query("metric", "Metric", q.METRICS).sort(dashboard.VariableSort.NATURAL_ASC))
        .with_variable(board.window(q.MODEL))
        # The version whose verdicts the strip on top is about.
        .with_variable(
            board.of_query(
                "model_version", "Version", or_named(q.named(q.CHAMPION), "model_version", "none")
            ).hide(dashboard.VariableHide.HIDE_VARIABLE)
        )
    )
    return board.finish(annotations.of_model(page), SECTIONS)

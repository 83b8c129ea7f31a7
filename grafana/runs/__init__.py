"""The dashboard of MLflow's own runs: metrics, status, age."""

from __future__ import annotations

import board
from board import Section
from grafana_foundation_sdk.models import dashboard

from runs import experiments
from runs import queries as q

UID = "mlflow-runs"
SECTIONS: tuple[Section, ...] = (
    ("", experiments.summary),
    ("", experiments.newest),
    ("Every experiment", experiments.experiments),
)


def build() -> dashboard.Dashboard:
    page = (
        board.begin(
            UID, "MLflow runs", "Experiments of MLflow: metrics of their newest runs, runs by status, age."
        )
        .with_variable(
            # The one with the newest run first.
            board.of_query("experiment", "Experiment", q.EXPERIMENTS)
        )
        .with_variable(board.of_label("metric", "Metric", "mlflow_run_metric", q.EXPERIMENT))
    )
    return board.finish(page, SECTIONS)

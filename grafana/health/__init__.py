"""The dashboard of the exporter itself, which shows whether the others can be trusted."""

from __future__ import annotations

import board
from board import Section
from grafana_foundation_sdk.models import dashboard

from health import children, evaluation, intake, several, state

UID = "mlflow-exporter"
SECTIONS: tuple[Section, ...] = (
    ("", state.now),
    ("", state.alerts),
    ("", evaluation.evaluations),
    ("", intake.rows),
    ("Requests and connections", intake.requests),
    ("Reports and other child processes", children.reports),
    ("Several exporters", several.shares),
    ("Store and process", state.resources),
)


def build() -> dashboard.Dashboard:
    page = board.begin(
        UID,
        "MLflow exporter",
        "The exporter itself: is it up, does it accept samples, does it evaluate in time, does its store "
        "have room, do its child processes fail?",
    )
    return board.finish(page, SECTIONS)

"""The dashboard of the exporter itself, which shows whether the others can be trusted."""

from __future__ import annotations

import board
from board import Section
from grafana_foundation_sdk.models import dashboard

from health import evaluation, intake, remediation, state

UID = "mlflow-exporter"
SECTIONS: tuple[Section, ...] = (
    ("", state.now),
    ("", intake.rows),
    ("Evaluations", evaluation.evaluations),
    ("Remediation and audit trail", remediation.actions),
    ("Store and process", state.resources),
    ("Alerts", state.alerts),
)


def build() -> dashboard.Dashboard:
    page = board.begin(
        UID,
        "MLflow exporter",
        "The exporter itself: is it up, does it accept samples, does it evaluate, does its store have room, "
        "what has it done about alerts.",
    )
    return board.finish(page, SECTIONS)

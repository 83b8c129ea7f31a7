"""The dashboard of what fired, what was decided and done about it, and of the record of that."""

from __future__ import annotations

import annotations as marks
import board
from board import Section
from grafana_foundation_sdk.models import dashboard

from alerts import audit, fired, remediation
from alerts import queries as q

UID = "mlflow-alerts"
SECTIONS: tuple[Section, ...] = (
    ("", fired.now),
    ("", fired.over_time),
    ("", remediation.actions),
    ("", remediation.effects),
    ("Rates, deliveries and the last checkpoint", audit.rates),
)


def build() -> dashboard.Dashboard:
    page = board.begin(
        UID,
        "Alerts and remediation",
        "What fired, what was decided about it and by which guard, what was done, and did it help? With the "
        "state of the audit trail, which records all of that.",
    )
    address = board.of_label(
        "exporter", "Exporter", "mlflow_exporter_address_info", 'program="exporter"', "url"
    )
    page = page.with_variable(board.models())
    page = page.with_variable(address.hide(dashboard.VariableHide.HIDE_VARIABLE))
    for mark in (marks.remediations(q.MODEL), marks.retrainings(q.MODEL), marks.reports(q.MODEL)):
        page = page.annotation(mark)
    return board.finish(page, SECTIONS)

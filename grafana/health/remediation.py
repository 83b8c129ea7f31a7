"""Panels on remediation and the audit trail."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels

from health import queries as q


def actions() -> Iterator[panels.Panel]:
    yield panels.lines(
        "Actions of remediation",
        "Actions that have not ended, by state, and those that ended per step of the chart, by outcome. "
        "`mlflow-exporter remediation list` names them.",
        panels.Line("{{action}} {{state}}", q.PENDING_ACTIONS),
        panels.Line("{{action}} {{outcome}}", q.ENDED_ACTIONS),
        unit="short",
        decimals=0,
        size=(10, 8),
        nothing="No action was planned.",
    ).axis_soft_max(3)
    yield panels.lines(
        "Refused by guards",
        "Actions that a guard stopped, per step of the chart, by guard.",
        panels.Line("{{guard}}", q.REFUSED_ACTIONS),
        unit="short",
        decimals=0,
        size=(7, 8),
        nothing="No action was refused.",
    ).axis_soft_max(3)
    yield panels.lines(
        "Since the last delivery and checkpoint",
        "Time since Alertmanager last delivered alerts, and since the audit trail's last checkpoint, which "
        "is made every hour by default.",
        panels.line("delivery", q.SINCE_DELIVERY, look.LIVE),
        panels.line("checkpoint", q.SINCE_CHECKPOINT, look.OTHER),
        unit="s",
        size=(7, 8),
        nothing="No alert was delivered, and no checkpoint made.",
    )

"""Panels on refusals and deliveries by rate, and on what the audit trail's last checkpoint signs."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels
import tables
from grafana_foundation_sdk.models import common

from alerts import queries as q


def rates() -> Iterator[panels.Panel]:
    yield (
        panels.lines(
            "Refused by guards",
            "Actions on all models that a guard stopped, per step of the chart, by guard.",
            panels.Line("{{guard}}", q.REFUSED),
            unit="short",
            decimals=0,
            size=(8, 7),
            nothing="No action was refused.",
        )
        .axis_soft_max(3)
        .draw_style(common.GraphDrawStyle.BARS)
        .fill_opacity(80)
    )
    yield (
        panels.lines(
            "Delivered alerts",
            "Alerts that Alertmanager delivered to the exporter, per step of the chart, by status; repeated "
            "deliveries count each time.",
            panels.Line("{{status}}", q.DELIVERED),
            unit="short",
            decimals=0,
            size=(8, 7),
            nothing="No alert was delivered.",
        )
        .axis_soft_max(3)
        .draw_style(common.GraphDrawStyle.BARS)
        .fill_opacity(80)
    )
    yield tables.of(
        "Last checkpoint",
        "The record of the audit trail that the last checkpoint signs, and its digest: keep it outside "
        "of the exporter's machine, and a change of any record before it can be proven.",
        tables.Key("seq", "Record"),
        tables.Key("digest", "Digest", [look.of_field("unit", "string")]),
        tables.Column("When", q.CHECKPOINT, look.measured("dateTimeAsLocal", 200, decimals=0)),
        order="When",
        unit="none",
        size=(8, 7),
        nothing="No checkpoint was made.",
    )

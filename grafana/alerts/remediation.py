"""Panels on what was decided and done about alerts, and on what came of it."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables
from grafana_foundation_sdk.models import common, dashboard

from alerts import queries as q

# By state: a word, and its colour.
STATES = {
    "planned": ("planned", look.UNKNOWN),
    "awaiting_approval": ("waits for approval", look.NEAR),
    "executing": ("is carried out", look.UNKNOWN),
    "applied": ("was carried out", look.UNKNOWN),
    "verifying": ("is verified", look.UNKNOWN),
    "recovered": ("recovered", look.GOOD),
    "not_recovered": ("did not recover", look.BAD),
    "dry_run": ("rehearsed only", look.UNKNOWN),
    "refused": ("refused by a guard", look.BEYOND),
    "expired": ("expired", look.NEAR),
    "superseded": ("overtaken by a person", look.UNKNOWN),
    "conflict": ("MLflow was changed meanwhile", look.BEYOND),
    "failed": ("failed", look.BAD),
    "interrupted": ("interrupted, waits for a person", look.BAD),
}


def _when() -> list[panels.Property]:
    return look.measured("dateTimeAsLocal", 200, decimals=0)


def named(by_value: dict[str, tuple[str, str]]) -> list[panels.Property]:
    """Cells that show the words of a value on their colour."""
    mapped = {
        value: dashboard.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(by_value.items())
    }
    return [look.of_field("mappings", [dashboard.ValueMap(options=mapped)]), *look.grounded()]


def _records() -> list[panels.Property]:
    """A link to the chosen actions as the exporter keeps them: with policy, alert, reason and evidence."""
    url = f"${{exporter}}/v1/remediations?model={links.cell('Model')}"
    return [look.of_field("links", [{"title": "Open the records", "url": url, "targetBlank": True}])]


_GUARDS = {
    "title": "What guards stop",
    "url": "https://github.com/mlflow-exporter/mlflow-exporter/blob/main/exporter/remediation/README.md#guards",
    "targetBlank": True,
}


def actions() -> Iterator[panels.Panel]:
    yield tables.of(
        "What was decided and done",
        "Actions of remediation by present state, of the past week: for each state the newest of a model and "
        "kind of action. Click an action for its records.",
        tables.Key("model", "Model", tables.link("Open the model", links.MODEL, model=links.VALUE)),
        tables.Key("action", "Action", _records()),
        tables.Key("state", "State", named(STATES)),
        tables.Column("When", q.STATES, _when()),
        order="When",
        descending=True,
        unit="none",
        size=(14, 8),
        nothing="No action was planned within a week.",
    ).id(links.ALERTS.id("actions"))
    yield tables.of(
        "What guards refused",
        "Actions that are refused, of the past week: the newest of a model and kind of action by the guard "
        "that refused it. A later alert of the same incident asks the guards again.",
        tables.Key("model", "Model", tables.link("Open the model", links.MODEL, model=links.VALUE)),
        tables.Key("action", "Action", _records()),
        tables.Key("guard", "Guard", [look.of_field("links", [_GUARDS])]),
        tables.Column("When", q.REFUSALS, _when()),
        order="When",
        descending=True,
        unit="none",
        size=(10, 8),
        nothing="No action was refused within a week.",
    ).id(links.ALERTS.id("refusals"))


def effects() -> Iterator[panels.Panel]:
    yield panels.lines(
        "Did it help?",
        "Bad verdicts on the versions that aliases of the chosen models point to: after a mark of an action "
        "that helped, they go down.",
        panels.line("drifted columns", q.bad("drift", "column, role"), look.LIVE),
        panels.line("failing checks", q.bad("data_quality", "column, role, check"), look.REFERENCE),
        panels.line("degraded metrics", q.bad("quality", "metric"), look.OTHER),
        panels.guide("severe", q.severe("drift", "data_quality", "quality"), look.LIMIT),
        unit="short",
        decimals=0,
        size=(10, 7),
        nothing="No version is monitored.",
    ).axis_soft_max(3)
    yield (
        panels.lines(
            "Actions",
            "Actions of remediation on all models that have not ended, by state, and those that ended per "
            "step of the chart, by outcome.",
            panels.Line("{{action}} {{state}}", q.PENDING),
            panels.Line("{{action}} {{outcome}}", q.ENDED),
            unit="short",
            decimals=0,
            size=(7, 7),
            nothing="No action was planned.",
        )
        .axis_soft_max(3)
        .show_points(common.VisibilityMode.AUTO)  # of an action that ended between two steps
        .id(links.ALERTS.id("actions over time"))
    )
    yield panels.lines(
        "Since the last delivery and checkpoint",
        "Time since Alertmanager last delivered alerts, and since the audit trail's last checkpoint, which "
        "is made every hour by default.",
        panels.line("delivery", q.SINCE_DELIVERY, look.LIVE),
        panels.line("checkpoint", q.SINCE_CHECKPOINT, look.OTHER),
        unit="s",
        size=(7, 7),
        nothing="No alert was delivered, and no checkpoint made.",
    ).id(links.ALERTS.id("deliveries"))

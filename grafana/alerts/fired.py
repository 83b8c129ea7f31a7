"""Panels on the alerts that fire, and on what waits for a person."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
from grafana_foundation_sdk.builders import stat
from grafana_foundation_sdk.models import common

from alerts import queries as q

_WORDS = {
    3: ("critical", look.BAD),
    2: ("warning", look.BEYOND),
    1: ("pending", look.NEAR),
    0: ("none", look.GOOD),
    -1: ("unknown", look.UNKNOWN),
}


def now() -> Iterator[panels.Panel]:
    for severity, color in (("critical", look.BAD), ("warning", look.BEYOND)):
        yield _count(
            f"Firing, {severity}",
            f"Alerts of severity {severity} that fire now: about the chosen models, and with all models also "
            "about the exporter.",
            q.firing(severity),
            color,
            nothing="No rules",
        )
    yield _count(
        "Wait for approval",
        "Actions of remediation, on any model, that a person has to approve or to reject.",
        q.WAITING,
        look.BEYOND,
        nothing="No remediation",
    )
    yield _count(
        "Suspended models",
        "Models whose actions are refused after several failures in a row, until the breaker closes.",
        q.SUSPENDED,
        look.BEYOND,
        nothing="No remediation",
    )
    yield panels.numbers(
        "Policies",
        "Policies of remediation by effective mode: switched off, only rehearsed, with the approval of a "
        "person, or automatic.",
        q.POLICIES,
        "{{mode}}",
        {},
        size=(6, 4),
        nothing="No remediation",
    )
    yield panels.number(
        "Last checkpoint",
        "Time since the last signed checkpoint of the audit trail; one is made every hour by default.",
        q.SINCE_CHECKPOINT,
        unit="s",
        decimals=0,
        thresholds=look.steps(look.GOOD, (4200, look.BEYOND)),
        size=(3, 4),
        nothing="None",
    )
    yield _count(
        "Contradictions",
        "Records of the audit trail that two checkpoints within the time range sign with different digests: "
        "the trail was rebuilt. `mlflow-exporter audit verify` checks all of it.",
        q.CONTRADICTIONS,
        look.BAD,
        nothing="No checkpoint",
    )


def _count(title: str, description: str, expression: str, color: str, *, nothing: str) -> stat.Panel:
    """A count that should be none; grey with the words `nothing` where it is not known."""
    return panels.number(
        title,
        description,
        expression,
        unit="short",
        decimals=0,
        words={0: ("None", look.GOOD)},
        thresholds=look.steps(look.UNKNOWN, (1, color)),
        size=(3, 4),
        nothing=nothing,
    )


def over_time() -> Iterator[panels.Panel]:
    yield (
        panels.alerts(
            "What fired",
            "Alerts of severity critical and warning about the chosen models, and with all models also about "
            "the exporter. Click one for its runbook.",
            q.ALERTS,
            "{{alertname}} {{model}} {{model_version}}",
            size=(24, 13),
        )
        .per_page(20)  # more labels would overlap
        .mappings(look.texts(_WORDS))
        .show_value(common.VisibilityMode.AUTO)
        .id(links.ALERTS.id("fired"))
    )

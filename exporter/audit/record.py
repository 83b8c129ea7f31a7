"""Records of the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "verdict_changed",
    "summary",
    "reference_built",
    "reference_replaced",
    "reference_missing",
    "version_monitored",
    "version_forgotten",
    "config_changed",
    "tags_changed",
    "alias_moved",
    "alert_received",
    "remediation",
    "approval",
    "hold",
    "report_requested",
    "checkpoint",
    "pruned",
    "erased",
    "started",
    "stopped",
    "clock_set_back",
]


@dataclass(frozen=True)
class Entry:
    """An event to be recorded.

    Attributes:
        kind: of the event.
        actor: `system`, `monitor`, `mlflow`, `remediation/<policy>`, or the name of a token.
        model: empty where no model is concerned.
        model_version: empty where no version is concerned.
        subject: the column, alias, alert or policy that is concerned.
        action_id: of a remediation.
        data: values of JSON, by the kind.
        reference_digest: of the reference that was measured against.
        config_digest: of the configuration in force.
    """

    kind: Kind
    actor: str
    model: str = ""
    model_version: str = ""
    subject: str = ""
    action_id: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    reference_digest: str = ""
    config_digest: str = ""

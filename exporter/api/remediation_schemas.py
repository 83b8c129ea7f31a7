"""Pydantic models of requests and answers about remediation. Times that are not known are null."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from exporter.remediation import action as actions
from exporter.remediation import holds, ledger
from exporter.remediation.decision import describe

Text = Annotated[str, Field(max_length=256)]
Reason = Annotated[
    str, Field(min_length=1, max_length=500, description="For people; kept in the audit trail.")
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Decision(_Request):
    """An approval or a rejection."""

    reason: Reason


class Resume(_Request):
    """Holds that are to be lifted: all of a model, or those only that name an alias or a policy."""

    model: Annotated[Text, Field(min_length=1)]
    alias: Text = ""
    policy: Text = ""
    reason: Reason


class Resumed(BaseModel):
    lifted: int = Field(description="Number of holds lifted.")


class ActionSummary(BaseModel):
    """An action, and how far it is."""

    id: str
    policy: str
    action: str
    model: str
    alias: str
    model_version: str = Field(description="The version that the alert is about.")
    target_version: str = Field(description="The version that the alias is to point to; empty for none.")
    mode: str
    state: str
    guard: str = Field(description="The guard that refused it, or `rejected`; empty if none did.")
    reason: str = Field(description="Of the state.")
    intent: str = Field(description="What the action does, in words.")
    approved_by: str
    approve_until: datetime | None = Field(description="When the wait for an approval ends.")
    attempt: int
    created_at: datetime
    updated_at: datetime
    executed_at: datetime | None

    @classmethod
    def of(cls, action: actions.Action) -> ActionSummary:
        return cls(**_fields(action))


class ActionPage(BaseModel):
    """A page of actions, the last planned first."""

    remediations: list[ActionSummary]
    next: str | None = Field(description="Pass it as `after` for the next page; null at the end.")


class Step(BaseModel):
    """An audit record of an action; `data` is empty if it was erased."""

    seq: int
    at: datetime
    kind: str
    actor: str
    data: dict[str, Any]


class ActionDetail(ActionSummary):
    """An action with the alert that it was planned for, its own data, and its history."""

    tenure: int = Field(description="Number of the alias's tenure; of a retraining its number.")
    alert: dict[str, Any]
    data: dict[str, Any]
    history: list[Step]

    @classmethod
    def with_history(cls, action: actions.Action, history: list[ledger.Step]) -> ActionDetail:
        return cls(
            **_fields(action),
            tenure=action.tenure,
            alert=dict(action.alert),
            data=dict(action.data),
            history=[Step(**vars(step)) for step in history],
        )


class HoldSummary(BaseModel):
    """A hold on a model; an empty alias or policy stands for all of them."""

    id: int
    model: str
    alias: str
    policy: str
    reason: str
    since: datetime
    lifted_at: datetime | None
    lifted_by: str

    @classmethod
    def of(cls, hold: holds.Hold) -> HoldSummary:
        return cls(**vars(hold))


class HoldList(BaseModel):
    """Holds, the last placed first."""

    holds: list[HoldSummary]


def _fields(action: actions.Action) -> dict[str, Any]:
    """Fields of a summary; times are in seconds since the epoch, which pydantic takes as UTC."""
    own = {name: getattr(action, name) for name in ActionSummary.model_fields if hasattr(action, name)}
    return {**own, "approve_until": action.data.get("approve_until"), "intent": describe(action)}

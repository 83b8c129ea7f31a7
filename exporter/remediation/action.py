"""An action of remediation, and the states that it goes through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.config.remediation import ActionKind, Mode
from exporter.storage.action_states import State

S = State  # short, for the table below
# States that follow on each. A refused or expired action is planned again by a later alert of the incident,
# an interrupted one may be approved. A person who moves the alias again supersedes what is being verified.
TRANSITIONS: Mapping[State, frozenset[State]] = {
    S.PLANNED: frozenset({S.AWAITING_APPROVAL, S.EXECUTING, S.DRY_RUN, S.REFUSED, S.SUPERSEDED, S.EXPIRED}),
    S.AWAITING_APPROVAL: frozenset({S.AWAITING_APPROVAL, S.EXECUTING, S.REFUSED, S.EXPIRED, S.SUPERSEDED}),
    S.EXECUTING: frozenset({S.EXECUTING, S.APPLIED, S.REFUSED, S.CONFLICT, S.FAILED, S.INTERRUPTED}),
    S.APPLIED: frozenset(
        {S.APPLIED, S.VERIFYING, S.RECOVERED, S.NOT_RECOVERED, S.SUPERSEDED, S.FAILED, S.INTERRUPTED}
    ),
    S.VERIFYING: frozenset({S.VERIFYING, S.RECOVERED, S.NOT_RECOVERED, S.SUPERSEDED, S.FAILED}),
    S.INTERRUPTED: frozenset({S.AWAITING_APPROVAL, S.APPLIED, S.REFUSED, S.EXPIRED, S.SUPERSEDED}),
    S.REFUSED: frozenset({S.PLANNED}),
    S.EXPIRED: frozenset({S.PLANNED}),
    S.RECOVERED: frozenset(),
    S.NOT_RECOVERED: frozenset(),
    S.DRY_RUN: frozenset(),
    S.SUPERSEDED: frozenset(),
    S.CONFLICT: frozenset(),
    S.FAILED: frozenset(),
}
REOPENED = frozenset(state for state, after in TRANSITIONS.items() if S.PLANNED in after)


# Tag in MLflow of a model whose alias was moved, and of a version that was trained, by an action.
ACTION_TAG = "monitoring.action_id"
MOVES: frozenset[ActionKind] = frozenset({"rollback", "promote"})  # that move the alias
# Guard of an action that a person rejected: no later alert of its incident plans it again.
REJECTED = "rejected"


@dataclass(frozen=True)
class Action:
    """A row of the table of remediations. Times are in seconds since the epoch.

    Attributes:
        id: 40 hexadecimal digits, the same for every delivery of one incident, see `identity`.
        policy: name of the policy.
        action: its kind.
        model: the model.
        alias: the alias of the policy.
        model_version: the version that the alert is about.
        target_version: the version that the alias is to point to; empty for actions without one.
        tenure: number of the alias's tenure in the stored history; of a retraining its number `n`.
        mode: in force when it was planned.
        state: the state.
        guard: name of the guard that refused it, empty if none did.
        reason: of the state, for people.
        attempt: number of the claims so far.
        lease_owner: process that executes it.
        lease_until: end of its lease.
        created_at: time at which it was planned first.
        updated_at: time of the last transition.
        executed_at: time at which it took effect.
        approved_by: name of the token that approved it.
        alert: `labels`, `annotations` and `starts_at` of the alert that it was planned for.
        data: what the kind of action keeps: the run of an orchestrator, refusals of a dry run, evidence.
    """

    id: str
    policy: str
    action: ActionKind
    model: str
    alias: str
    model_version: str
    target_version: str
    tenure: int
    mode: Mode
    state: State
    created_at: float
    updated_at: float
    guard: str = ""
    reason: str = ""
    attempt: int = 0
    lease_owner: str = ""
    lease_until: float | None = None
    executed_at: float | None = None
    approved_by: str = ""
    alert: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the alert."""
        found: Mapping[str, str] = self.alert.get("labels", {})
        return found

    @property
    def actor(self) -> str:
        """Actor of the audit records of what the exporter does about it."""
        return f"remediation/{self.policy}"

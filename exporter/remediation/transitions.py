"""Transitions of actions, logged and counted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from exporter.exposition.remediation import OUTCOMES, RemediationTelemetry
from exporter.remediation.action import Action
from exporter.remediation.guards import GuardAnswer
from exporter.remediation.ledger import Ledger
from exporter.storage.action_states import State

log = logging.getLogger(__name__)


class Transitions:
    """Takes actions to their next states. Nothing happens where another process was faster."""

    def __init__(self, ledger: Ledger, telemetry: RemediationTelemetry) -> None:
        self._ledger = ledger
        self._telemetry = telemetry

    def advance(
        self,
        action: Action,
        state: State,
        reason: str,
        *,
        guard: str = "",
        data: Mapping[str, Any] | None = None,
        executed_at: float | None = None,
    ) -> Action | None:
        """Take an action to another state, see `Ledger.advance`."""
        changed = self._ledger.advance(
            action,
            state,
            action.actor,
            reason=reason,
            guard=guard,
            data=data,
            executed_at=executed_at,
        )
        if changed is not None:
            log.info("action %s of policy %s: %s, %s", action.id[:8], action.policy, state, reason)
            if state in OUTCOMES:
                self._telemetry.count_end(action.action, state)
            if guard:
                self._telemetry.count_refused(guard)
        return changed

    def refuse(self, action: Action, refusals: Sequence[GuardAnswer]) -> None:
        """Refuse an action for the first of these reasons; all are stored."""
        first, data = refusals[0], {"refusals": as_data(refusals)}
        self.advance(action, State.REFUSED, first.reason, guard=first.guard, data=data)

    def claim(self, action: Action, owner: str, lease_seconds: float) -> Action | None:
        """Claim an action, see `Ledger.claim`."""
        return self._ledger.claim(action, owner, lease_seconds, action.actor)


def as_data(refusals: Sequence[GuardAnswer]) -> list[dict[str, str]]:
    """Refusals as values of JSON."""
    return [{"guard": refusal.guard, "reason": refusal.reason} for refusal in refusals]

"""Actions of remediation for tests."""

from __future__ import annotations

from typing import Any

from exporter.remediation.action import Action
from exporter.remediation.ledger import Ledger, Planned
from exporter.storage.action_states import State
from exporter.storage.store import Store
from tests.support.rig import NOON

ACTION = Action(
    id="a" * 40,
    policy="champion-rollback",
    action="rollback",
    model="fraud",
    alias="champion",
    model_version="3",
    target_version="2",
    tenure=3,
    mode="auto",
    state=State.PLANNED,
    created_at=NOON,
    updated_at=NOON,
    alert={"labels": {"alertname": "ModelQualityDegraded"}},
)


def plan(store: Store, ledger: Ledger, action: Action = ACTION) -> Planned:
    """Plan an action as the receiver of alerts does."""
    with store.writing() as connection:
        return ledger.plan(connection, action)


def stored(ledger: Ledger, action: Action = ACTION) -> Action:
    """The action as it is stored now."""
    found = ledger.find(action.id)
    assert found is not None
    return found


def take(ledger: Ledger, *states: State, action: Action = ACTION, **values: Any) -> Action:
    """Take a stored action through states, the last with `values`."""
    found = stored(ledger, action)
    for state in states:
        if state is State.EXECUTING:
            changed = ledger.claim(found, "here", 60, "remediation/test")
        else:
            changed = ledger.advance(
                found, state, "remediation/test", **(values if state is states[-1] else {})
            )
        assert changed is not None
        found = changed
    return found

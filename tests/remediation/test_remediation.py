"""Remediation as the service composes it, with its real guards and targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.remediation.guards import GUARDS
from exporter.storage.action_states import State
from tests.support.actions import ACTION, plan, stored
from tests.support.fakes import FakeRegistry
from tests.support.rig import NOON, Rig, make_table

CONFIG = """
remediation:
  mode: {mode}
  targets:
    chat: {{kind: webhook, url: "http://127.0.0.1:1/"}}
  policies:
    - name: champion-rollback
      match: {{alertname: ModelQualityDegraded}}
      model: fraud
      {action}
"""


@pytest.fixture
def composed(start: Callable[..., Rig], tmp_path: Path) -> Callable[..., Rig]:
    """Start a rig with a policy; version 2 of `fraud` is the champion."""

    def start_one(mode: str, action: str = "action: rollback") -> Rig:
        path = tmp_path / "exporter.yml"
        path.write_text(CONFIG.format(mode=mode, action=action))
        registry = FakeRegistry()
        for _ in range(2):
            registry.register("fraud", make_table(), alias="champion")
        return start(registry=registry, config=str(path))

    return start_one


def act(rig: Rig, **fields: Any) -> State:
    """Plan an action and step the engine; the state that it is in then."""
    now = rig.clock.now
    versions = {"model_version": "2", "target_version": "1", "tenure": 1, "alert": {"labels": {}}}
    action = replace(ACTION, created_at=now, updated_at=now, **{**versions, **fields})
    plan(rig.service.store, rig.service.remediation.ledger, action)
    rig.service.remediation.engine.step()
    rig.service.remediation.engine.step()
    return stored(rig.service.remediation.ledger, action).state


def test_a_rehearsal_says_which_guards_would_have_stopped_it(composed: Callable[..., Rig]) -> None:
    rig = composed("dry_run")
    assert act(rig, mode="dry_run") is State.DRY_RUN
    refusals = stored(rig.service.remediation.ledger).data["refusals"]
    assert {refusal["guard"] for refusal in refusals} <= set(GUARDS)
    assert "evidence" in {refusal["guard"] for refusal in refusals}


def test_the_guards_stop_what_the_evaluation_does_not_confirm(composed: Callable[..., Rig]) -> None:
    rig = composed("auto")
    assert act(rig) is State.REFUSED
    assert rig.service.remediation.cases.of(ACTION, NOON).policy is not None
    guard = stored(rig.service.remediation.ledger).guard
    refused = rig.series("mlflow_exporter_remediation_refused_total")
    assert refused[f'mlflow_exporter_remediation_refused_total{{guard="{guard}"}}'] == 1
    assert refused.keys() > {'mlflow_exporter_remediation_refused_total{guard="registry"}'}


def test_pending_actions_and_their_age_are_shown(composed: Callable[..., Rig]) -> None:
    rig = composed("approve", "action: notify\n      target: chat")
    assert act(rig, action="notify", target_version="", mode="approve") is State.AWAITING_APPROVAL
    rig.clock.advance(60)
    pending = 'mlflow_exporter_remediation_pending{action="notify",state="awaiting_approval"}'
    assert rig.series("mlflow_exporter_remediation_pending")[pending] == 1
    oldest = "mlflow_exporter_remediation_oldest_pending_seconds"
    assert rig.series(oldest)[oldest] == 60

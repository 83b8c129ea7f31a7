"""Cases are composed of the live state, the store and MLflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from exporter.audit.record import Entry
from exporter.audit.trail import append
from exporter.config.remediation import RemediationConfig
from exporter.errors import RegistryError
from exporter.remediation.guards import GuardAnswer, check_guards
from exporter.storage.action_states import State
from tests.support.actions import ACTION, plan, take
from tests.support.monitored import DOWN
from tests.support.rig import Rig
from tests.support.unanswering import World


def test_a_rollback_of_a_version_that_answers_nothing_passes(unanswered: World) -> None:
    assert unanswered.refusals() == ()


def test_another_configuration_is_in_force_at_once(unanswered: World) -> None:
    unanswered.config = RemediationConfig()
    assert [refusal.guard for refusal in unanswered.refusals()] == ["mode"]


def test_a_move_in_mlflow_counts_before_it_was_polled(unanswered: World) -> None:
    unanswered.registry.set_alias("fraud", "champion", "1")
    assert unanswered.refusals() == (GuardAnswer("alias", "version 1 holds the alias 'champion', not 2"),)


def test_what_mlflow_says_of_the_target_counts(unanswered: World) -> None:
    unanswered.registry.tag("fraud", "1", blocked="true")
    unanswered.registry.break_files("fraud", "1", "its MLmodel is gone")
    assert unanswered.refusals() == (
        GuardAnswer("target_blocked", "version 1 has the tag monitoring.blocked=true"),
        GuardAnswer("target_loads", "version 1 cannot be loaded: its MLmodel is gone"),
    )


def test_a_model_that_vanished_from_mlflow_is_not_deleted(start: Callable[..., Rig]) -> None:
    unanswered = World(lambda registry: start(registry=registry))
    unanswered.registry.delete("fraud")
    unanswered.rig.poll()
    found = {refusal.guard: refusal.reason for refusal in unanswered.refusals()}
    assert found["visible"] == "MLflow does not list model 'fraud': deleted, or this user may not read it"


def test_a_hold_and_other_actions_are_read_from_the_store(unanswered: World) -> None:
    unanswered.holds.place("ada", "fraud", reason="a holiday")
    other = replace(ACTION, id="b" * 40, policy="other", model_version="9")
    plan(unanswered.rig.service.store, unanswered.ledger, other)
    take(unanswered.ledger, State.EXECUTING, action=other)
    assert [refusal.guard for refusal in unanswered.refusals()] == ["hold", "concurrent"]


def test_the_audit_trail_says_how_the_tenure_of_the_target_ended(unanswered: World) -> None:
    change = {"measure": "quality", "subject": "recall", "window": "24h", "after": "degraded"}
    entry = Entry("verdict_changed", "monitor", "fraud", "1", data={"changes": [change]})
    with unanswered.rig.service.store.writing() as connection:
        append(connection, [entry], unanswered.rig.clock() - 5000)
    reason = "version 1 was degraded when it lost the alias: recall (quality)"
    assert unanswered.refusals() == (GuardAnswer("target_history", reason),)


def test_without_mlflow_nothing_is_decided(unanswered: World) -> None:
    unanswered.registry.failure = DOWN
    with pytest.raises(RegistryError, match="cannot be reached"):
        unanswered.refusals()


def test_sources_are_asked_once(unanswered: World) -> None:
    sources = unanswered.cases.sources()
    case = unanswered.cases.of(unanswered.action, unanswered.rig.clock(), sources)
    assert all(not check.reason for check in check_guards(case))
    unanswered.registry.failure = DOWN
    again = unanswered.cases.of(unanswered.action, unanswered.rig.clock(), sources)
    assert all(not check.reason for check in check_guards(again))

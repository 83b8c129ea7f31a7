"""Cases are composed of the live state, the store and MLflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from exporter.audit.record import Entry
from exporter.audit.trail import append
from exporter.errors import RegistryError
from exporter.remediation.action import State
from exporter.remediation.guards import Refusal, check_guards
from exporter.remediation_config import RemediationConfig
from tests.support.actions import ACTION, plan, take
from tests.support.monitored import DOWN
from tests.support.rig import Rig
from tests.support.unanswering import World


def test_a_rollback_of_a_version_that_answers_nothing_passes(world: World) -> None:
    assert world.refusals() == ()


def test_another_configuration_is_in_force_at_once(world: World) -> None:
    world.config = RemediationConfig()
    assert [refusal.guard for refusal in world.refusals()] == ["mode"]


def test_a_move_in_mlflow_counts_before_it_was_polled(world: World) -> None:
    world.registry.set_alias("fraud", "champion", "1")
    assert world.refusals() == (Refusal("alias", "version 1 holds the alias 'champion', not 2"),)


def test_what_mlflow_says_of_the_target_counts(world: World) -> None:
    world.registry.tag("fraud", "1", blocked="true")
    world.registry.break_files("fraud", "1", "its MLmodel is gone")
    assert world.refusals() == (
        Refusal("target_blocked", "version 1 has the tag monitoring.blocked=true"),
        Refusal("target_loads", "version 1 cannot be loaded: its MLmodel is gone"),
    )


def test_a_model_that_vanished_from_mlflow_is_not_deleted(start: Callable[..., Rig]) -> None:
    world = World(lambda registry: start(registry=registry))
    world.registry.delete("fraud")
    world.rig.poll()
    found = {refusal.guard: refusal.reason for refusal in world.refusals()}
    assert found["visible"] == "MLflow does not list model 'fraud': deleted, or this user may not read it"


def test_a_hold_and_other_actions_are_read_from_the_store(world: World) -> None:
    world.holds.place("ada", "fraud", reason="a holiday")
    other = replace(ACTION, id="b" * 40, policy="other", model_version="9")
    plan(world.rig.service.store, world.ledger, other)
    take(world.ledger, State.EXECUTING, action=other)
    assert [refusal.guard for refusal in world.refusals()] == ["hold", "concurrent"]


def test_the_audit_trail_says_how_the_tenure_of_the_target_ended(world: World) -> None:
    change = {"measure": "quality", "subject": "recall", "window": "24h", "after": "degraded"}
    entry = Entry("verdict_changed", "monitor", "fraud", "1", data={"changes": [change]})
    with world.rig.service.store.writing() as connection:
        append(connection, [entry], world.rig.clock() - 5000)
    reason = "version 1 was degraded when it lost the alias: recall (quality)"
    assert world.refusals() == (Refusal("target_history", reason),)


def test_without_mlflow_nothing_is_decided(world: World) -> None:
    world.registry.failure = DOWN
    with pytest.raises(RegistryError, match="cannot be reached"):
        world.refusals()


def test_sources_are_asked_once(world: World) -> None:
    sources = world.cases.sources()
    case = world.cases.of(world.action, world.rig.clock(), sources)
    assert all(check.passes for check in check_guards(case))
    world.registry.failure = DOWN
    again = world.cases.of(world.action, world.rig.clock(), sources)
    assert all(check.passes for check in check_guards(again))

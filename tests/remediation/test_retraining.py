"""Retraining by the engine and an orchestrator: one run an action, up to the challenger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.remediation.action import ACTION_TAG, Action
from exporter.remediation.jobs import Jobs
from exporter.remediation.targets import Targets
from exporter.storage.action_states import State
from exporter.storage.store import Store
from tests.support.actions import ACTION, plan, stored
from tests.support.engines import POLICY, Bench
from tests.support.fakes import Clock
from tests.support.orchestrators import (
    TOKEN,
    Fake,
    FakeDatabricks,
    FakeGitHub,
    FakeMuteWebhook,
    OrchestratorServer,
    orchestrator_server,
)

Make = Callable[[Fake], Bench]
LEASE_SECONDS = 95.0


@pytest.fixture
def store(tmp_path: Path, open_store: Callable[[str], Store]) -> Store:
    """A store in SQLite: what depends on the database is tested with the ledger."""
    return open_store(f"sqlite:///{tmp_path}/store.db")


@pytest.fixture(scope="module")
def server() -> Iterator[OrchestratorServer]:
    with orchestrator_server() as server:
        yield server


@pytest.fixture
def make(store: Store, clock: Clock, server: OrchestratorServer, tmp_path: Path) -> Make:
    """Makes an engine whose policy retrains by an orchestrator."""

    def bench(fake: Fake) -> Bench:
        server.reset(fake)
        (tmp_path / "token").write_text(TOKEN)
        config = fake.config(server.url, {"token_file": str(tmp_path / "token")})
        targets = Targets({"it": config}, sleep=lambda seconds: None)
        its = Bench(store, clock)
        its.set_policy(action="retrain", target="it", challenger_alias="challenger")
        its.runs = Jobs(lambda: targets, its.fake, clock, follow_seconds=0)  # type: ignore[assignment]
        its.start()
        return its

    return bench


def retrain(its: Bench, **fields: Any) -> Action:
    return its.plan(action="retrain", target_version="", policy=POLICY.name, **fields)


def test_an_alert_leads_by_one_id_to_a_challenger(make: Make) -> None:
    its = make(fake := FakeDatabricks())
    retrain(its)
    applied = its.step()
    assert (applied.state, list(fake.runs)) == (State.APPLIED, [applied.data["run"]["id"]])
    (parameters,) = fake.runs.values()
    assert its.step().state is State.APPLIED  # it runs
    version = its.fake.register("fraud")
    its.fake.set_version_tag("fraud", version, ACTION_TAG, parameters["action_id"])
    fake.end(well=True)
    ended = its.step()
    assert (ended.state, ended.data["challenger"]) == (State.RECOVERED, "4")
    assert its.fake.alias_version("fraud", "challenger") == "4"
    assert its.alias() == "3"
    assert its.states() == [State.PLANNED, State.EXECUTING, State.APPLIED, State.RECOVERED]
    assert its.ledger.history(ACTION.id)[-1].data["challenger"] == "4"


def test_a_run_that_fails_ends_the_action(make: Make) -> None:
    its = make(fake := FakeDatabricks())
    retrain(its)
    its.step()
    fake.end(well=False)
    assert (its.step().state, its.step().reason) == (State.NOT_RECOVERED, "the run ended as FAILED")


def test_a_run_that_the_orchestrator_forgot_is_lost_and_not_started_again(
    make: Make, server: OrchestratorServer, clock: Clock
) -> None:
    its = make(fake := FakeDatabricks())
    retrain(its)
    its.step()
    fake.forget()
    assert its.step().state is State.APPLIED
    clock.advance(601)
    assert its.step().state is State.NOT_RECOVERED
    assert len(server.starts) == 1


@pytest.mark.parametrize("kind", [FakeDatabricks, FakeGitHub])
def test_a_crash_right_after_the_request_leads_to_the_same_run(
    make: Make, clock: Clock, kind: type[Fake]
) -> None:
    its = make(fake := kind())
    claimed = its.ledger.claim(retrain(its), "another process", LEASE_SECONDS, "remediation/test")
    assert claimed is not None
    its.runs.dispatch(claimed, "it", False)  # and the process is gone
    clock.advance(LEASE_SECONDS + 1)
    assert its.step().state is State.APPLIED
    assert len(fake.runs) == 1


def test_a_crash_right_before_the_request_to_a_target_without_a_key_needs_a_person(
    make: Make, store: Store, clock: Clock
) -> None:
    its = make(fake := FakeMuteWebhook())
    action = retrain(its)
    its.ledger.claim(action, "another process", LEASE_SECONDS, "remediation/test")
    clock.advance(LEASE_SECONDS + 1)
    interrupted = its.step()
    assert (interrupted.state, fake.runs) == (State.INTERRUPTED, {})
    assert its.ledger.approve(interrupted, "ada") is not None
    assert (its.step().state, len(fake.runs)) == (State.APPLIED, 1)


def test_an_interrupted_action_that_expired_and_is_planned_again_still_needs_a_person(
    make: Make, store: Store, clock: Clock, server: OrchestratorServer
) -> None:
    its = make(fake := FakeMuteWebhook())
    action = retrain(its)
    server.faults.append("error")
    assert its.step().state is State.INTERRUPTED
    clock.advance(31 * 86400)
    assert its.step().state is State.EXPIRED
    assert plan(store, its.ledger, action) == "reopened"
    assert (its.step().state, len(fake.runs)) == (State.AWAITING_APPROVAL, 1)


def test_an_orchestrator_that_is_down_is_asked_again_after_the_lease(
    make: Make, clock: Clock, server: OrchestratorServer
) -> None:
    its = make(fake := FakeDatabricks())
    retrain(its)
    server.faults.extend(["unavailable"] * 3)
    assert its.step().state is State.EXECUTING
    clock.advance(300)  # the engine's own lease, of 200 seconds
    assert (its.step().state, len(fake.runs)) == (State.APPLIED, 1)
    assert stored(its.ledger).attempt == 2

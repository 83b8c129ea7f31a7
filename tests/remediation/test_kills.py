"""Processes that are killed anywhere between storing an action and its end, or run side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.audit.verification import verify_store
from exporter.remediation.action import ACTION_TAG
from exporter.remediation.ledger import Ledger
from exporter.storage.action_states import State
from exporter.storage.store import Store
from tests.support.actions import ACTION, stored
from tests.support.fakes import Clock
from tests.support.mlflow_server import MlflowServer, log_moves
from tests.support.mlflow_world import World
from tests.support.remediation_process import Nursery, Run
from tests.support.rig import NOON

S = State
KILLED = -9


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    found = Nursery()
    yield found
    found.close()


@pytest.fixture(scope="module")
def model(world: World) -> str:
    return world.add_model(versions=3, tags={"monitoring.auto_rollback": "true"})


@pytest.fixture
def first(model: str, world: World, mlflow_server: MlflowServer, tmp_path: Path) -> Run:
    """A first life of a process, with nothing stored; version 3 is the champion."""
    reset(world, mlflow_server, model)
    return Run(f"sqlite:///{tmp_path}/exporter.db", mlflow_server.uri, model, NOON, 0, f"{tmp_path}/points")


def reset(world: World, server: MlflowServer, model: str) -> None:
    world.client.set_registered_model_alias(model, "champion", "3")
    world.client.set_registered_model_tag(model, ACTION_TAG, "")
    log_moves(server, model)


def points(run: Run) -> list[str]:
    """Names of the points that a process passed."""
    return Path(run.log).read_text().splitlines()


def states(run: Run) -> list[str]:
    """States by the audit records of the action, whose chain is checked."""
    store = Store(run.store)
    try:
        ledger = Ledger(store, Clock(NOON))
        with store.reading() as connection:
            assert verify_store(connection, (), ()).intact
        found = [str(step.data["state"]) for step in ledger.history(ACTION.id)]
        assert found[-1] == stored(ledger).state
        return found
    finally:
        store.close()


def test_a_kill_at_any_point_ends_in_one_move_and_a_complete_trail(
    nursery: Nursery, first: Run, world: World, mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    assert nursery.live(first) == [0]
    assert log_moves(mlflow_server, first.model) == ["2"]
    whole = [S.PLANNED, S.EXECUTING, S.APPLIED, S.VERIFYING, S.NOT_RECOVERED]
    assert states(first) == whole
    names = points(first)
    assert names.count("before set_alias") == names.count("after set_alias") == 1
    assert names.count("before a commit") > len(whole)
    for number, name in enumerate(names, 1):
        reset(world, mlflow_server, first.model)
        killed = replace(
            first,
            store=f"sqlite:///{tmp_path}/{number}.db",
            log=f"{tmp_path}/{number}.points",
            kill_at=number,
        )
        assert nursery.live(killed) == [KILLED], name
        assert points(killed) == names[:number]
        again = replace(killed, kill_at=0, now=NOON + 200)
        assert nursery.live(again) == [0], name
        assert log_moves(mlflow_server, first.model) == ["2"], name
        found = states(again)
        attempts = found.count(S.EXECUTING)
        assert attempts in (1, 2), name
        assert [state for state in found if state != S.EXECUTING] == [s for s in whole if s != S.EXECUTING]
        assert found[1 : 1 + attempts] == [S.EXECUTING] * attempts, name


def test_two_processes_with_stores_of_their_own_move_once(
    nursery: Nursery, first: Run, world: World, mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    for number in range(3):
        reset(world, mlflow_server, first.model)
        replicas = [
            replace(first, store=f"sqlite:///{tmp_path}/{number}{name}.db", log=f"{tmp_path}/{number}{name}")
            for name in "ab"
        ]
        assert nursery.live(*replicas) == [0, 0]
        assert log_moves(mlflow_server, first.model) == ["2"]
        for replica in replicas:
            assert states(replica) == [S.PLANNED, S.EXECUTING, S.APPLIED, S.VERIFYING, S.NOT_RECOVERED]

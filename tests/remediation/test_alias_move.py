"""Moves of aliases on a real MLflow server, whose database logs every change of an alias."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from exporter.registry.registry import Registry
from exporter.remediation.action import ACTION_TAG, Action
from exporter.remediation.alias_move import AliasMover, attempt_move
from exporter.storage.action_states import State
from tests.support.actions import ACTION
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.mlflow_server import MlflowServer, let_dangle, log_moves
from tests.support.mlflow_world import World

S = State


@dataclass(frozen=True)
class Moving:
    """A model with three versions, of which the third is the champion, and an action that moves it back."""

    registry: Registry
    world: World
    action: Action
    moves: Callable[[], list[str]]

    @property
    def model(self) -> str:
        return self.action.model

    def mover(self, *, may_act: bool = True) -> AliasMover:
        return AliasMover(self.registry, self.action, lambda: may_act)

    def set_alias(self, version: str) -> None:
        """A move of the alias by a person."""
        self.world.client.set_registered_model_alias(self.model, "champion", version)

    def alias(self) -> str:
        return self.registry.read_alias(self.model, "champion").version


@pytest.fixture
def moving(registry: Registry, world: World, mlflow_server: MlflowServer) -> Moving:
    model = world.add_model(versions=3)
    found = Moving(registry, world, replace(ACTION, model=model), lambda: log_moves(mlflow_server, model))
    found.set_alias("3")
    found.moves()
    return found


def test_an_alias_is_moved_once_and_tagged(moving: Moving) -> None:
    for _ in range(2):  # the second time as after a crash
        outcome = moving.mover().move()
        assert outcome.state is S.APPLIED
        assert outcome.data == {"alias_before": "3", "alias_after": "2"}
    assert moving.moves() == ["2"]
    assert moving.registry.model_tags(moving.model) == {ACTION_TAG: ACTION.id}


def test_a_person_who_was_first_wins(moving: Moving) -> None:
    moving.set_alias("1")
    outcome = moving.mover().move()
    assert outcome.state is S.CONFLICT
    assert outcome.reason == "the alias points to version 1, not to version 3: somebody else moved it"
    assert moving.moves() == ["1"]
    assert moving.registry.model_tags(moving.model) == {}


def test_a_person_who_moved_it_to_the_target_is_a_conflict(moving: Moving) -> None:
    moving.set_alias("2")
    assert moving.mover().move().state is S.CONFLICT


def test_an_alias_that_was_removed_is_a_conflict(moving: Moving) -> None:
    moving.world.client.delete_registered_model_alias(moving.model, "champion")
    outcome = moving.mover().move()
    assert (outcome.state, outcome.data["found"]) == (S.CONFLICT, "")


def test_a_target_that_is_gone_fails(moving: Moving) -> None:
    moving.world.client.delete_model_version(moving.model, "2")
    outcome = moving.mover().move()
    assert outcome.state is S.FAILED
    assert moving.alias() == "3"


def test_a_model_that_is_gone_fails(moving: Moving) -> None:
    moving.world.client.delete_registered_model(moving.model)
    assert moving.mover().move().state is S.FAILED
    assert moving.mover().inspect().state is S.FAILED


def test_a_target_that_is_deleted_while_the_alias_is_set_is_mended(
    moving: Moving, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_and_delete(moving, mlflow_server, monkeypatch)
    outcome = moving.mover().move()
    assert outcome.state is S.FAILED
    assert outcome.reason == (
        "version 2 was deleted while the alias was set to it; it points to version 3 again"
    )
    assert outcome.data["mended"]
    assert moving.alias() == "3"


def test_an_alias_that_dangles_after_a_crash_is_mended(
    moving: Moving, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_and_delete(moving, mlflow_server, monkeypatch, RuntimeError("killed"))
    with pytest.raises(RuntimeError, match="killed"):
        moving.mover().move()
    assert moving.registry.read_alias(moving.model, "champion").dangling
    assert moving.mover().move().data["mended"]
    assert moving.alias() == "3"


def test_an_alias_that_dangles_before_is_a_conflict(moving: Moving, mlflow_server: MlflowServer) -> None:
    let_dangle(mlflow_server, moving.model, "3")
    outcome = moving.mover().move()
    assert outcome.state is S.CONFLICT
    assert "version 3, which is gone" in outcome.reason


def test_an_alias_is_not_set_after_the_lease(moving: Moving) -> None:
    assert moving.mover(may_act=False).move().state is S.EXECUTING
    assert moving.moves() == []


def test_two_exporters_with_the_same_action_move_once(moving: Moving) -> None:
    for _ in range(2):
        replica = AliasMover(moving.registry, moving.action, lambda: True)
        assert replica.move().state is S.APPLIED
    assert moving.moves() == ["2"]


def test_a_second_action_finds_the_alias_moved(moving: Moving) -> None:
    assert moving.mover().move().state is S.APPLIED
    other = replace(moving.action, id="b" * 40)
    assert AliasMover(moving.registry, other, lambda: True).move().state is S.CONFLICT
    assert moving.moves() == ["2"]
    assert moving.registry.model_tags(moving.model) == {ACTION_TAG: ACTION.id}


def test_a_first_promotion_sets_an_alias_that_pointed_to_no_version(moving: Moving) -> None:
    first = replace(moving.action, action="promote", alias="eu", model_version="2", data={"holder": ""})
    assert AliasMover(moving.registry, first, lambda: True).move().state is S.APPLIED
    assert moving.registry.alias_version(moving.model, "eu") == "2"


def move_and_delete(
    moving: Moving,
    server: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception | None = None,
) -> None:
    """Have the target deleted while the next move sets the alias, which then dangles; then fail."""
    call, calls = moving.registry.set_alias, []

    def race(model: str, alias: str, version: str) -> None:
        call(model, alias, version)
        calls.append(version)
        if len(calls) == 1:
            let_dangle(server, model, version)
            if failure is not None:
                raise failure

    monkeypatch.setattr(moving.registry, "set_alias", race)


def test_a_server_that_is_down_fails_the_move_after_some_tries(
    mlflow_environment: None, free_port: int
) -> None:
    waited: list[float] = []
    registry = Registry(f"http://127.0.0.1:{free_port}", None, timeout_seconds=TIMEOUT_SECONDS)
    mover = AliasMover(registry, ACTION, lambda: True)
    outcome = attempt_move(mover, (0.0, 1.0, 2.0), waited.append)
    assert outcome.state is S.FAILED
    assert "cannot be reached" in outcome.reason
    assert waited == [0.0, 1.0, 2.0]

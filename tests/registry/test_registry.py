"""Monitored versions, from a real MLflow server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

import exporter.registry.client
import exporter.registry.registry
from exporter.registry.client_errors import MissingError
from exporter.registry.models import AliasState
from exporter.registry.registry import Registry
from tests.support.mlflow_server import MlflowServer, let_dangle
from tests.support.mlflow_world import World

ODD_NAMES = (
    "it's",
    'say "hi"',
    "both ' and \"",
    "ünï 漢字 🎉",
    " two  spaces ",
    "100%_a",
    "a#b?c&d=e",
    "back\\slash",
)


def test_a_model_without_an_alias_is_not_monitored(registry: Registry, world: World) -> None:
    name = world.add_model()
    assert name not in registry.poll().models


def test_a_version_with_an_alias_is_monitored_until_the_alias_goes(registry: Registry, world: World) -> None:
    name = world.add_model(versions=2)
    world.client.set_registered_model_alias(name, "champion", "1")
    assert registry.poll().models[name].aliases == {"champion": "1"}
    world.client.set_registered_model_alias(name, "champion", "2")
    assert registry.poll().models[name].aliases == {"champion": "2"}
    world.client.delete_registered_model_alias(name, "champion")
    assert name not in registry.poll().models


def test_all_versions_of_a_monitored_model_are_known_with_their_aliases(
    registry: Registry, world: World
) -> None:
    name = world.add_model(versions=3)
    for alias, version in (("champion", "3"), ("eu", "3"), ("challenger", "1")):
        world.client.set_registered_model_alias(name, alias, version)
    versions = registry.poll().models[name].versions
    assert {number: set(version.aliases) for number, version in versions.items()} == {
        "1": {"challenger"},
        "2": set(),
        "3": {"champion", "eu"},
    }


def test_a_version_tells_where_it_came_from(registry: Registry, world: World) -> None:
    run_id = world.add_run()
    name = world.log_version(run_id=run_id, tags={"stage": "b"})
    version = registry.poll().models[name].versions["1"]
    assert (version.model, version.version, version.run_id) == (name, "1", run_id)
    assert version.model_id.startswith("m-")
    assert version.source == f"models:/{version.model_id}"
    assert version.tags == {"stage": "b"}
    assert datetime.now(UTC) - version.created_at < timedelta(minutes=10)


def test_a_version_of_unknown_origin_has_empty_fields(registry: Registry, world: World) -> None:
    name = world.add_model()
    world.client.set_registered_model_alias(name, "champion", "1")
    version = registry.poll().models[name].versions["1"]
    assert (version.run_id, version.model_id) == ("", "")


def test_what_a_poll_found_does_not_change(registry: Registry, world: World) -> None:
    name = world.add_model(versions=2)
    world.client.set_registered_model_alias(name, "champion", "1")
    before, unchanged = registry.poll(), registry.poll()
    world.client.set_registered_model_alias(name, "champion", "2")
    assert before == unchanged
    assert before != registry.poll()
    with pytest.raises(TypeError):
        before.models[name].aliases["champion"] = "2"  # type: ignore[index]


@pytest.mark.parametrize("value", ["false", "False", " FALSE ", "no"])
def test_a_model_can_opt_out(registry: Registry, world: World, value: str) -> None:
    name = world.add_model(tags={"monitoring.enabled": value})
    world.client.set_registered_model_alias(name, "champion", "1")
    assert name not in registry.poll().models


def test_a_version_can_opt_out_without_its_siblings(registry: Registry, world: World) -> None:
    name = world.add_model(versions=2)
    world.client.set_registered_model_alias(name, "champion", "1")
    world.client.set_registered_model_alias(name, "challenger", "2")
    world.client.set_model_version_tag(name, "2", "monitoring.enabled", "False")
    model = registry.poll().models[name]
    assert model.aliases == {"champion": "1"}
    assert set(model.versions) == {"1"}


def test_a_model_whose_only_aliased_version_opted_out_is_not_monitored(
    registry: Registry, world: World
) -> None:
    name = world.add_model(versions=2)
    world.client.set_registered_model_alias(name, "champion", "1")
    world.client.set_model_version_tag(name, "1", "monitoring.enabled", "false")
    assert name not in registry.poll().models


def test_a_deleted_version_is_gone_and_hurts_nobody(registry: Registry, world: World) -> None:
    name, other = world.add_model(versions=2), world.add_model()
    world.client.set_registered_model_alias(name, "champion", "2")
    world.client.set_registered_model_alias(name, "challenger", "1")
    world.client.set_registered_model_alias(other, "champion", "1")
    world.client.delete_model_version(name, "2")
    models = registry.poll().models
    assert models[name].aliases == {"challenger": "1"}
    assert models[other].aliases == {"champion": "1"}


def test_an_alias_to_a_version_deleted_during_the_poll_is_skipped(
    registry: Registry, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = world.add_model(versions=2)
    world.client.set_registered_model_alias(name, "champion", "2")
    world.client.set_registered_model_alias(name, "challenger", "1")
    connection = registry._mlflow
    list_models = connection.list_models

    def list_models_then_delete() -> object:
        models = list_models()
        world.client.delete_model_version(name, "2")
        return models

    monkeypatch.setattr(connection, "list_models", list_models_then_delete)
    assert registry.poll().models[name].aliases == {"challenger": "1"}


def test_a_tag_of_the_version_wins_over_one_of_the_model(registry: Registry, world: World) -> None:
    name = world.add_model(versions=2, tags={"monitoring.team": "risk"})
    world.client.set_registered_model_alias(name, "champion", "1")
    world.client.set_model_version_tag(name, "2", "monitoring.team", "fraud")
    versions = registry.poll().models[name].versions
    assert (versions["1"].team, versions["2"].team) == ("risk", "fraud")


@pytest.mark.parametrize("ask", ["at once", "by name"])
def test_any_name_works(registry: Registry, world: World, monkeypatch: pytest.MonkeyPatch, ask: str) -> None:
    # one call for all versions, or one for each model where that is less work for MLflow
    monkeypatch.setattr(exporter.registry.registry, "VERSIONS_PER_CALL", 1000 if ask == "at once" else 0)
    names = {f"{name} {ask}" for name in ODD_NAMES}
    for name in names:
        world.add_model(name)
        world.client.set_registered_model_alias(name, "champion", "1")
    models = registry.poll().models
    assert {name for name in models if name.endswith(ask)} == names
    assert all(set(models[name].versions) == {"1"} for name in names)


def test_names_that_look_like_patterns_are_told_apart(
    registry: Registry, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter.registry.registry, "VERSIONS_PER_CALL", 0)
    for name, versions in (("a'c", 1), ("a%c", 2), ("abc", 3)):
        world.add_model(name, versions)
        world.client.set_registered_model_alias(name, "champion", "1")
    models = registry.poll().models
    assert [len(models[name].versions) for name in ("a'c", "a%c", "abc")] == [1, 2, 3]


def test_more_models_and_versions_than_a_page_holds(
    registry: Registry, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {world.add_model(versions=3) for _ in range(3)}
    for name in names:
        world.client.set_registered_model_alias(name, "champion", "3")
    whole = registry.poll()
    monkeypatch.setattr(exporter.registry.client, "MODELS_PER_PAGE", 2)
    monkeypatch.setattr(exporter.registry.client, "VERSIONS_PER_PAGE", 2)
    assert registry.poll() == whole
    assert names <= whole.models.keys()


def test_the_metrics_of_the_source_run(registry: Registry, world: World) -> None:
    run_id = world.add_run()
    world.client.log_metric(run_id, "roc_auc", 0.75)
    name, without = world.log_version(run_id=run_id), world.log_version()
    models = registry.poll().models
    assert registry.load_run_metrics(models[name].versions["1"]) == {"roc_auc": 0.75}
    assert registry.load_run_metrics(models[without].versions["1"]) == {}


def test_an_alias_is_read_and_set(registry: Registry, world: World) -> None:
    name = world.add_model(versions=2)
    assert registry.alias_version(name, "champion") == ""
    for version in ("1", "2", "2"):
        registry.set_alias(name, "champion", version)
        assert registry.alias_version(name, "champion") == version


@pytest.mark.parametrize("name", ["", *ODD_NAMES])
def test_the_latest_version_with_a_tag_is_found(registry: Registry, world: World, name: str) -> None:
    name = world.add_model(f"{name}{uuid4().hex[:8]}" if name else "", versions=3)
    other = world.add_model(versions=9)
    key = "monitoring.action_id"
    assert registry.tagged_version(name, key, "ab" * 20) == ""
    for model, version, value in (
        (name, "1", "ab"),
        (name, "2", "ab"),
        (name, "3", "cd"),
        (other, "9", "ab"),
    ):
        registry.set_version_tag(model, version, key, value * 20)
    assert registry.tagged_version(name, key, "ab" * 20) == "2"


def test_an_alias_that_dangles_is_no_version(
    registry: Registry, world: World, mlflow_server: MlflowServer
) -> None:
    name = world.add_model(versions=2)
    registry.set_alias(name, "champion", "2")
    let_dangle(mlflow_server, name, "2")
    with pytest.raises(MissingError, match="version 2, which is gone"):
        registry.alias_version(name, "champion")
    assert registry.read_alias(name, "champion") == AliasState("2", dangling=True)
    registry.set_alias(name, "champion", "1")
    assert registry.alias_version(name, "champion") == "1"


def test_an_alias_is_not_set_to_a_version_that_is_gone(registry: Registry, world: World) -> None:
    name = world.add_model()
    with pytest.raises(MissingError):
        registry.set_alias(name, "champion", "2")
    with pytest.raises(MissingError):
        registry.alias_version("no-such-model", "champion")


def test_tags_of_a_model_and_of_a_version_are_set(registry: Registry, world: World) -> None:
    name = world.add_model()
    registry.set_model_tag(name, "monitoring.action_id", "a" * 40)
    registry.set_version_tag(name, "1", "monitoring.action_id", "b" * 40)
    assert registry.model_tags(name) == {"monitoring.action_id": "a" * 40}
    tags = world.client.get_model_version(name, "1").tags
    assert tags == {"monitoring.action_id": "b" * 40}
    with pytest.raises(MissingError):
        registry.set_version_tag(name, "2", "monitoring.action_id", "b" * 40)


def test_a_version_loads_while_its_files_are_there(
    registry: Registry, world: World, mlflow_server: MlflowServer
) -> None:
    name = world.log_version()
    assert registry.model_loads(name, "1") == ""
    uri = world.client.get_model_version_download_uri(name, "1")
    (mlflow_server.directory / "artifacts" / uri.removeprefix("mlflow-artifacts:/") / "MLmodel").unlink()
    assert world.client.get_model_version(name, "1").status == "READY"
    assert "there is no file" in registry.model_loads(name, "1")
    assert "no such thing" in registry.model_loads(name, "2")
    assert "cannot be read" in registry.model_loads(world.add_model(), "1")

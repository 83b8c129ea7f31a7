"""Importance that is declared in MLflow or in the exporter's file, and downloads of models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.errors import ImportanceError
from exporter.registry.importance import ARTIFACT
from exporter.registry.registry import Registry
from tests.support.mlflow_world import World

WEIGHTS = {"age": 3.0, "country": 1.0}
JSON = json.dumps(WEIGHTS)


@pytest.fixture(scope="module")
def run_id(world: World) -> str:
    """A run with importance as an artifact, and files that are none."""
    return world.add_run(
        {
            ARTIFACT: JSON.encode(),
            "other/importance.json": b'{"age": 1}',
            "megabyte.json": b'{"' + b"a" * 2**20 + b'": 1}',
            "importance.txt": JSON.encode(),
        }
    )


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({}, (WEIGHTS, "run_artifact")),
        ({"setting": '{"new": 2}'}, ({"new": 2.0}, "config")),
        ({"tag": JSON, "setting": '{"new": 2}'}, (WEIGHTS, "tag")),
        ({"tag": "runs:/{run_id}/other/importance.json"}, ({"age": 1.0}, "tag")),
        ({"setting": "runs:/{run_id}/other/importance.json"}, ({"age": 1.0}, "config")),
    ],
    ids=["artifact", "file", "tag wins", "uri in a tag", "uri in the file"],
)
def test_the_first_place_that_is_named_counts(
    declared: Mapping[str, str], expected: object, registry: Registry, run_id: str
) -> None:
    given = {name: text.replace("{run_id}", run_id) for name, text in declared.items()}
    assert registry.load_importance(**{"run_id": run_id, "tag": "", "setting": "", **given}) == expected


def test_nothing_is_declared_without_a_run_or_without_its_artifact(registry: Registry, world: World) -> None:
    assert registry.load_importance("", "", "") is None
    assert registry.load_importance("f" * 32, "", "") is None
    assert registry.load_importance(world.add_run(), "", "") is None


def test_a_path_is_read_if_the_file_names_it_and_never_if_a_tag_does(
    registry: Registry, tmp_path: Path
) -> None:
    path = tmp_path / "importance.json"
    path.write_text(JSON)
    assert registry.load_importance("", "", str(path)) == (WEIGHTS, "config")
    for tag in (str(path), path.as_uri()):
        with pytest.raises(ImportanceError, match="is not read, only mlflow-artifacts, s3, gs, wasbs are"):
            registry.load_importance("", tag, "")


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("permutation", "runs the model's code, so only the exporter's configuration file can ask for it"),
        ("http://169.254.169.254/importance.json", "http://169.254.169.254/importance.json is not read"),
        ("runs:/{run_id}/none.json", "there is no such file"),
        ("runs:/{run_id}/importance.txt", "does not end in .parquet, .csv, .json, .jsonl"),
        ("runs:/{run_id}/megabyte.json", "it has 1,048,583 bytes; at most 262,144 are read"),
        ("{not json", "it is not JSON"),
        ('{"age": -1}', "the weight of 'age' is -1; it has to be from 0 to 1e100"),
    ],
    ids=["permutation", "url", "missing", "name", "megabyte", "no json", "negative"],
)
def test_a_tag_that_cannot_be_used_is_said_so(tag: str, reason: str, registry: Registry, run_id: str) -> None:
    with pytest.raises(ImportanceError) as raised:
        registry.load_importance(run_id, tag.replace("{run_id}", run_id), "")
    assert str(raised.value).startswith("tag monitoring.importance: ")
    assert reason in str(raised.value)


def test_a_path_that_is_not_there_is_said_so(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(
        ImportanceError, match=r"^importance of the configuration: it cannot be read: No such"
    ):
        registry.load_importance("", "", str(tmp_path / "none.json"))


def test_the_files_of_a_model_are_downloaded_within_limits(
    registry: Registry, world: World, tmp_path: Path
) -> None:
    files = {"model.pkl": b"a" * 1000, "code/one/two.py": b"pass\n"}
    model = world.log_version(files)
    found = registry.download_model(model, "1", tmp_path, 2**20)
    assert found == tmp_path / "model"
    assert {name: (found / name).read_bytes() for name in files} == files
    assert (found / "MLmodel").is_file()
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(ImportanceError, match=r"^the model has more than 0 MB$"):
        registry.download_model(model, "1", other, 500)

"""The version that is served, and its files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import exporter.scoring.source
from exporter.errors import ConfigError
from exporter.scoring.source import ModelSource, find_source, model_files


class OneAlias:
    """A registry in which version 7 of `fraud` is the champion."""

    def __init__(self, *_: object) -> None:
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "1"  # as the real one does

    def alias_version(self, model: str, alias: str) -> str:
        return "7" if (model, alias) == ("fraud", "champion") else ""


@pytest.fixture(autouse=True)
def one_alias(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter.scoring.source, "Registry", OneAlias)


def test_an_alias_is_resolved_once() -> None:
    environment = dict(os.environ)

    assert find_source("models:/fraud@champion") == ModelSource("fraud", "7", "models:/fraud/7")
    assert dict(os.environ) == environment  # MLflow in the model has its own limits


def test_a_version_is_taken_as_it_is() -> None:
    assert find_source("models:/my model/3") == ModelSource("my model", "3", "models:/my model/3")
    assert find_source("models:/fraud@champion", "fraud", "7").version == "7"


@pytest.mark.parametrize("uri", ["runs:/abc/model", "models:/m-0123", "./model", "models:/fraud/latest"])
def test_other_uris_need_a_name_and_a_version(uri: str) -> None:
    assert find_source(uri, "fraud", "3") == ModelSource("fraud", "3", uri)
    with pytest.raises(ConfigError, match="--model and --version"):
        find_source(uri, "fraud")


@pytest.mark.parametrize(
    ("uri", "model", "version", "problem"),
    [
        ("models:/fraud@challenger", "", "", "has no alias 'challenger'"),
        ("models:/fraud@champion", "churn", "", "is version 7 of fraud"),
        ("models:/fraud/3", "", "4", "is version 3 of fraud"),
    ],
)
def test_what_contradicts_the_uri_is_refused(uri: str, model: str, version: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        find_source(uri, model, version)


def test_a_local_model_is_served_from_its_place(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").touch()

    with model_files(ModelSource("fraud", "3", f"file://{tmp_path}")) as files:
        assert files == tmp_path
    assert (tmp_path / "MLmodel").exists()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="no file MLmodel"),
        model_files(ModelSource("f", "3", str(tmp_path))),
    ):
        pass

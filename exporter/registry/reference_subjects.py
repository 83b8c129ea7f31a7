"""Finds the version, model or run that a user means, with the files among which its reference is.

ModelInfo, LoggedModel       as `log_model` and MLflow's client return them
ModelVersion                 as `register_model` returns it
Run, ActiveRun               finished or not
models:/fraud/3              a version; also models:/fraud@champion
models:/m-<id>               a logged model
runs:/<id>, <id>             a run; runs:/<id>/model is a model among its artifacts
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from exporter.errors import ReferenceInvalidError
from exporter.registry.client import RegistryClient
from exporter.registry.client_errors import MissingError
from exporter.registry.models import model_id_of, without_own
from exporter.registry.runs import finite_metrics, last_metrics
from exporter.registry.sources import SearchedFiles

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models.model import ModelInfo

    Given: TypeAlias = ModelInfo | ModelVersion | LoggedModel | Run | str

FORMS = "models:/name/3, models:/name@alias, models:/m-<id>, runs:/<id> or the id of a run"


@dataclass(frozen=True)
class ReferenceSubject:
    """A version, model or run that has a reference, or is to get one.

    `name` is for people. `model` and `version` are empty if it is not registered, `model_id` if it has no
    logged model whose files are those that are searched. `tags` are those of the registered model and of the
    version, which win.
    """

    name: str
    files: SearchedFiles
    model: str = ""
    version: str = ""
    model_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def find_subject(mlflow: RegistryClient, given: object) -> ReferenceSubject:
    """The version, model or run that is meant.

    Raises:
        TypeError: it is none of these.
        MissingError: MLflow does not have it.
        ReferenceInvalidError: a text that is no URI of one, or a source that cannot be followed.
    """
    found: Any = given
    if isinstance(given, str):
        return _by_text(mlflow, given.strip())
    if hasattr(given, "version") and hasattr(given, "current_stage"):
        return _version(mlflow, mlflow.get_version(found.name, str(found.version)))
    if getattr(given, "model_id", None):
        return _model(mlflow, found.model_id)
    if getattr(given, "model_uri", None):
        return _by_text(mlflow, str(found.model_uri))
    if hasattr(getattr(given, "info", None), "run_id"):
        return _run(mlflow, found.info.run_id)
    raise TypeError(
        f"a {type(given).__name__} is no model, version or run of MLflow, nor a text such as {FORMS}"
    )


def source_metrics(mlflow: RegistryClient, subject: ReferenceSubject) -> dict[str, float]:
    """Metrics of a subject's run, of which there may be baselines; empty without one."""
    run = mlflow.find_run(subject.files.run_id)
    return {} if run is None else finite_metrics(last_metrics(run))


def _by_text(mlflow: RegistryClient, text: str) -> ReferenceSubject:
    if matched := re.fullmatch(r"models:/(m-[0-9a-f]{32})/?", text):
        return _model(mlflow, matched[1])
    if matched := re.fullmatch(r"models:/([^/]+)/(\d+)/?", text):
        return _version(mlflow, mlflow.get_version(matched[1], matched[2]))
    if matched := re.fullmatch(r"models:/([^/]+)@([^/@]+)/?", text):
        return _version(mlflow, mlflow.get_version_by_alias(matched[1], matched[2]))
    if matched := re.fullmatch(r"(?:runs:/)?([0-9a-f]{32})/?", text):
        return _run(mlflow, matched[1])
    if matched := re.fullmatch(r"runs:/([0-9a-f]{32})/(.+?)/?", text):
        return ReferenceSubject(f"model {text}", SearchedFiles(mlflow.locate(text), matched[1]))
    raise ReferenceInvalidError(f"{text!r} is not {FORMS}")


def _version(mlflow: RegistryClient, version: ModelVersion) -> ReferenceSubject:
    model, number = version.name, str(version.version)
    root, model_id = mlflow.locate_version(model, number), model_id_of(version)
    if model_id and mlflow.locate(f"models:/{model_id}") != root:
        model_id = ""  # the version was registered from other files
    return ReferenceSubject(
        name=f"{model} version {number}",
        files=SearchedFiles(root, version.run_id or "", without_own(version.tags)),
        model=model,
        version=number,
        model_id=model_id,
        tags={**without_own(mlflow.get_model(model).tags), **without_own(version.tags)},
    )


def _model(mlflow: RegistryClient, model_id: str) -> ReferenceSubject:
    with mlflow.asking():
        logged: LoggedModel = mlflow.raw.get_logged_model(model_id)
    for name, number in _versions(logged):
        try:
            found = _version(mlflow, mlflow.get_version(name, number))
        except MissingError:  # deleted since
            continue
        if found.model_id == model_id:
            return found
    files = SearchedFiles(mlflow.locate(logged.artifact_location), logged.source_run_id or "")
    return ReferenceSubject(f"model {model_id}", files, model_id=model_id)


def _versions(logged: LoggedModel) -> list[tuple[str, str]]:
    """Models and numbers of the versions of a logged model, the last registered first."""
    try:
        listed = json.loads(logged.tags.get("mlflow.modelVersions", "[]"))
        return [(str(each["name"]), str(each["version"])) for each in reversed(listed)]
    except (ValueError, TypeError, LookupError):
        return []


def _run(mlflow: RegistryClient, run_id: str) -> ReferenceSubject:
    """A run; its only logged model, if it has exactly one, states the reference's inputs."""
    run = mlflow.find_run(run_id)
    if run is None:
        raise MissingError(f"MLflow at {mlflow.shown_uri} has no run {run_id}")
    models = {output.model_id for output in (run.outputs.model_outputs if run.outputs else ())}
    root = mlflow.locate(f"models:/{models.pop()}") if len(models) == 1 else ""
    return ReferenceSubject(f"run {run_id}", SearchedFiles(root, run_id))

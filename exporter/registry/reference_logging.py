"""Logs a reference to MLflow: as a file of the logged model, else as an artifact of the run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exporter.config.models import ModelConfig
from exporter.errors import ReferenceExistsError, ReferenceInvalidError
from exporter.registry.client import RegistryClient
from exporter.registry.reference_subjects import ReferenceSubject
from exporter.registry.sources import is_there, places

FILE = "reference.parquet"
# Folders of the places that can be written to, by source.
_FOLDERS = {"extra_files": "extra_files", "model": "", "run_artifact": "monitoring"}


@dataclass(frozen=True)
class Destination:
    """A place for a reference: `source` as of a place to look, `uri` for people; `replaces` one there."""

    source: str
    uri: str
    replaces: bool


def choose_destination(
    mlflow: RegistryClient, subject: ReferenceSubject, config: ModelConfig, *, replace: bool
) -> Destination:
    """The place where the exporter finds a reference of a subject.

    Raises:
        ReferenceExistsError: one is there already and is not to be replaced, or another is found first.
        ReferenceInvalidError: MLflow has no place for it.
    """
    owners = {
        "extra_files": f"models:/{subject.model_id}" if subject.model_id else "",
        "model": f"models:/{subject.model_id}" if subject.model_id else "",
        "run_artifact": f"runs:/{subject.files.run_id}" if subject.files.run_id else "",
    }
    usual = "model" if subject.model_id else "run_artifact"
    if not owners[usual]:
        raise ReferenceInvalidError(
            f"{subject.name} has neither a logged model nor a run to log a reference to: log the file "
            "elsewhere, and name it in the tag monitoring.reference_uri of the version"
        )
    for place in places(mlflow, subject.files, config):
        if place.source in ("config", "tag"):
            raise ReferenceExistsError(
                f"{subject.name} has another reference, which is looked for first: the {place.name}"
            )
        owner = owners.get(place.source, "")
        try:
            there = is_there(mlflow, place)
        except ReferenceInvalidError:  # as when it is too large
            there = True
        if there and not (owner and replace):
            how = "replace=True replaces it" if owner else "log the model again, without it"
            raise ReferenceExistsError(f"{subject.name} has a reference, {place.name}: {how}")
        if there or place.source == usual:
            uri = "/".join(filter(None, (owner, _FOLDERS[place.source], FILE)))
            return Destination(place.source, uri, replaces=there)
    raise ReferenceInvalidError(f"the run {subject.files.run_id} of {subject.name} is gone")


def log_file(mlflow: RegistryClient, subject: ReferenceSubject, destination: Destination, path: Path) -> None:
    """Upload a file, which is named `FILE`."""
    folder = _FOLDERS[destination.source] or None
    with mlflow.asking():
        if destination.source == "run_artifact":
            mlflow.raw.log_artifact(subject.files.run_id, str(path), folder)
        else:
            mlflow.raw.log_model_artifact(subject.model_id, str(path), folder)

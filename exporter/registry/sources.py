"""Finds the reference of a version in these places; the first hit wins.

    config         `reference_uri` of the exporter's own file
    tag            version tag monitoring.reference_uri
    extra_files    extra_files/reference.parquet of the logged model
    model          reference.parquet at its root
    run_artifact   monitoring/reference.parquet of the source run
    dataset        a dataset of the run tagged monitoring.reference=true, then one with context `training`
    table          reference_table.json of the run, as mlflow.log_table writes it

A reference that is named on purpose has to be readable, or it is an error. A training dataset is only a
guess: it is passed over if it cannot be used. The model is never loaded, and its input example is never a
reference.

Anyone who can tag a version can name a place. So no file on the exporter's own disk is read unless its
configuration names it, none from a store that would get credentials at a host of the tagger's choice, and
none from a plain http(s) URL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from exporter.config.models import ModelConfig
from exporter.errors import (
    ReferenceInvalidError,
    ReferenceNotFoundError,
    RegistryAuthError,
    RegistryError,
    RegistryUnreachableError,
)
from exporter.formats.texts import redact
from exporter.profiling.data import ReferenceFile
from exporter.profiling.files import check_size, max_bytes
from exporter.registry.client import RegistryClient, RemoteFile
from exporter.registry.client_errors import MissingError
from exporter.registry.mlflow_uri import split_uri
from exporter.registry.mlmodel import read_statements
from exporter.registry.models import RegisteredVersion

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Run

Profile = TypeVar("Profile")

# Where a file may be that a tag or a dataset names; `runs:/` and `models:/` lead to one of these.
NAMED_SCHEMES = ("mlflow-artifacts", "s3", "gs", "wasbs")


@dataclass(frozen=True)
class Place:
    """A place to look; `name` is for people.

    `promised`: it is named as the reference. `guessed`: it is not, but may well serve as one. `trusted`: the
    exporter's own file names it, so it may be a path. `assumed` are fields of `ReferenceData` by default.
    """

    source: str
    name: str
    uri: str
    promised: bool = False
    guessed: bool = False
    trusted: bool = False
    assumed: Mapping[str, str] = field(default_factory=dict)

    @property
    def named(self) -> bool:
        """True if the URI was not chosen by MLflow."""
        return self.promised or self.guessed


@dataclass(frozen=True)
class SearchedFiles:
    """The version, model or run whose reference is looked for.

    `root` is the URI of the directory with a model's files, empty for a run alone; `run_id` is empty without
    a run. `tags` are those of the version.
    """

    root: str
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)


def files_of_version(mlflow: RegistryClient, version: RegisteredVersion) -> SearchedFiles:
    """The files of a registered version.

    Raises:
        MissingError: there is no such version.
        ReferenceInvalidError: the version's source cannot be followed.
    """
    root = mlflow.locate_version(version.model, version.version)
    return SearchedFiles(root, version.run_id, version.tags)


def load_reference(
    mlflow: RegistryClient,
    files: SearchedFiles,
    config: ModelConfig,
    profile: Callable[[ReferenceFile], Profile],
) -> Profile:
    """Find a reference and profile it. `config` wins over the file's statements, and these over the model's.

    The file is there as long as `profile` runs.

    Raises:
        ReferenceNotFoundError: there is none; the message names the places.
        ReferenceInvalidError: there is one, and it cannot be used; the message says which and why.
        RegistryError: MLflow did not answer as it should.
    """
    looked_at = []
    for place in places(mlflow, files, config):
        try:
            with TemporaryDirectory(prefix="mlflow-exporter-") as directory:
                path = _find(mlflow, place, lambda file: mlflow.download(file, Path(directory)))
                if path is not None:
                    stated, inputs = read_statements(mlflow, files.root)
                    assumed = {**place.assumed, **stated, "inputs": inputs}
                    return profile(ReferenceFile(path, place.source, config.reference_fields(), assumed))
            looked_at.append(place.name)
        except ReferenceInvalidError as error:
            if not place.guessed:
                raise ReferenceInvalidError(f"{place.name}: {error}") from error
            looked_at.append(f"{place.name} ({error})")
    without = "" if files.run_id else " (the version has no source run)"
    raise ReferenceNotFoundError(f"no reference found, looked at: {', '.join(looked_at)}{without}")


def find_source(mlflow: RegistryClient, files: SearchedFiles, config: ModelConfig) -> str:
    """Source of the reference that would be found, empty if there is none. Nothing is downloaded.

    Raises:
        ReferenceInvalidError: one is named that is not there, or may not be read.
        RegistryError: MLflow did not answer as it should.
    """
    for place in places(mlflow, files, config):
        try:
            if is_there(mlflow, place):
                return place.source
        except ReferenceInvalidError as error:
            if not place.guessed:
                raise ReferenceInvalidError(f"{place.name}: {error}") from error
    return ""


# -- places -------------------------------------------------------------------------------------------------


def places(mlflow: RegistryClient, files: SearchedFiles, config: ModelConfig) -> Iterator[Place]:
    """Places in order, lazily, because each may cost a call."""
    if config.reference_uri:
        name = f"reference_uri of the configuration, {_shown(config.reference_uri)}"
        yield Place("config", name, config.reference_uri, promised=True, trusted=True)
    tagged = files.tags.get("monitoring.reference_uri", "").strip()
    if tagged:
        yield Place("tag", f"tag monitoring.reference_uri, {_shown(tagged)}", tagged, promised=True)
    if root := files.root:
        at_root = f"{root}/reference.parquet"
        in_extra_files = f"{root}/extra_files/reference.parquet"
        yield Place("extra_files", "extra_files/reference.parquet of the model", in_extra_files)
        yield Place("model", "reference.parquet of the model", at_root)
    run = mlflow.find_run(files.run_id)
    if run is None:
        return
    logged = run.info.artifact_uri
    yield Place(
        "run_artifact", "monitoring/reference.parquet of the run", f"{logged}/monitoring/reference.parquet"
    )
    yield from _datasets(run)
    yield Place("table", "reference_table.json of the run", f"{logged}/reference_table.json")


def _datasets(run: Run) -> Iterator[Place]:
    datasets = run.inputs.dataset_inputs if run.inputs else []
    inputs = [(item, {tag.key: tag.value for tag in item.tags}) for item in datasets]
    for item, tags in inputs:
        if tags.get("monitoring.reference", "").lower() == "true":
            name = f"dataset {item.dataset.name!r} tagged monitoring.reference"
            yield Place("dataset", name, _dataset_uri(item), promised=True)
    for item, tags in inputs:
        if tags.get("mlflow.data.context") in ("training", "train"):  # the second is autologging's
            name = f"training dataset {item.dataset.name!r}"
            yield Place("dataset", name, _dataset_uri(item), guessed=True, assumed={"split": "train"})


def _dataset_uri(item: DatasetInput) -> str:
    """URI of a dataset's source; empty if it is no file, such as `code` or a table of a database."""
    try:
        source = json.loads(item.dataset.source)
    except ValueError:
        return ""
    if not isinstance(source, dict):
        return ""
    return str(source.get("uri") or source.get("url") or "")


# -- reading ------------------------------------------------------------------------------------------------


def is_there(mlflow: RegistryClient, place: Place) -> bool:
    """True if there is a file at a place. Nothing is downloaded.

    Raises:
        ReferenceInvalidError: it is named, and not there or not to be read.
    """
    return _find(mlflow, place, lambda file: Path(file.uri)) is not None


def _find(mlflow: RegistryClient, place: Place, take: Callable[[RemoteFile], Path]) -> Path | None:
    """The file, by `take` if it is not on this machine; None where nothing is there."""
    if place.named and not place.uri:
        raise ReferenceInvalidError("it does not say which file it came from")
    if place.trusted and split_uri(place.uri).scheme in ("", "file"):
        return local_path(place.uri)
    try:
        uri = mlflow.locate(place.uri)
        if place.named:
            # Without a server MLflow's own files are on this machine.
            check_named(uri, local=not mlflow.is_server and uri != place.uri)
        file = mlflow.find_file(uri)
        if file is not None:
            check_size(_shown(uri), file.size_bytes or 0)
            return take(file)
    except MissingError:
        pass
    except (RegistryUnreachableError, RegistryAuthError):
        raise
    except RegistryError as error:  # a name that MLflow does not even look for
        raise ReferenceInvalidError(str(error)) from error
    if place.promised:
        raise ReferenceInvalidError("there is no such file")
    return None


def local_path(uri: str) -> Path:
    path = Path(url2pathname(urlsplit(uri).path) if uri.startswith("file:") else uri)
    try:
        path.stat()
    except (OSError, ValueError) as error:  # the second of a path with NUL
        raise ReferenceInvalidError(f"it cannot be read: {getattr(error, 'strerror', error)}") from error
    return path


def check_named(uri: str, *, local: bool) -> None:
    """
    Args:
        uri: of the file.
        local: whether it may be one of this machine.

    Raises:
        ReferenceInvalidError: the file, which a tag or a dataset names, may not be read.
    """
    parts = split_uri(uri)
    if parts.scheme not in NAMED_SCHEMES and not (local and parts.scheme in ("", "file")):
        raise ReferenceInvalidError(
            f"{_shown(uri)} is not read, only {', '.join(NAMED_SCHEMES)} are: log the file to MLflow"
        )
    max_bytes(uri)


def _shown(uri: str) -> str:
    """A URI for messages: without passwords, and without the query, where URLs carry their signature."""
    return redact(uri).partition("?")[0]

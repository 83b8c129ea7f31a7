"""Reads what people declared of the importance of a version's columns, and downloads its model.

The first of these places that is named counts; the last is looked at where none is:

    tag            `monitoring.importance`: weights as JSON, or the URI of a JSON file
    config         `importance` of the exporter's own file, which may also be a path
    run_artifact   monitoring/importance.json of the source run

Whoever can tag a version can name a place; the rules are those of references (`exporter.registry.sources`).
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from exporter.config.importance import MAX_TEXT_BYTES, PERMUTATION, is_mapping, read_weights
from exporter.errors import (
    ImportanceError,
    ReferenceInvalidError,
    RegistryAuthError,
    RegistryError,
    RegistryUnreachableError,
)
from exporter.evaluation.importance import ImportanceSource
from exporter.registry.client import RegistryClient
from exporter.registry.client_errors import MissingError
from exporter.registry.mlflow_uri import split_uri
from exporter.registry.sources import check_named, local_path

ARTIFACT = "monitoring/importance.json"
MAX_MODEL_FILES = 2_000
MAX_MODEL_DEPTH = 12

Declared = tuple[dict[str, float], ImportanceSource]


def load_declared(mlflow: RegistryClient, run_id: str, tag: str, setting: str) -> Declared | None:
    """Weights by column with their source; None if nothing is declared.

    Args:
        mlflow: the client.
        run_id: of the version's source run, may be empty.
        tag: value of `monitoring.importance`, may be empty.
        setting: `importance` of the configuration file, may be empty, and not `permutation`.

    Raises:
        ImportanceError: what is declared cannot be used; the message says which and why.
        RegistryUnreachableError, RegistryAuthError: MLflow does not answer.
    """
    if tag:
        if tag == PERMUTATION:
            raise ImportanceError(
                "tag monitoring.importance: permutation runs the model's code, so only the exporter's "
                "configuration file can ask for it"
            )
        return _declared(mlflow, "tag monitoring.importance", tag, "tag", trusted=False)
    if setting:
        return _declared(mlflow, "importance of the configuration", setting, "config", trusted=True)
    run = mlflow.find_run(run_id)
    if run is None:
        return None
    content = _read(mlflow, f"{run.info.artifact_uri}/{ARTIFACT}", named=False)
    return None if content is None else (_weights(f"{ARTIFACT} of the run", content), "run_artifact")


def _declared(
    mlflow: RegistryClient, name: str, text: str, source: ImportanceSource, *, trusted: bool
) -> Declared:
    content: str | bytes | None = text
    if not is_mapping(text):
        try:
            content = _read_local(text) if trusted and _is_local(text) else _read(mlflow, text)
        except ReferenceInvalidError as error:
            raise ImportanceError(f"{name}: {error}") from error
        if content is None:
            raise ImportanceError(f"{name}: there is no such file")
    return _weights(name, content or ""), source


def _weights(name: str, content: str | bytes) -> dict[str, float]:
    try:
        return read_weights(content)
    except ValueError as error:
        subject = "" if str(error).startswith("the ") else "it "
        raise ImportanceError(f"{name}: {subject}{error}") from error


# -- files --------------------------------------------------------------------------------------------------


def _is_local(uri: str) -> bool:
    return split_uri(uri).scheme in ("", "file")


def _read_local(uri: str) -> bytes:
    path = local_path(uri)
    with path.open("rb") as file:  # one byte more shows that it is too large
        return file.read(MAX_TEXT_BYTES + 1)


def _read(mlflow: RegistryClient, uri: str, *, named: bool = True) -> bytes | None:
    """Content of a file in one of MLflow's artifact stores, None if there is none.

    Args:
        mlflow: the client.
        uri: of the file.
        named: a person chose the URI.
    """
    try:
        found = mlflow.locate(uri)
        if named:
            check_named(found, local=not mlflow.is_server and found != uri)
        file = mlflow.find_file(found)
        if file is None:
            return None
        if (file.size_bytes or 0) > MAX_TEXT_BYTES:
            raise ReferenceInvalidError(
                f"it has {file.size_bytes:,} bytes; at most {MAX_TEXT_BYTES:,} are read"
            )
        with TemporaryDirectory(prefix="mlflow-exporter-") as directory:
            return _read_local(str(mlflow.download(file, Path(directory))))
    except MissingError:
        return None
    except (RegistryUnreachableError, RegistryAuthError):
        raise
    except RegistryError as error:  # a name that MLflow does not even look for
        raise ReferenceInvalidError(str(error)) from error


def download_model(mlflow: RegistryClient, model: str, version: str, directory: Path, max_bytes: int) -> Path:
    """Download the files of a version to the folder `model` of a directory, and return it.

    Raises:
        ImportanceError: they are too many or too large, or cannot be read.
        RegistryUnreachableError, RegistryAuthError: MLflow does not answer.
    """
    root = directory / "model"
    try:
        _download(mlflow, mlflow.locate_version(model, version), root, _Room(MAX_MODEL_FILES, max_bytes))
    except (ReferenceInvalidError, MissingError) as error:
        raise ImportanceError(f"the model cannot be downloaded: {error}") from error
    except OSError as error:  # a full disk
        raise ImportanceError(f"the model cannot be downloaded: {error.strerror}") from error
    return root


class _Room:
    """Files and bytes that may still be downloaded."""

    def __init__(self, files: int, size_bytes: int) -> None:
        self._max_bytes = size_bytes
        self._files = files
        self._bytes = size_bytes

    def take(self, size_bytes: int) -> None:
        self._files -= 1
        self._bytes -= size_bytes
        if self._files < 0:
            raise ImportanceError(f"the model has more than {MAX_MODEL_FILES:,} files")
        if self._bytes < 0:
            raise ImportanceError(f"the model has more than {self._max_bytes // 2**20:,} MB")


def _download(mlflow: RegistryClient, uri: str, directory: Path, room: _Room, depth: int = 0) -> None:
    if depth > MAX_MODEL_DEPTH:
        raise ImportanceError(f"the model has folders in {MAX_MODEL_DEPTH} folders")
    directory.mkdir()
    for name, file in mlflow.list_folder(uri):
        if name != PurePosixPath(name).name or name in ("", ".", ".."):
            raise ImportanceError(f"the model has a file that is called {name!r}")
        if file is None:
            _download(mlflow, f"{uri}/{name}", directory / name, room, depth + 1)
            continue
        room.take(file.size_bytes or 0)
        path = mlflow.download(file, directory)
        if file.size_bytes is None:
            room.take(path.stat().st_size)

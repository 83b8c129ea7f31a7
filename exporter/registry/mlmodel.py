"""MLmodel files: whether a model can be loaded, and its statements about its reference and its inputs."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from exporter.errors import (
    ReferenceInvalidError,
    RegistryAuthError,
    RegistryError,
    RegistryUnreachableError,
)
from exporter.formats.texts import first_line, redact
from exporter.profiling.statements import KEY, known_statements
from exporter.registry.client import RegistryClient

MAX_MLMODEL_BYTES = 2**20


class _YamlLoader(yaml.SafeLoader):
    """Without merging (`<<`), which MLflow does not write and which can make a few lines explode."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        pass


def why_not_loadable(mlflow: RegistryClient, model: str, version: str) -> str:
    """Reason why a version cannot be loaded, as `Registry.model_loads`.

    Raises:
        RegistryUnreachableError: MLflow is down.
        RegistryAuthError: MLflow refuses access.
    """
    try:
        uri = f"{mlflow.locate_version(model, version)}/MLmodel"
        document = _read_mlmodel(mlflow, uri)
    except (RegistryUnreachableError, RegistryAuthError):
        raise
    except (RegistryError, ReferenceInvalidError) as error:
        return str(error)
    if document is None:
        return f"there is no file {redact(uri).partition('?')[0]}, or it is too large"
    return "" if isinstance(document, dict) and "flavors" in document else "its MLmodel names no flavors"


def read_statements(mlflow: RegistryClient, root: str) -> tuple[dict[str, str], dict[str, str]]:
    """Statements of a model's MLmodel file about its reference and its inputs.

    Args:
        mlflow: where it is.
        root: URI of the directory with the model's files; empty for no model, which states nothing.

    Returns:
        `log_model(metadata={"monitoring": ...})`, by field of `ReferenceData`; and the types of the
        inputs by name, empty where the model has no signature, or one without names.
    """
    document = _read_mlmodel(mlflow, f"{root}/MLmodel") if root else None
    known = known_statements(_inside(document, "metadata", KEY))
    return known, _inputs(_inside(document, "signature").get("inputs"))


def _read_mlmodel(mlflow: RegistryClient, uri: str) -> object:
    """Content of an MLmodel file; None where there is none, or one of a size that none has.

    Raises:
        ReferenceInvalidError: it is not YAML, or its store cannot be read.
    """
    file = mlflow.find_file(uri)
    if file is None or (file.size_bytes or 0) > MAX_MLMODEL_BYTES:
        return None
    with TemporaryDirectory(prefix="mlflow-exporter-") as directory:
        text = mlflow.download(file, Path(directory)).read_bytes()
    try:
        return yaml.load(text, _YamlLoader)  # noqa: S506 - a safe one
    # The others for scalars that are not of the type that they look like, and for nesting without end.
    except (yaml.YAMLError, ValueError, AttributeError, RecursionError) as error:
        raise ReferenceInvalidError(f"the model's MLmodel cannot be read: {first_line(error)}") from error


def _inside(document: object, *keys: str) -> dict[str, Any]:
    """A mapping within mappings; empty if there is none."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def _inputs(text: object) -> dict[str, str]:
    """Types by name from a signature's inputs, which are JSON."""
    try:
        columns = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    if not isinstance(columns, list) or not all(isinstance(column, dict) for column in columns):
        return {}
    named = [column for column in columns if isinstance(column.get("name"), str | int)]
    return {str(column["name"]): str(column.get("type")) for column in named}  # of an array they are numbers

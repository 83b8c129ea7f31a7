"""Model that is served: its name and version for the exporter, and its files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.errors import ConfigError
from exporter.registry.client import RegistryClient
from exporter.registry.registry import Registry

TIMEOUT_SECONDS = 30.0  # of a call of MLflow
_ALIAS = re.compile(r"models:/(?P<model>[^/@]+)@(?P<alias>[^/]+)")
_VERSION = re.compile(r"models:/(?P<model>[^/]+)/(?P<version>\d+)")


@dataclass(frozen=True)
class ModelSource:
    """A version of a registered model, and the URI or path of its files."""

    model: str
    version: str
    uri: str


def find_source(uri: str, model: str = "", version: str = "") -> ModelSource:
    """Return the version that a URI means now; an alias is resolved once.

    Args:
        uri: `models:/name@alias` or `models:/name/version`; of any other URI or path, such as `runs:/...`,
            `model` and `version` have to be given.
        model: name of the registered model.
        version: its number.

    Raises:
        ConfigError: model and version are not given, or contradict the URI; there is no such alias.
        RegistryError: MLflow cannot be asked.
    """
    if found := _ALIAS.fullmatch(uri):
        named, alias = found["model"], found["alias"]
        with _kept_environment():
            resolved = Registry(None, None, TIMEOUT_SECONDS).alias_version(named, alias)
        if not resolved:
            raise ConfigError(f"{named} has no alias {alias!r}")
    elif found := _VERSION.fullmatch(uri):
        named, resolved = found["model"], found["version"]
    elif model and version:
        return ModelSource(model, version, uri)
    else:
        raise ConfigError(
            f"{uri} does not tell the registered model and its version, as models:/fraud@champion and "
            "models:/fraud/3 do: give --model and --version"
        )
    if (model and model != named) or (version and version != resolved):
        raise ConfigError(f"{uri} is version {resolved} of {named}: leave out --model and --version")
    return ModelSource(named, resolved, f"models:/{named}/{resolved}")


@contextmanager
def model_files(source: ModelSource) -> Iterator[Path]:
    """Directory with the files of a model, which are deleted at the end if they were downloaded.

    Raises:
        ConfigError: there is no model.
        RegistryError: MLflow does not hand it out.
    """
    local = Path(source.uri.removeprefix("file://"))
    if local.is_dir():
        yield _checked(local, source)
        return
    with TemporaryDirectory(prefix="mlflow-exporter-model-") as directory:
        with _kept_environment(), RegistryClient(None, None, TIMEOUT_SECONDS).asking():
            from mlflow.artifacts import download_artifacts

            found = download_artifacts(artifact_uri=source.uri, dst_path=directory)
        yield _checked(Path(found), source)


def _checked(directory: Path, source: ModelSource) -> Path:
    if not (directory / "MLmodel").is_file():
        raise ConfigError(f"{source.uri} is no model of MLflow: it has no file MLmodel")
    return directory


@contextmanager
def _kept_environment() -> Iterator[None]:
    """Context at whose end the environment is as before: MLflow's client sets limits of its own there, which
    are not meant for the model."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

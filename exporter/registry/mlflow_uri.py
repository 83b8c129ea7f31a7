"""Checks of MLflow's URI: of a server, or of a database file or folder that its own package reads."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

from exporter.errors import ConfigError, ReferenceInvalidError
from exporter.formats.texts import redact

HTTP_SCHEMES = ("http", "https")


def is_server(uri: str) -> bool:
    """True for the URI of an MLflow server."""
    return urlsplit(uri).scheme in HTTP_SCHEMES


def split_uri(uri: str) -> SplitResult:
    """The parts of a URI.

    Raises:
        ReferenceInvalidError: it is no URI.
    """
    try:
        parts = urlsplit(uri)
        _ = parts.port  # read when it is asked for
    except ValueError:  # whose text may hold the password
        raise ReferenceInvalidError(f"{redact(uri)} is no URL: its host or its port cannot be read") from None
    return parts


def check_mlflow(variable: str, uri: str, *, is_set: bool = True) -> None:
    """Check that this installation can read MLflow at a URI.

    Args:
        variable: name of the variable with the URI, for messages.
        uri: as MLflow's client takes it.
        is_set: True if the variable is set; else the URI is MLflow's default.

    Raises:
        ConfigError: it is no URL, there is no such file, or the package for it is not installed.
    """
    wanted = f"{variable} has to be the URL of an MLflow server, such as http://localhost:5000"
    shown = redact(uri)
    try:
        parts = urlsplit(uri)
        server = parts.scheme in HTTP_SCHEMES
        complete = not server or (bool(parts.hostname) and parts.port != 0)
    except ValueError:  # whose text may hold the password
        raise ConfigError(
            f"{wanted}; the host or the port of {shown} cannot be read (in a password / is written %2F)"
        ) from None
    if server and complete:
        return
    if parts.scheme == "sqlite":
        path = Path(uri.partition("?")[0].removeprefix("sqlite:///"))
        found = _is_database(path)
    elif parts.scheme in ("", "file"):
        path = Path(url2pathname(parts.path) if parts.scheme else uri)
        found = path.is_dir()
    else:
        raise ConfigError(f"{wanted}; MLflow's client takes it as {shown}")
    if not found:
        here = f"it is {shown}" if is_set else f"it is not set, and MLflow's default is {shown}"
        lacking = "is not a database or folder of MLflow's" if path.exists() else "does not exist"
        raise ConfigError(f"{wanted}, or a database or folder of MLflow's; {here}, but {path} {lacking}")
    try:
        version("mlflow")
    except PackageNotFoundError:
        raise ConfigError(
            f"{variable} is {shown}, which is not a server; reading it takes the full mlflow package: "
            f"pip install mlflow=={version('mlflow-skinny')}"
        ) from None
    # Without it MLflow refuses folders, which it advises against; here they are only read.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")


def _is_database(path: Path) -> bool:
    """True for a database of MLflow's. MLflow's client would turn any other into one."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.execute("select 1 from registered_models limit 1")
    except sqlite3.Error:
        return False
    return True

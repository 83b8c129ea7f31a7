"""One real `mlflow server` on sqlite for a session: each test gives its models names of their own."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.fakes import TIMEOUT_SECONDS


@dataclass(frozen=True)
class MlflowServer:
    """A running server: `directory` holds its database, its artifacts and `server.log`."""

    uri: str
    directory: Path


def start_mlflow(directory: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a server whose state is in `directory`; it is ready some seconds later."""
    with (directory / "server.log").open("ab") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                *("--host", "127.0.0.1", "--port", str(port)),
                *("--backend-store-uri", f"sqlite:///{directory / 'mlflow.db'}"),
                *("--artifacts-destination", str(directory / "artifacts")),
            ],
            cwd=directory,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # it starts workers, which have to end with it
        )


def await_mlflow(process: subprocess.Popen[bytes], server: MlflowServer) -> None:
    """Wait until the registry answers: the port opens earlier."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    url = f"{server.uri}/api/2.0/mlflow/registered-models/search?max_results=1"
    while True:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS):
                return
        except (urllib.error.URLError, OSError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                log = (server.directory / "server.log").read_text()
                raise AssertionError(f"mlflow server did not start: {log[-2000:]}") from error
            time.sleep(0.1)


def stop_mlflow(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def let_dangle(server: MlflowServer, model: str, version: str) -> None:
    """Delete a version and leave the aliases that point to it, as setting one beside a deletion may."""
    with _database(server) as database:
        database.execute(
            "UPDATE model_versions SET current_stage = 'Deleted_Internal' WHERE name = ? AND version = ?",
            (model, version),
        )


def log_moves(server: MlflowServer, model: str) -> list[str]:
    """Versions that the aliases of a model were moved to since the last call, in order."""
    with _database(server) as database:
        database.execute("CREATE TABLE IF NOT EXISTS moves (id INTEGER PRIMARY KEY, name, version)")
        for event, changed in (("INSERT", ""), ("UPDATE", "WHEN OLD.version <> NEW.version")):
            database.execute(
                f"CREATE TRIGGER IF NOT EXISTS moves_{event} AFTER {event} ON registered_model_aliases "
                f"{changed} BEGIN INSERT INTO moves (name, version) VALUES (NEW.name, NEW.version); END"
            )
        moves = database.execute("SELECT version FROM moves WHERE name = ? ORDER BY id", (model,))
        found = [str(version) for (version,) in moves]
        database.execute("DELETE FROM moves WHERE name = ?", (model,))
    return found


@contextmanager
def _database(server: MlflowServer) -> Iterator[sqlite3.Connection]:
    """Transaction in the server's database."""
    path = server.directory / "mlflow.db"
    with closing(sqlite3.connect(path, timeout=TIMEOUT_SECONDS)) as database, database:
        yield database


@pytest.fixture(scope="session")
def mlflow_server(
    tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[int], list[int]]
) -> Iterator[MlflowServer]:
    """A real server, started on first use."""
    directory = tmp_path_factory.mktemp("mlflow")
    (port,) = free_ports(1)
    server = MlflowServer(f"http://127.0.0.1:{port}", directory)
    process = start_mlflow(directory, port)
    try:
        await_mlflow(process, server)
        yield server
    finally:
        stop_mlflow(process)


@pytest.fixture
def mlflow_environment() -> Iterator[None]:
    """No MLflow in the environment, and what is put there ends with the test."""
    before = _take_environment()
    yield
    _take_environment()
    os.environ.update(before)


def _take_environment() -> dict[str, str]:
    return {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("MLFLOW_")}

"""Messages when MLflow is absent, slow, refuses, or is another program."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from exporter.errors import (
    ConfigError,
    ReferenceInvalidError,
    RegistryAuthError,
    RegistryError,
    RegistryUnreachableError,
)
from exporter.registry.client import RegistryClient
from exporter.registry.registry import Registry
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.web_server import Answer, WebServer

pytestmark = pytest.mark.usefixtures("mlflow_environment")

NOT_AUTHENTICATED = (
    b"You are not authenticated. Please see https://www.mlflow.org/docs/latest/auth/index.html"
)


def poll(uri: str, timeout_seconds: float = 2) -> None:
    Registry(uri, None, timeout_seconds).poll()


def seconds_to_fail(uri: str, timeout_seconds: float, message: str) -> float:
    """Duration of a poll that fails to reach MLflow, in seconds, without the import of MLflow's client."""
    registry = Registry(uri, None, timeout_seconds)
    started = time.monotonic()
    with pytest.raises(RegistryUnreachableError, match=message):
        registry.poll()
    return time.monotonic() - started


def test_a_server_that_is_down_is_told_at_once(free_port: int) -> None:
    uri = f"http://127.0.0.1:{free_port}"
    seconds = seconds_to_fail(uri, 2 * TIMEOUT_SECONDS, f"{uri} cannot be reached: Connection refused")
    assert seconds < TIMEOUT_SECONDS


def test_a_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(
        RegistryUnreachableError, match=r"http://mlflow.invalid:5000 cannot be reached: .*[Nn]ame"
    ):
        poll("http://mlflow.invalid:5000")


def test_a_server_that_never_answers_costs_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert seconds_to_fail(uri, 2, "did not answer within 2 s") >= 2


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_not_waited_for(
    web_server: Callable[[Answer], WebServer], status: int
) -> None:
    server = web_server(Answer(status, b"oh no", {"Retry-After": "3600"}))
    assert seconds_to_fail(server.uri, 10, rf"in trouble \(HTTP {status}\)") < TIMEOUT_SECONDS


@pytest.mark.parametrize(
    "answer",
    [
        Answer(401, NOT_AUTHENTICATED),
        Answer(403, b"Permission denied"),
        Answer(403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}'),
    ],
)
def test_wrong_credentials_name_the_variables(
    web_server: Callable[[Answer], WebServer], answer: Answer
) -> None:
    with pytest.raises(RegistryAuthError, match=rf"HTTP {answer.status}.*MLFLOW_TRACKING_PASSWORD"):
        poll(web_server(answer).uri)


def test_a_host_name_that_the_server_does_not_allow(web_server: Callable[[Answer], WebServer]) -> None:
    server = web_server(Answer(403, b"Invalid Host header - possible DNS rebinding attack detected"))
    with pytest.raises(RegistryAuthError, match="--allowed-hosts"):
        poll(server.uri)


def test_an_address_that_is_not_mlflows(web_server: Callable[[Answer], WebServer]) -> None:
    with pytest.raises(
        RegistryError, match=r"does not answer as MLflow does \(HTTP 404: <html>\); check host"
    ):
        poll(web_server(Answer(404, b"<html>\n<p>Not here</p>\n</html>")).uri)


@pytest.mark.parametrize(
    "body", [b"<html>Sign in</html>", b'{"registered_models": 3}', b'{"registered_models": [{"name": {}}]}']
)
def test_something_else_that_listens_there(web_server: Callable[[Answer], WebServer], body: bytes) -> None:
    with pytest.raises(RegistryError, match="does not answer as MLflow should"):
        poll(web_server(Answer(200, body)).uri)


def test_credentials_go_to_the_server_and_not_into_messages(
    web_server: Callable[[Answer], WebServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "exporter")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    server = web_server(Answer(401, NOT_AUTHENTICATED))
    with pytest.raises(RegistryAuthError) as refused:
        poll(server.uri.replace("://", "://user:hidden@"))
    assert server.headers[0]["Authorization"].startswith("Basic ")
    assert "hidden" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_the_server_is_found_in_the_environment(
    web_server: Callable[[Answer], WebServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = web_server(Answer(200, b'{"registered_models": []}'))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    assert Registry(None, None, 2).poll().models == {}


def test_the_registry_may_be_another_server(
    web_server: Callable[[Answer], WebServer], free_port: int
) -> None:
    server = web_server(Answer(200, b'{"registered_models": []}'))
    assert Registry(f"http://127.0.0.1:{free_port}", server.uri, 2).poll().models == {}


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sqlite:///mlflow.db", "it is sqlite:///mlflow.db, but mlflow.db does not exist$"),
        ("sqlite:///exporter.db", "but exporter.db is not a database or folder of MLflow's$"),
        ("sqlite://", "it is sqlite://, but "),
        ("./mlruns", "it is ./mlruns, but mlruns does not exist$"),
        ("file:///no/mlruns", "but /no/mlruns does not exist$"),
        ("databricks", "it is databricks, but databricks does not exist$"),
        ("postgresql://ada:secret@db/mlflow", r"takes it as postgresql://\*\*\*@db/mlflow$"),
        ("http://", "takes it as http://$"),
        ("http://[::1", "the host or the port of http://.::1 cannot be read"),
        ("http://mlflow:5OOO", "the host or the port of http://mlflow:5OOO cannot be read"),
        ("http://mlflow:70000", "the host or the port of http://mlflow:70000 cannot be read"),
        (
            "http://ada:secr/et@mlflow",
            r"of http://\*\*\*@mlflow cannot be read .in a password / is written %2F",
        ),
        ("http://ada:secr\u2100et@mlflow", r"of http://\*\*\*@mlflow cannot be read"),
    ],
)
@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])
def test_where_there_can_be_no_mlflow_the_variable_is_named(
    uri: str, message: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("exporter.db")) as another:
        another.execute("create table versions (id integer)")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    monkeypatch.setenv(variable, uri)
    with pytest.raises(
        ConfigError, match=f"^{variable} has to be the URL of an MLflow server.*{message}"
    ) as e:
        Registry(None, None, 2)
    assert "secr" not in str(e.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exporter.db"]


def test_where_nothing_says_which_mlflow_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    default = f"{tmp_path}/mlflow.db"
    with pytest.raises(
        ConfigError,
        match=f"it is not set, and MLflow's default is sqlite:///{default}, but {default} does not exist$",
    ):
        Registry(None, None, 2)


def test_an_attempt_gets_the_time_that_the_setting_says(
    web_server: Callable[[Answer], WebServer],
) -> None:
    server = web_server(Answer(200, b'{"registered_models": []}', delay_seconds=1.5))
    assert Registry(server.uri, None, 2).poll().models == {}
    assert len(server.paths) == 2  # of models and of versions, each once


@pytest.mark.parametrize(
    ("scheme", "package"),
    [
        ("s3", "boto3"),
        ("gs", "google-cloud-storage"),
        ("wasbs", "azure-storage-blob"),
        ("abfss", "azure-storage-file-datalake"),
    ],
)
def test_artifacts_say_which_package_reads_them(
    monkeypatch: pytest.MonkeyPatch, scheme: str, package: str
) -> None:
    monkeypatch.setattr("exporter.drivers.find_spec", lambda name: None)  # as in the small image
    uri = f"{scheme}://bucket/reference.parquet"
    install = f"{package} is not installed: pip install '{package}', or take the target `full` of the image"
    with pytest.raises(ReferenceInvalidError, match=f"^{uri} cannot be read: {install}$"):
        RegistryClient("http://127.0.0.1:1", None, 1.0).list_folder(uri)

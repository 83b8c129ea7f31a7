"""An exporter behind a real HTTP server in a thread of the test's process, and requests to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

import httpx
import orjson
import pytest

from exporter.api.app import create_app
from exporter.api.server import make_server
from exporter.config.reports import ReportsConfig
from exporter.formats.raw import JSON_TYPE
from exporter.service import Service
from exporter.settings import Settings
from tests.support.fakes import TIMEOUT_SECONDS, FakeRegistry
from tests.support.rig import eventually, make_table
from tests.support.wire import Predictions, encode, type_of


class Server:
    """A running exporter; `client` asks it. Verdicts lead to no reports, which take seconds, by default."""

    def __init__(self, registry: FakeRegistry, **settings: Any) -> None:
        loops = {"evaluation_interval_seconds": 0.2, "mlflow_poll_interval_seconds": 0.2}
        self.service = Service(Settings(port=0, **{**loops, **settings}), registry)
        if "config" not in settings:
            self.service.reports.use(ReportsConfig(on_verdicts=False))
        self._server = make_server(create_app(self.service), self.service.settings, self.service.telemetry)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> Server:
        self._thread.start()
        eventually(lambda: self._server.started or not self._thread.is_alive())
        self.address = self._server.servers[0].sockets[0].getsockname()
        url = f"http://127.0.0.1:{self.address[1]}"
        # Certificates, which plain HTTP needs not, take longer to load than most tests.
        self.client = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, verify=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.client.close()
        self.stop()
        self._thread.join(TIMEOUT_SECONDS)

    def stop(self) -> None:
        """Ask it to stop, as SIGTERM does."""
        self._server.should_exit = True

    def connect(self) -> socket.socket:
        """Open a bare connection, for requests that no client library sends."""
        return socket.create_connection(self.address, timeout=TIMEOUT_SECONDS)

    @property
    def requests(self) -> int:
        """Number of requests that are not answered yet."""
        return len(self._server.server_state.tasks)

    def await_ready(self, model: str = "fraud", version: str = "1") -> None:
        """Wait for the version's reference."""
        versions = self.service.fleet
        eventually(lambda: (found := versions.versions.get((model, version))) and found.counts)

    def rows(self, outcome: str) -> int:
        """Return the number of rows with an outcome so far."""
        return self.counts("mlflow_exporter_ingest_rows").get(("prediction", outcome), 0)

    def counts(self, name: str) -> dict[tuple[str, ...], int]:
        """A counter of the exporter itself, without zeros, by its labels."""
        families = (family for _, family in self.service.telemetry.families() if family.name == name)
        samples = (sample for family in families for sample in family.samples if sample.value)
        return {tuple(sample.labels.values()): int(sample.value) for sample in samples}


def post(server: Server, document: object, **options: Any) -> httpx.Response:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    headers = {"content-type": JSON_TYPE, **options.pop("headers", {})}
    return server.client.post("/v1/predictions", content=body, headers=headers, **options)


def post_as(server: Server, form: str, rows: Predictions) -> httpx.Response:
    """Post rows of version 1 of `fraud` in one of `FORMATS`."""
    query = {} if type_of(form) == JSON_TYPE else {"model": "fraud", "version": "1"}
    body = encode(form, rows).replace(b'"version": "3"', b'"version": "1"')
    return post(server, body, headers={"content-type": type_of(form)}, params=query)


def assert_problem(answer: httpx.Response, status: int, title: str, detail: str, where: str = "") -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "about:blank"
    assert (problem["status"], problem["title"]) == (status, title)
    assert detail in problem["detail"]
    assert problem.get("where", "") == where


def answers(server: Server, kind: str = "prediction") -> dict[str, int]:
    """Number of answers by status."""
    counts = server.counts("mlflow_exporter_ingest_requests")
    return {status: count for (kind_counted, status), count in counts.items() if kind_counted == kind}


@contextmanager
def held(server: Server) -> Iterator[None]:
    """Keep the writer busy until the block ends."""
    done: Future[None] = Future()
    server.service.writer.call(lambda: done.result(TIMEOUT_SECONDS))
    try:
        yield
    finally:
        done.set_result(None)


def head(length: int) -> bytes:
    lines = ("POST /v1/predictions HTTP/1.1", "Host: localhost", f"Content-Type: {JSON_TYPE}")
    return "\r\n".join((*lines, f"Content-Length: {length}", "", "")).encode()


# -- fixtures -----------------------------------------------------------------------------------------------


@contextmanager
def serving(factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    with ExitStack() as running:

        def serve_one(registry: FakeRegistry | None = None, **settings: Any) -> Server:
            known = registry if registry is not None else FakeRegistry()
            if registry is None:
                known.register("fraud", make_table(), alias="champion")
            settings.setdefault("store", f"sqlite:///{factory.mktemp('exporter')}/exporter.db")
            server = running.enter_context(Server(known, **settings))
            if registry is None:
                server.await_ready()
            return server

        yield serve_one


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start an exporter with these settings for version 1 of `fraud`, or for the versions of `registry`."""
    with serving(tmp_path_factory) as serve:
        yield serve


@pytest.fixture(scope="module")
def serve_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Like `serve`, for an exporter that all tests of a module share."""
    with serving(tmp_path_factory) as serve:
        yield serve


@pytest.fixture(scope="module")
def server(serve_module: Callable[..., Server]) -> Server:
    """An exporter for all tests of a module that change only its counters."""
    return serve_module()

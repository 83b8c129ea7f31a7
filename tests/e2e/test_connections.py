"""Idle clients of the real command cannot exhaust its connections."""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from exporter.api.server import MAX_CONNECTIONS
from tests.support.exporter_process import ExporterProcess, make_store
from tests.support.fakes import TIMEOUT_SECONDS

SILENT = 1100
FILES = 1024  # that a process may have open on most systems


@pytest.fixture(scope="module")
def exporter(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ExporterProcess]:
    """An exporter with the usual limit of open files, while the test has more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, before[1]), before[1]))
    directory = tmp_path_factory.mktemp("exporter")
    store = f"sqlite:///{directory}/exporter.db"
    make_store(store)
    patience = 10 * TIMEOUT_SECONDS  # who waits for the silent ones to be timed out waits in vain
    process = ExporterProcess(store, free_ports(1)[0], directory, request_timeout_seconds=patience)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    process.await_ready()
    yield process
    process.terminate()
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(b"", id="silent"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nHost: ", id="half a head"),
        pytest.param(b"POST /v1/labels HTTP/1.1\r\nContent-Length: 9\r\n\r\n{", id="a part of a body"),
    ],
)
def test_connections_without_a_request_do_not_keep_a_scrape_out(
    exporter: ExporterProcess, words: bytes
) -> None:
    host, port = exporter.url.removeprefix("http://").split(":")
    before = cut(exporter)
    with ExitStack() as opened:
        for _ in range(SILENT):
            connection = opened.enter_context(
                socket.create_connection((host, int(port)), timeout=TIMEOUT_SECONDS)
            )
            connection.sendall(words)
        for _ in range(5):
            assert httpx.get(f"{exporter.url}/metrics", timeout=TIMEOUT_SECONDS).status_code == 200
        assert sample(exporter, "process_open_fds") < 0.6 * FILES
        assert cut(exporter) - before >= SILENT - MAX_CONNECTIONS
    assert "out of system resource" not in exporter.log


def cut(exporter: ExporterProcess) -> float:
    """Return the number of connections closed so far, for the limit or the timeout."""
    name = "mlflow_exporter_closed_connections_total"
    return sum(sample(exporter, f'{name}{{reason="{reason}"}}') for reason in ("limit", "timeout"))


def sample(exporter: ExporterProcess, name: str) -> float:
    found = exporter.sample(name)
    assert found is not None
    return found

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from exporter.demo.client import RETRIES, Client
from exporter.errors import DemoError

QUICK = RETRIES.new(total=3, backoff_factor=0)


@dataclass
class Exporter:
    """Server that answers with the given statuses in turn, then repeats the last, and records requests."""

    statuses: Sequence[int] = (202,)
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, str] = field(default_factory=lambda: {"detail": "because"})
    received: list[tuple[str, bytes]] = field(default_factory=list)
    url: str = ""

    @contextmanager
    def listening(self, port: int = 0) -> Iterator[Exporter]:
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                turn = min(len(exporter.received), len(exporter.statuses) - 1)
                exporter.received.append((self.path, body))
                answer = json.dumps(exporter.body).encode()
                self.send_response(exporter.statuses[turn])
                for name, value in {**exporter.headers, "Content-Length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST  # noqa: N815 - the name is the base class's

            def log_message(self, *arguments: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            self.url = f"http://127.0.0.1:{server.server_port}"
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


def test_a_batch_is_posted_once() -> None:
    with Exporter().listening() as exporter:
        Client(exporter.url, QUICK).post_predictions({"model": "m"})
    assert exporter.received == [("/v1/predictions", b'{"model":"m"}')]


def test_labels_are_posted_to_a_place_of_their_own() -> None:
    with Exporter().listening() as exporter:
        Client(exporter.url, QUICK).post_labels({"model": "m"})
    assert exporter.received == [("/v1/labels", b'{"model":"m"}')]


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_exporter_is_asked_again(status: int) -> None:
    with Exporter((status, status, 202)).listening() as exporter:
        Client(exporter.url, QUICK).post_predictions({"model": "m"})
    assert len(exporter.received) == 3


def test_an_exporter_that_comes_back_gets_the_batch(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    exporter = Exporter()
    coming = exporter.listening(free_port)
    monkeypatch.setattr("time.sleep", lambda seconds: coming.__enter__() if seconds == 2.0 else None)
    try:
        Client(f"http://127.0.0.1:{free_port}").post_predictions({"model": "m"})
    finally:
        coming.__exit__(None, None, None)
    assert len(exporter.received) == 1


def test_it_gives_up_at_last() -> None:
    with (
        Exporter((503,)).listening() as exporter,
        pytest.raises(DemoError, match="503 because"),
    ):
        Client(exporter.url, QUICK).post_predictions({"model": "m"})
    assert len(exporter.received) == 4


def test_nobody_there_is_an_error_with_the_address(free_port: int) -> None:
    with pytest.raises(DemoError, match=rf"http://127\.0\.0\.1:{free_port} does not take .*refused"):
        Client(f"http://127.0.0.1:{free_port}", QUICK).post_predictions({"model": "m"})


def test_an_exporter_that_hangs_up_is_asked_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def hang_up(times: int) -> None:
            for _ in range(times):
                listener.accept()[0].close()

        thread = Thread(target=hang_up, args=[4])
        thread.start()
        with pytest.raises(DemoError, match="does not take /v1/predictions"):
            Client(f"http://127.0.0.1:{port}", QUICK).post_predictions({"model": "m"})
        thread.join()


@pytest.mark.parametrize("status", [401, 404, 413, 422])
def test_a_refused_batch_is_not_sent_again(status: int) -> None:
    with (
        Exporter((status,)).listening() as exporter,
        pytest.raises(DemoError, match=f"refused /v1/predictions: {status} because"),
    ):
        Client(exporter.url, QUICK).post_predictions({"model": "m"})
    assert len(exporter.received) == 1


@pytest.mark.parametrize(
    ("answered", "status", "ready"),
    [(404, "", False), (200, "pending", False), (200, "broken reference", False), (200, "ready", True)],
)
def test_a_version_has_its_reference_once_it_is_ready(answered: int, status: str, ready: bool) -> None:
    with Exporter((answered,), body={"status": status}).listening() as exporter:
        assert Client(exporter.url, QUICK).has_reference("m", "3") is ready
    assert exporter.received[0][0] == "/v1/models/m/versions/3"


@pytest.mark.parametrize("url", ["", "exporter:19464", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(DemoError, match="is not the address of an exporter"):
        Client(url)

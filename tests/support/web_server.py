"""HTTP server that gives the same answer to every request, and records requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0


@dataclass(frozen=True)
class WebServer:
    """`paths` and `headers` of the requests so far, oldest first."""

    uri: str
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def web_server() -> Iterator[Callable[[Answer], WebServer]]:
    """Starts servers that live as long as the test."""
    with ExitStack() as servers:
        yield lambda answer: servers.enter_context(_serve(answer))


@contextmanager
def _serve(answer: Answer) -> Iterator[WebServer]:
    paths: list[str] = []
    headers: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            headers.append(dict(self.headers))
            time.sleep(answer.delay_seconds)
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield WebServer(f"http://127.0.0.1:{server.server_port}", paths, headers)
        finally:
            server.shutdown()
            thread.join()

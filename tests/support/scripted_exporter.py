"""A server in the exporter's place that answers as a test says, and records what it was sent."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, NamedTuple


class Reply(NamedTuple):
    status: int = 202
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    document: Any

    @property
    def columns(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["columns"]
        return found


class ScriptedExporter:
    """Gives the `replies` in order, then 202; `received` are the requests so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.replies: list[Reply] = []
        self.received: list[Received] = []
        self._lock = Lock()

    def answer(self, received: Received) -> Reply:
        with self._lock:
            self.received.append(received)
            return self.replies.pop(0) if self.replies else Reply()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows of predictions and labels, in the order of their coming, each with its own columns and
        `features`."""
        rows = []
        for request in self.received:
            if request.path not in ("/v1/predictions", "/v1/labels"):
                continue
            own = dict(request.columns)
            features = own.pop("features", {})
            size = len(next(iter(own.values())))
            for row in range(size):
                named = {name: values[row] for name, values in features.items()}
                rows.append({**{name: values[row] for name, values in own.items()}, "features": named})
        return rows


@contextmanager
def scripted_exporter(host: str = "127.0.0.1", port: int = 0) -> Iterator[ScriptedExporter]:
    """Run one until the block ends; the documents of GET are None."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"null")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            is_json = self.headers.get("Content-Type", "application/json").startswith("application/json")
            document = json.loads(body) if is_json else body
            reply = exporter.answer(Received(self.path, dict(self.headers), document))
            self.send_response(reply.status)
            for name, value in (("Content-Length", str(len(reply.body))), *reply.headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True  # a client keeps its connection open

    with Server((host, port), Handler) as server:
        exporter = ScriptedExporter(f"http://{host}:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield exporter
        finally:
            server.shutdown()
            thread.join()

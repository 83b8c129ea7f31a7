"""The application behind a real HTTP server, in a thread of the test's process."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Any

import httpx

from exporter.api.server import make_server
from exporter.service import Service
from exporter.settings import Settings
from tests.support.fakes import TIMEOUT_SECONDS, FakeRegistry
from tests.support.rig import eventually


class Server:
    """A running exporter; `client` asks it."""

    def __init__(self, registry: FakeRegistry, **settings: Any) -> None:
        loops = {"evaluation_interval_seconds": 0.05, "mlflow_poll_interval_seconds": 0.05}
        self.service = Service(Settings(port=0, **{**loops, **settings}), registry)
        self._server = make_server(self.service)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> Server:
        self._thread.start()
        eventually(lambda: self._server.started or not self._thread.is_alive())
        self.address = self._server.servers[0].sockets[0].getsockname()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.address[1]}", timeout=TIMEOUT_SECONDS)
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
        """A bare connection, for what no client would do."""
        return socket.create_connection(self.address, timeout=TIMEOUT_SECONDS)

    def await_ready(self, model: str = "fraud", version: str = "1") -> None:
        """Wait for the version's reference."""
        versions = self.service.fleet
        eventually(lambda: (found := versions.versions.get((model, version))) and found.counts)

    def rows(self, outcome: str) -> int:
        """How many rows had an outcome so far."""
        return self.service.telemetry._ingest_rows["prediction", outcome]

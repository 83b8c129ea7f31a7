"""Part of a process that takes requests with rows: the service, or a worker of a Kafka group."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

from exporter.exposition.telemetry import Telemetry
from exporter.ingest.commit import Answer, IngestRequest
from exporter.settings import Settings
from exporter.tokens import Token


class Guarded(Protocol):
    """Process whose requests are authorized."""

    @property
    def settings(self) -> Settings: ...

    @property
    def tokens(self) -> tuple[Token, ...]: ...


class Intake(Guarded, Protocol):
    """Process that takes rows and labels."""

    @property
    def telemetry(self) -> Telemetry: ...

    def clock(self) -> float:
        """Return the time in seconds since the epoch."""

    def require_model(self, model: str) -> None:
        """Raise `UnknownModelError` unless a version of the model is monitored."""

    def submit(self, request: IngestRequest) -> Future[Answer]:
        """Queue a request; the future is done when it is on disk, or the brokers have it."""

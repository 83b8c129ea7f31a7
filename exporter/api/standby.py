"""A process that stands by while another one leads, and takes over from it."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.api.app import create_app
from exporter.api.problems import on_request_error, problem
from exporter.api.scrapes import own_metrics
from exporter.errors import ExporterError, RequestError, StoreError
from exporter.exposition.telemetry import Telemetry
from exporter.service import Service
from exporter.settings import Settings
from exporter.storage.database import TAKEN_OVER
from exporter.storage.lease import RENEWALS, Lease

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_REFUSAL = "this exporter stands by while another one leads: ask that one, or wait until this one takes over"

log = logging.getLogger(__name__)


def create_standby_app(settings: Settings, telemetry: Telemetry, stop: Callable[[], None]) -> Starlette:
    """Return an application that is healthy and not ready, shows the process's own metrics, and refuses all
    else with 503. At its end it calls `stop`."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(stop)

    async def get_healthy(_: Request) -> Response:
        return PlainTextResponse("healthy\n")

    async def get_ready(_: Request) -> Response:
        return PlainTextResponse("standing by\n", 503)

    async def refuse(_: Request) -> Response:
        seconds = math.ceil(settings.lease_seconds)
        return problem(503, "Unavailable", _REFUSAL, headers={"Retry-After": str(seconds)})

    return Starlette(
        routes=[
            Route("/metrics", own_metrics(settings, telemetry, time.time)),
            Route("/-/healthy", get_healthy),
            Route("/-/ready", get_ready),
            Route("/{path:path}", refuse, methods=METHODS),
        ],
        exception_handlers={RequestError: on_request_error},
        lifespan=lifespan,
    )


class Replica:
    """One of several processes with a PostgreSQL store: an ASGI application that stands by until the process
    has the lease, then makes and starts the service, whose application answers from then on.

    `service` is None while it stands by; `error` is the one that ended it, or None.

    Args:
        settings: of the process.
        telemetry: of the process.
        start_service: makes a service and starts it; called with a function that is true while this process
            leads.
        end: has the process end; called in another thread, at most once, when it could not take over, or when
            it may not write any more.
    """

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry,
        start_service: Callable[[Callable[[], bool]], Service],
        end: Callable[[], None],
    ) -> None:
        self.error: ExporterError | None = None
        self._start_service = start_service
        self._end = end
        self.service: Service | None = None
        self._lease = Lease(settings.store, settings.lease_seconds, str(settings.shard))
        self._app: ASGIApp = create_standby_app(settings, telemetry, self._stop)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="standby", daemon=True)
        telemetry.leads, telemetry.count_transitions = self._lease.is_certain, lambda: self._lease.transitions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def start(self) -> None:
        """Ask for the lease, and go on in a thread.

        Raises:
            ConfigError: the database is another shard's.
            StoreError: the database cannot be used.
        """
        if self._lease.acquire() > 0:
            log.info("another exporter leads, this one stands by")
        self._thread.start()

    def _stop(self) -> None:
        """Stop the service, if it was started, and let the next process have the lease at once."""
        self._stopping.set()
        self._thread.join()
        if self.service is not None:
            self.service.stop()
        self._lease.release()

    def _run(self) -> None:
        try:
            if not self._await_lease():
                return
            log.info("this exporter leads")
            self._lease.keep(self._lose)
            self.service = service = self._start_service(self._lease.is_certain)
            self._app = create_app(service)
        except ExporterError as error:
            self._fail(error)
        except Exception as error:
            log.exception("the service cannot be started")
            self._fail(ExporterError(f"the service cannot be started: {type(error).__name__}"))
        else:
            threading.Thread(target=self._await_loss, args=(service,), name="end", daemon=True).start()

    def _await_lease(self) -> bool:
        """Wait for the lease; false if the process is to stop before."""
        failed = False
        while not self._stopping.is_set():
            try:
                pause = self._lease.acquire()
            except StoreError as error:
                if not failed:
                    log.warning("it is not known whether an exporter leads: %s", error)
                pause, failed = self._lease.seconds / RENEWALS, True
            else:
                if pause == 0:
                    return True
                failed = False
            self._stopping.wait(pause)
        return False

    def _lose(self) -> None:
        """Take note that another process has the lease."""
        if self.service is not None:
            self.service.store.lose(TAKEN_OVER)
        self._fail(StoreError(TAKEN_OVER))

    def _await_loss(self, service: Service) -> None:
        """End the process once its memory may differ from the store; its successor reads the store."""
        service.store.was_lost.wait()
        self._fail(StoreError(service.store.lost))

    def _fail(self, error: ExporterError) -> None:
        if self.error is None:
            self.error = error
            self._end()

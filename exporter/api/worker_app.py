"""The ASGI application of a worker of a Kafka group: its own metrics, its health, and with
EXPORTER_INGEST=kafka the requests that it produces to the topic."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.api.ingest_routes import Ingestion, IngestRoutes
from exporter.api.problems import on_request_error
from exporter.api.scrapes import own_metrics
from exporter.errors import RequestError
from exporter.worker.worker import Worker


def create_worker_app(worker: Worker) -> Starlette:
    """Return the application of a worker, which starts and stops with it."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        worker.start()
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(worker.stop)

    async def get_healthy(_: Request) -> Response:
        fault = worker.fault()
        return PlainTextResponse(f"{fault or 'healthy'}\n", 503 if fault else 200)

    async def get_ready(_: Request) -> Response:
        reason = worker.unready()
        return PlainTextResponse(f"{reason or 'ready'}\n", 503 if reason else 200)

    return Starlette(
        routes=[
            Route("/metrics", own_metrics(worker.settings, worker.telemetry, worker.clock)),
            Route("/-/healthy", get_healthy),
            Route("/-/ready", get_ready),
        ],
        middleware=[
            Middleware(Ingestion, routes=IngestRoutes(worker), events=None, telemetry=worker.telemetry)
        ],
        exception_handlers={RequestError: on_request_error},
        lifespan=lifespan,
    )

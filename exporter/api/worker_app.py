"""The ASGI application of a worker of a Kafka group: its own metrics, its health, and with
EXPORTER_INGEST=kafka the requests that it produces to the topic."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.api.ingest_routes import Ingestion, IngestRoutes
from exporter.api.problems import on_request_error
from exporter.api.scrapes import answer_scrape
from exporter.errors import RequestError
from exporter.exposition.collector import SeriesCollector
from exporter.exposition.render import Format
from exporter.worker.worker import Worker


def create_worker_app(worker: Worker) -> Starlette:
    """Return the application of a worker, which starts and stops with it."""
    collector = SeriesCollector(worker.settings, worker.telemetry)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        worker.start()
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(worker.stop)

    def scrape(form: Format, names: Collection[str], groups: Collection[str]) -> bytes:
        return collector.collect([], worker.clock()).select(names, groups).render(form)

    def get_metrics(request: Request) -> Response:
        query = request.query_params
        return answer_scrape(request, scrape, query.getlist("name[]"), query.getlist("collect[]"))

    async def get_healthy(_: Request) -> Response:
        fault = worker.fault()
        return PlainTextResponse(f"{fault or 'healthy'}\n", 503 if fault else 200)

    async def get_ready(_: Request) -> Response:
        reason = worker.unready()
        return PlainTextResponse(f"{reason or 'ready'}\n", 503 if reason else 200)

    return Starlette(
        routes=[
            Route("/metrics", get_metrics),
            Route("/-/healthy", get_healthy),
            Route("/-/ready", get_ready),
        ],
        middleware=[
            Middleware(Ingestion, routes=IngestRoutes(worker), events=None, telemetry=worker.telemetry)
        ],
        exception_handlers={RequestError: on_request_error},
        lifespan=lifespan,
    )

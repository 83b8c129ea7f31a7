"""The ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from exporter import __version__
from exporter.api.alert_routes import alert_router
from exporter.api.audit_routes import audit_router
from exporter.api.auth import authorizer
from exporter.api.cloudevent_routes import CloudEventRoutes
from exporter.api.ingest_routes import Ingestion, IngestRoutes
from exporter.api.parameters import own_model
from exporter.api.problems import (
    on_any_error,
    on_disconnect,
    on_http_error,
    on_request_error,
    on_store_error,
    problem,
)
from exporter.api.rebaseline_routes import rebaseline_router
from exporter.api.remediation_routes import remediation_router
from exporter.api.report_routes import report_pages_router, reports_router
from exporter.api.routes import models_router, operations_router
from exporter.api.schemas import untyped_schemas
from exporter.api.serving_routes import serving_router
from exporter.errors import RequestError, StoreError
from exporter.service import Service
from exporter.web.routes import assets_router, pages_router

DESCRIPTION = """Takes live predictions and labels of models in MLflow, and exposes drift, data
quality and model quality as Prometheus metrics.

Data answered with 202 is on disk, with EXPORTER_INGEST=kafka on that of the brokers. Errors are JSON problems
with the place in the body."""


def create_app(service: Service) -> FastAPI:
    """Return the application of a service, which starts and stops with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await anyio.to_thread.run_sync(service.start)
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(service.stop)

    app = FastAPIOffline(
        title="mlflow-exporter",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        static_url="/docs/assets",
        swagger_ui_parameters={"validatorUrl": None},  # does not send the schema to a public validator
    )
    page_checks = [Depends(authorizer(service)), Depends(own_model(service))]
    ingest = IngestRoutes(service)
    events = CloudEventRoutes(service)
    app.include_router(ingest.documented)
    app.include_router(serving_router(service))
    app.include_router(events.documented)
    app.include_router(alert_router(service))
    app.include_router(models_router(service))
    app.include_router(rebaseline_router(service))
    app.include_router(audit_router(service))
    app.include_router(remediation_router(service))
    app.include_router(reports_router(service))
    app.include_router(report_pages_router(service))
    app.include_router(operations_router(service))
    app.include_router(assets_router())
    app.include_router(pages_router(service), dependencies=page_checks)
    app.add_middleware(Ingestion, routes=ingest, events=events, telemetry=service.telemetry)
    app.add_exception_handler(RequestError, on_request_error)
    app.add_exception_handler(StoreError, on_store_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(ClientDisconnect, on_disconnect)
    app.add_exception_handler(Exception, on_any_error)
    document = app.openapi

    def openapi() -> dict[str, Any]:
        described = document()
        described["components"]["schemas"].update(untyped_schemas())
        return described

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to extend it
    return app


async def _on_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return problem(422, "Malformed", first["msg"], ".".join(map(str, first["loc"])))

"""Routes of models, and of operations: metrics, health, reload."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import PlainTextResponse, Response

from exporter.api import schemas
from exporter.api.auth import authorizer
from exporter.api.parameters import known_parameters, own_model
from exporter.api.problems import REFUSALS, problem, refusal
from exporter.api.scrapes import answer_scrape
from exporter.errors import ConfigError, UnknownModelError
from exporter.formats.raw import JSON_TYPE
from exporter.ingest.aggregates_body import counts_by_reference, folding_reference
from exporter.kafka.configuration import ENVELOPE_BYTES, MAX_MESSAGE_BYTES
from exporter.service import Service
from exporter.views import schemas as view_schemas
from exporter.views.paths import VERSION_PATH
from exporter.views.versions import models_view, version_detail


def models_router(service: Service) -> APIRouter:
    """Return the routes that answer questions about models."""
    checks = (authorizer(service), known_parameters, own_model(service))
    router = APIRouter(prefix="/v1", dependencies=[Depends(check) for check in checks])

    @router.get("/models", responses={k: REFUSALS[k] for k in (401, 403, 422)})
    def get_models() -> view_schemas.Models:
        """Monitored models and versions with what has drifted or degraded, and the state of MLflow."""
        up = service.telemetry.mlflow_up is True
        return models_view(service.fleet, up=up, error=service.discovery.error)

    @router.get(VERSION_PATH, responses={k: REFUSALS[k] for k in (401, 403, 404, 421, 422)})
    def get_version(model: str, version: str) -> view_schemas.VersionDetail:
        """A version's reference and latest evaluation.

        Drift, data quality, model quality, estimates and segments, with the reason for each missing figure or
        verdict.
        """
        found = service.fleet.versions.get((model, version))
        if found is None:
            raise UnknownModelError(f"version {version} of model {model!r} is not monitored")
        return version_detail(found)

    @router.get(
        f"{VERSION_PATH}/reference",
        response_model=schemas.FoldingReference,
        responses={
            304: {"description": "Unchanged."},
            **{k: REFUSALS[k] for k in (401, 403, 404, 409, 421, 422, 503)},
        },
    )
    def get_reference(request: Request, model: str, version: str) -> Response:
        """A version's reference, by which `exporter.folding` counts rows; its digest is the `ETag`."""
        found = service.fleet.versions.get((model, version))
        if found is None:
            raise UnknownModelError(f"version {version} of model {model!r} is not monitored")
        counts = counts_by_reference(found)
        etag = f'"{counts.reference.digest}"'
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers={"ETag": etag})
        limit = MAX_MESSAGE_BYTES - ENVELOPE_BYTES if service.settings.ingest == "kafka" else None
        document = folding_reference(found, counts, service.settings, limit).to_json()
        return Response(orjson.dumps(document), headers={"ETag": etag}, media_type=JSON_TYPE)

    return router


def operations_router(service: Service) -> APIRouter:
    """Return the routes of metrics, health and reload, by the conventions of Prometheus."""
    router = APIRouter()

    @router.head("/metrics", include_in_schema=False)
    @router.get(
        "/metrics",
        response_class=PlainTextResponse,
        responses={422: REFUSALS[422]},
        dependencies=[Depends(known_parameters)],
    )
    def get_metrics(
        request: Request,
        names: Annotated[list[str] | None, Query(alias="name[]", description="Only these metrics.")] = None,
        groups: Annotated[
            list[str] | None,
            Query(alias="collect[]", description="Only `core`, `bins`, `runs` or `process`."),
        ] = None,
    ) -> Response:
        """The exposition, as text or OpenMetrics by `Accept`."""
        return answer_scrape(request, service.scrape, names or (), groups or ())

    @router.head("/-/healthy", include_in_schema=False)
    @router.get("/-/healthy", response_class=PlainTextResponse)
    async def get_healthy() -> Response:
        """Succeeds while all threads are alive and the store is there."""
        fault = service.fault()
        return PlainTextResponse(f"{fault or 'healthy'}\n", 503 if fault else 200)

    @router.head("/-/ready", include_in_schema=False)
    @router.get("/-/ready", response_class=PlainTextResponse)
    async def get_ready() -> Response:
        """Succeeds once the store was loaded and evaluated for the first time."""
        ready = service.ready.is_set()
        return PlainTextResponse("ready\n" if ready else "starting\n", 200 if ready else 503)

    @router.post(
        "/-/reload",
        response_class=PlainTextResponse,
        responses={
            401: REFUSALS[401],
            403: REFUSALS[403],
            500: refusal(
                "The file cannot be used, for the given reason; the previous configuration stays in force."
            ),
        },
        dependencies=[Depends(authorizer(service, "admin"))],
    )
    def post_reload() -> Response:
        """Read the configuration file again, if there is one."""
        try:
            service.reload()
        except ConfigError as error:
            return problem(500, "Configuration not taken", str(error))
        return PlainTextResponse("reloaded\n")

    return router

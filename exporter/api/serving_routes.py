"""Route of reports of the processes that serve models, which the Python client posts to."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError

from exporter.api.auth import authorizer
from exporter.api.bodies import BodyReader
from exporter.api.parameters import known_parameters
from exporter.api.problems import REFUSALS
from exporter.api.schemas import schema_reference
from exporter.api.serving_schemas import ServingReport
from exporter.errors import MalformedError, RequestError, UnsupportedError
from exporter.formats.raw import JSON_TYPE, media_type
from exporter.service import Service

MAX_BODY_BYTES = 32 * 1024


def serving_router(service: Service) -> APIRouter:
    """Return the route that takes reports of serving processes."""
    allowed = Depends(authorizer(service, "ingest"))
    router = APIRouter(prefix="/v1", dependencies=[allowed, Depends(known_parameters)])
    bodies = BodyReader(service.settings)
    bodies.max_body_bytes = MAX_BODY_BYTES

    @router.post(
        "/serving",
        status_code=204,
        responses={k: REFUSALS[k] for k in (401, 403, 404, 408, 413, 415, 421, 422)},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {JSON_TYPE: {"schema": schema_reference(ServingReport)}},
            }
        },
    )
    async def post_serving(request: Request) -> None:
        """Take a report of a serving process, which is shown in `/metrics` for a minute and not stored."""
        kind = media_type(request.headers.get("content-type", ""))
        try:
            if kind != JSON_TYPE:
                raise UnsupportedError(f"content type {kind!r}, taken is {JSON_TYPE}")
            async with bodies.read(request) as body:
                report = _read(body)
            version = service.fleet.require_version(report.target)
        except RequestError:
            service.telemetry.count_serving_report("rejected")
            raise
        taken = service.serving_processes.take(*version.names, report.serving_process)
        service.telemetry.count_serving_report("accepted" if taken else "left_out")

    return router


def _read(body: bytes) -> ServingReport:
    try:
        return ServingReport.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise MalformedError(first["msg"], ".".join(map(str, first["loc"]))) from None

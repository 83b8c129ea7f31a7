"""The route that replaces a reference."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from exporter.api.auth import authorizer, local_without_token, told_by
from exporter.api.bodies import BodyReader
from exporter.api.parameters import known_parameters, own_model
from exporter.api.problems import REFUSALS
from exporter.errors import ConfigError, MalformedError, UnknownModelError, UnsupportedError
from exporter.formats.raw import PARQUET_TYPE
from exporter.monitoring.rebaseline import Order
from exporter.service import Service
from exporter.settings import parse_window
from exporter.views import schemas as view_schemas
from exporter.views.paths import VERSION_PATH

THREADS = 2  # of their own: one reference is profiled after the other, and /metrics must not wait for that
_Text = Annotated[str, Query(min_length=1, max_length=500)]


def rebaseline_router(service: Service) -> APIRouter:
    """Return the route that replaces a version's reference."""
    router = APIRouter(
        prefix="/v1", dependencies=[Depends(authorizer(service, "admin")), Depends(known_parameters)]
    )
    bodies = BodyReader(service.settings)
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="rebaseline")

    @router.post(
        f"{VERSION_PATH}/rebaseline",
        responses={k: REFUSALS[k] for k in (401, 403, 404, 408, 413, 415, 421, 422, 503)},
        dependencies=[Depends(local_without_token(service)), Depends(own_model(service))],
        openapi_extra={
            "requestBody": {
                "content": {PARQUET_TYPE: {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def post_rebaseline(
        request: Request,
        model: str,
        version: str,
        by: Annotated[_Text, Query(description="The person or system that requests it.")],
        reason: Annotated[_Text, Query(description="The reason.")],
        live: Annotated[str, Query(description="A duration such as `24h`, in place of a body.")] = "",
    ) -> view_schemas.Rebaselined:
        """Replace a version's reference by a Parquet file in the body, or by a sample of recent live rows."""
        found = service.fleet.versions.get((model, version))
        if found is None:
            raise UnknownModelError(f"version {version} of model {model!r} is not monitored")
        order = Order(told_by(request, by), reason)
        async with bodies.read(request) as body:
            if bool(body) == bool(live):
                raise MalformedError("either `live` or a Parquet file as the body", "live")
            if live:
                replace = partial(service.rebaseliner.from_live, found, _period(live), order)
            else:
                kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
                if kind != PARQUET_TYPE:
                    raise UnsupportedError(f"content type {kind!r}, taken is {PARQUET_TYPE}")
                replace = partial(service.rebaseliner.from_file, found, body, order)
            entry, reference = await asyncio.get_running_loop().run_in_executor(threads, replace)
        return view_schemas.Rebaselined(
            old_digest=entry.data["old_digest"],
            new_digest=entry.data["new_digest"],
            rows=reference.rows,
            provisional=reference.provisional,
            notes=list(reference.remarks),
        )

    return router


def _period(text: str) -> Any:
    try:
        return parse_window(text)
    except ConfigError as error:
        raise MalformedError(str(error), "live") from error

"""The routes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from exporter.api import wire
from exporter.api.access import authorizer
from exporter.api.bodies import BodyReader
from exporter.api.problems import PROBLEM_TYPE, problem
from exporter.api.views import models_view, version_detail
from exporter.errors import ConfigError, RequestError, UnknownModelError
from exporter.exposition import accepts_gzip, choose_format, compress_page
from exporter.ingest import Prepared, prepare
from exporter.ingest import Request as IngestRequest
from exporter.label_samples import decode_labels
from exporter.labelling import PreparedLabels, prepare_labels
from exporter.samples import ARROW_TYPE, JSON_TYPE, PARQUET_TYPE, decode_predictions
from exporter.service import Service

# Larger bodies are decoded in a thread, so that small requests and scrapes do not wait for them.
INLINE_BYTES = {JSON_TYPE: 100_000, ARROW_TYPE: 1_000_000}
DECODING_THREADS = 2


def _refusal(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {PROBLEM_TYPE: {"schema": wire.schema_reference(wire.Problem)}},
    }


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: _refusal(text)
    for status, text in {
        401: "No or a wrong token, where one is set.",
        403: "No token is set, and the request is not from this machine.",
        404: "The model, version or alias is not monitored; the answer says what is.",
        413: "The body or the batch is too large.",
        415: "An unknown content type, or a compressed body.",
        422: "Malformed; `where` says at which place. Nothing was taken.",
        429: "Too much is waiting; try again after `Retry-After`.",
        503: "The version or the store is not ready; try again after `Retry-After`.",
    }.items()
}
_PREDICTION_BODY = {
    "required": True,
    "content": {
        JSON_TYPE: {
            "schema": wire.schema_reference(wire.PredictionBatch),
            "examples": wire.PREDICTION_EXAMPLES,
        },
        ARROW_TYPE: {"schema": {"type": "string", "format": "binary"}},
        PARQUET_TYPE: {"schema": {"type": "string", "format": "binary"}},
    },
}


_LABEL_BODY = {
    "required": True,
    "content": {
        JSON_TYPE: {
            "schema": wire.schema_reference(wire.LabelBatch),
            "examples": wire.LABEL_EXAMPLES,
        },
        ARROW_TYPE: {"schema": {"type": "string", "format": "binary"}},
        PARQUET_TYPE: {"schema": {"type": "string", "format": "binary"}},
    },
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string"},
    "description": "A batch with a key that was committed in the last 24 hours counts once.",
}


def _query(*names: str) -> list[dict[str, Any]]:
    schema = {"type": "string"}
    return [
        {"name": name, "in": "query", "schema": schema, "description": "For Arrow and Parquet."}
        for name in names
    ]


def v1_router(service: Service) -> APIRouter:
    """Samples in, evaluations out."""
    router = APIRouter(prefix="/v1", dependencies=[Depends(authorizer(service))])
    bodies = BodyReader(service.settings.max_body_bytes)
    threads = ThreadPoolExecutor(DECODING_THREADS, thread_name_prefix="decode")

    def decode_labelled(request: IngestRequest, key: str) -> PreparedLabels:
        batch = decode_labels(request.body, request.content_type, request.query, service.settings)
        try:
            return prepare_labels(batch, service.fleet, service.clock(), request.body, key)
        except RequestError:
            service.telemetry.count_rows("label", "rejected", batch.rows)
            raise

    def decode(request: IngestRequest, key: str) -> Prepared:
        batch = decode_predictions(request.body, request.content_type, request.query, service.settings)
        try:
            return prepare(request, batch, service.fleet, service.settings, service.clock(), key)
        except RequestError:
            service.telemetry.count_rows("prediction", "rejected", batch.rows)
            raise

    @router.post(
        "/predictions",
        status_code=202,
        response_model=wire.Accepted,
        responses=REFUSALS,
        openapi_extra={
            "requestBody": _PREDICTION_BODY,
            "parameters": [*_query("model", "version", "alias"), _KEY],
        },
    )
    async def post_predictions(request: Request) -> Response:
        """Take predictions; the answer comes when they are on disk. A row with an id counts once."""
        return await take(request, decode)

    @router.post(
        "/labels",
        status_code=202,
        response_model=wire.AcceptedLabels,
        responses=REFUSALS,
        openapi_extra={"requestBody": _LABEL_BODY, "parameters": [*_query("model"), _KEY]},
    )
    async def post_labels(request: Request) -> Response:
        """Take ground truth, early or late. A label is for every version that scored its id; another one for
        the same id corrects it."""
        return await take(request, decode_labelled)

    async def take(
        request: Request, decode: Callable[[IngestRequest, str], Prepared | PreparedLabels]
    ) -> Response:
        started = time.monotonic()
        async with bodies.read(request) as body:
            content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            sample = IngestRequest(content_type or JSON_TYPE, dict(request.query_params), body)
            key = request.headers.get("idempotency-key", "")
            if len(body) <= INLINE_BYTES.get(sample.content_type, 0):
                prepared = decode(sample, key)
            else:
                prepared = await asyncio.get_running_loop().run_in_executor(threads, decode, sample, key)
            answer = await asyncio.wrap_future(service.writer.submit(prepared))
        service.telemetry.observe_ingest(time.monotonic() - started)
        return Response(orjson.dumps(answer.to_json()), 202, media_type=JSON_TYPE)

    @router.get("/models", responses={401: REFUSALS[401]})
    def get_models() -> wire.Models:
        """What is monitored, and how MLflow answered last."""
        up = service.telemetry.mlflow_up is True
        return models_view(service.fleet, up=up, error=service.monitor.registry_error)

    @router.get(
        "/models/{model:path}/versions/{version}", responses={k: REFUSALS[k] for k in (401, 404, 422)}
    )
    def get_version(model: str, version: str) -> wire.VersionDetail:
        """A version's reference and latest evaluation."""
        found = service.fleet.versions.get((model, version))
        if found is None:
            raise UnknownModelError(f"version {version} of model {model!r} is not monitored")
        return version_detail(found)

    return router


def operations_router(service: Service) -> APIRouter:
    """Metrics and health, by the conventions of Prometheus."""
    router = APIRouter()

    @router.head("/metrics", include_in_schema=False)
    @router.get("/metrics", response_class=PlainTextResponse, responses={422: REFUSALS[422]})
    def get_metrics(
        request: Request,
        names: Annotated[list[str] | None, Query(alias="name[]", description="Only these metrics.")] = None,
        groups: Annotated[
            list[str] | None,
            Query(alias="collect[]", description="Only `core`, `bins`, `runs` or `process`."),
        ] = None,
    ) -> Response:
        """The exposition, as text or OpenMetrics by `Accept`."""
        form = choose_format(request.headers.get("accept", ""))
        page, headers = service.scrape(form, names or (), groups or ()), {"Vary": "Accept, Accept-Encoding"}
        if accepts_gzip(request.headers.get("accept-encoding", "")):
            page, headers["Content-Encoding"] = compress_page(page), "gzip"
        return Response(page, headers=headers | {"Content-Type": form.value})

    @router.head("/-/healthy", include_in_schema=False)
    @router.get("/-/healthy", response_class=PlainTextResponse)
    async def get_healthy() -> Response:
        """Whether the process works: its threads are alive."""
        alive = service.alive()
        return PlainTextResponse("healthy\n" if alive else "a thread has died\n", 200 if alive else 503)

    @router.head("/-/ready", include_in_schema=False)
    @router.get("/-/ready", response_class=PlainTextResponse)
    async def get_ready() -> Response:
        """Whether the stored evaluations are served."""
        ready = service.monitor.ready.is_set()
        return PlainTextResponse("ready\n" if ready else "starting\n", 200 if ready else 503)

    @router.post(
        "/-/reload",
        response_class=PlainTextResponse,
        responses={
            401: REFUSALS[401],
            500: _refusal("The file cannot be used, and what held before holds on; says where and why."),
        },
        dependencies=[Depends(authorizer(service))],
    )
    def post_reload() -> Response:
        """Read the configuration file again; without one there is nothing to do."""
        try:
            service.reload()
        except ConfigError as error:
            return problem(500, "Configuration not taken", str(error))
        return PlainTextResponse("reloaded\n")

    @router.get("/", include_in_schema=False)
    async def get_root() -> Response:
        return RedirectResponse("/docs")

    return router

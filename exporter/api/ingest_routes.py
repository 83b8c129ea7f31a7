"""Ingestion: reads a body, decodes it, awaits its commit; served ahead of FastAPI, which documents it."""

from __future__ import annotations

import asyncio
import time
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.api import schemas
from exporter.api.answers import Answers
from exporter.api.auth import authorizer
from exporter.api.bodies import BodyReader
from exporter.api.cloudevent_routes import PATH as EVENTS_PATH
from exporter.api.cloudevent_routes import CloudEventRoutes, is_for_events, move_token_to_header
from exporter.api.intake import Intake
from exporter.api.parameters import single_parameters
from exporter.api.problems import REFUSALS, on_any_error, on_disconnect, on_request_error, problem, refusal
from exporter.errors import RequestError, UnsupportedError
from exporter.exposition.telemetry import RowKind, Telemetry
from exporter.formats.labels import decode_labels
from exporter.formats.predictions import read_predictions
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE, PARQUET_TYPE, PARQUET_TYPES, RawRequest, media_type
from exporter.ingest.aggregates_body import AggregatesBody, AggregatesRequest, read_aggregates
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.commit import Answer, IngestRequest
from exporter.ingest.deduplication import IdempotencyKey
from exporter.ingest.join import PreparedLabels, prepare_labels
from exporter.ingest.parquet import PROCESSES, parquet_to_arrow

# Larger bodies are decoded in a thread, so that small requests and scrapes do not wait.
INLINE_BYTES = {JSON_TYPE: 100_000, ARROW_TYPE: 1_000_000}
DECODING_THREADS = 2
STALE = "The counts are in the bins of another reference: `digest` is that of the current one."

_PREDICTION_BODY = {
    "required": True,
    "content": {
        JSON_TYPE: {
            "schema": schemas.schema_reference(schemas.PredictionBatch),
            "examples": schemas.PREDICTION_EXAMPLES,
        },
        ARROW_TYPE: {"schema": {"type": "string", "format": "binary"}},
        PARQUET_TYPE: {"schema": {"type": "string", "format": "binary"}},
    },
}


_LABEL_BODY = {
    "required": True,
    "content": {
        JSON_TYPE: {
            "schema": schemas.schema_reference(schemas.LabelBatch),
            "examples": schemas.LABEL_EXAMPLES,
        },
        ARROW_TYPE: {"schema": {"type": "string", "format": "binary"}},
        PARQUET_TYPE: {"schema": {"type": "string", "format": "binary"}},
    },
}
_AGGREGATES_BODY = {
    "required": True,
    "content": {JSON_TYPE: {"schema": schemas.schema_reference(AggregatesBody)}},
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


class IngestRoutes:
    """The operations of ingestion; `documented` describes them in OpenAPI."""

    def __init__(self, service: Intake) -> None:
        self._service = service
        self._produces = service.settings.ingest == "kafka"
        self._authorize = authorizer(service, "ingest")
        self._bodies = BodyReader(service.settings)
        self._answers = Answers[Answer]()
        self._threads = ThreadPoolExecutor(DECODING_THREADS, thread_name_prefix="decode")
        self._readers = ThreadPoolExecutor(PROCESSES, thread_name_prefix="parquet")

    @property
    def documented(self) -> APIRouter:
        router = APIRouter(prefix="/v1")
        router.post(
            "/predictions",
            status_code=202,
            response_model=schemas.Accepted,
            responses=REFUSALS,
            openapi_extra={
                "requestBody": _PREDICTION_BODY,
                "parameters": [*_query("model", "version", "alias"), _KEY],
            },
        )(self.post_predictions)
        router.post(
            "/labels",
            status_code=202,
            response_model=schemas.AcceptedLabels,
            responses=REFUSALS,
            openapi_extra={"requestBody": _LABEL_BODY, "parameters": [*_query("model"), _KEY]},
        )(self.post_labels)
        router.post(
            "/aggregates",
            status_code=202,
            response_model=schemas.Accepted,
            responses=REFUSALS | {409: refusal(STALE)},
            openapi_extra={"requestBody": _AGGREGATES_BODY},
        )(self.post_aggregates)
        return router

    async def post_predictions(self, request: Request) -> Response:
        """Take predictions; the answer comes when they are on disk. A row with an id counts once."""
        return await self._take(request, self._take_predictions)

    async def post_labels(self, request: Request) -> Response:
        """Take ground truth, early or late. A label is for every version that scored its id; another one for
        the same id corrects it."""
        return await self._take(request, self._take_labels)

    async def post_aggregates(self, request: Request) -> Response:
        """Take counts of rows, which `exporter.folding` makes where the rows are, by the version's reference.

        A sequence of a source counts once. The answer counts rows."""
        return await self._take(request, self._take_aggregates)

    async def _take(self, request: Request, take: Callable[[RawRequest, str], Awaitable[Answer]]) -> Response:
        started = time.monotonic()
        await self._authorize(request)
        query = single_parameters(request)
        if "model" in query:
            self._service.settings.shard.require(query["model"])
        async with self._bodies.read(request) as body:
            content_type = media_type(request.headers.get("content-type", ""))
            sample = RawRequest(content_type, query, body)
            if sample.content_type in PARQUET_TYPES:
                loop = asyncio.get_running_loop()
                sample = await loop.run_in_executor(
                    self._readers, parquet_to_arrow, sample, self._service.settings
                )
            answer = await take(sample, request.headers.get("idempotency-key", ""))
        self._service.telemetry.observe_ingest(time.monotonic() - started)
        return Response(orjson.dumps(answer.to_json()), 202, media_type=JSON_TYPE)

    async def _take_predictions(self, raw: RawRequest, key: str) -> Answer:
        return await self._commit(raw, self._read_predictions, key)

    async def _take_labels(self, raw: RawRequest, key: str) -> Answer:
        return await self._commit(raw, self._read_labels, key)

    async def _take_aggregates(self, raw: RawRequest, key: str) -> Answer:
        if raw.content_type != JSON_TYPE or raw.query or key:
            detail = "aggregates are JSON, with a sequence, without a query or a key of idempotency"
            raise UnsupportedError(detail)
        return await self._commit(raw, self._read_aggregates, key)

    async def _commit(
        self, raw: RawRequest, read: Callable[[RawRequest, str], IngestRequest], key: str
    ) -> Answer:
        if _is_large(raw):
            loop = asyncio.get_running_loop()
            request = await loop.run_in_executor(self._threads, read, raw, key)
        else:
            request = read(raw, key)
        return await self._answers.wait(self._service.submit(request))

    def _read_predictions(self, raw: RawRequest, key: str) -> PredictionRequest:
        service = self._service
        decoded = read_predictions(raw.body, raw.content_type, raw.query, service.settings)
        hashed = IdempotencyKey.of(decoded.target.model, key, body=raw.sent) if key else None
        if self._produces:  # as it came: a worker types it
            self._require_model(decoded.target.model, "prediction", decoded.rows)
        elif _is_large(raw):
            decoded = decoded.typed()
        return PredictionRequest(raw, decoded, service.clock(), hashed)

    def _read_aggregates(self, raw: RawRequest, _: str) -> AggregatesRequest:
        return read_aggregates(raw.body, self._service.clock())

    def _read_labels(self, raw: RawRequest, key: str) -> PreparedLabels:
        service = self._service
        batch = decode_labels(raw.body, raw.content_type, raw.query, service.settings)
        self._require_model(batch.model, "label", batch.rows)
        hashed = IdempotencyKey.of("labels", batch.model, key, body=raw.sent) if key else None
        return prepare_labels(batch, service.clock(), hashed)

    def _require_model(self, model: str, kind: RowKind, rows: int) -> None:
        try:
            self._service.require_model(model)
        except RequestError:
            self._service.telemetry.count_rows(kind, "rejected", rows)
            raise


def _is_large(raw: RawRequest) -> bool:
    return len(raw.body) > INLINE_BYTES.get(raw.content_type, 0)


class Ingestion:
    """ASGI middleware that answers requests of ingestion, and counts those with rows by the status.

    It stands before FastAPI, in whose routing, middleware and error handling a request of one row would spend
    more time than in the rest. All other requests go on to the application. A request that is cancelled
    because the server stops is answered with 503. `events` is None in a worker, which takes none.
    """

    def __init__(
        self, app: ASGIApp, routes: IngestRoutes, events: CloudEventRoutes | None, telemetry: Telemetry
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._post_events = events.post_events if events is not None else None
        self._routes: dict[str, tuple[RowKind, Callable[[Request], Awaitable[Response]]]] = {
            "/v1/predictions": ("prediction", routes.post_predictions),
            "/v1/labels": ("label", routes.post_labels),
            "/v1/aggregates": ("aggregate", routes.post_aggregates),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if is_for_events(scope["path"]):
            move_token_to_header(scope)
        path = scope["path"]
        if scope["method"] == "POST" and path == EVENTS_PATH and self._post_events is not None:
            response = await _respond(Request(scope, receive), self._post_events)
            await response(scope, receive, send)
        elif scope["method"] != "POST" or path not in self._routes:
            await self._pass_on(scope, receive, send)
        else:
            kind, post = self._routes[path]
            response = await _respond(Request(scope, receive), post)
            self._telemetry.count_request(kind, response.status_code)
            await response(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered = False

        async def noting_send(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        except CancelledError:
            if answered:
                raise
            await _stopped()(scope, receive, send)


async def _respond(request: Request, post: Callable[[Request], Awaitable[Response]]) -> Response:
    try:
        return await post(request)
    except RequestError as error:
        return await on_request_error(request, error)
    except ClientDisconnect as error:
        return await on_disconnect(request, error)
    except CancelledError:
        return _stopped()
    except Exception as error:  # noqa: BLE001 - logged by the handler
        return await on_any_error(request, error)


def _stopped() -> Response:
    detail = "the service stopped before this was done: send it again, what has ids counts once"
    return problem(503, "Unavailable", detail, headers={"Retry-After": "5"})

"""Operations of ingestion: read a body, decode it, await its commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from exporter.api import schemas
from exporter.api.answers import Answers
from exporter.api.auth import authorizer
from exporter.api.bodies import BodyReader
from exporter.api.parameters import single_parameters
from exporter.api.problems import REFUSALS
from exporter.errors import RequestError
from exporter.formats.labels import decode_labels
from exporter.formats.predictions import read_predictions
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE, PARQUET_TYPE, PARQUET_TYPES, RawRequest, media_type
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.commit import Answer, IngestRequest
from exporter.ingest.deduplication import IdempotencyKey
from exporter.ingest.join import PreparedLabels, prepare_labels
from exporter.ingest.parquet import PROCESSES, parquet_to_arrow
from exporter.service import Service

# Larger bodies are decoded in a thread, so that small requests and scrapes do not wait.
INLINE_BYTES = {JSON_TYPE: 100_000, ARROW_TYPE: 1_000_000}
DECODING_THREADS = 2

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
    """The two operations of ingestion; `documented` describes them in OpenAPI."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._authorize = authorizer(service)
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
        return router

    async def post_predictions(self, request: Request) -> Response:
        """Take predictions; the answer comes when they are on disk. A row with an id counts once."""
        return await self._take(request, self._take_predictions)

    async def post_labels(self, request: Request) -> Response:
        """Take ground truth, early or late. A label is for every version that scored its id; another one for
        the same id corrects it."""
        return await self._take(request, self._take_labels)

    async def _take(self, request: Request, take: Callable[[RawRequest, str], Awaitable[Answer]]) -> Response:
        started = time.monotonic()
        await self._authorize(request)
        async with self._bodies.read(request) as body:
            content_type = media_type(request.headers.get("content-type", ""))
            sample = RawRequest(content_type, single_parameters(request), body)
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

    async def _commit(
        self, raw: RawRequest, read: Callable[[RawRequest, str], IngestRequest], key: str
    ) -> Answer:
        if _is_large(raw):
            loop = asyncio.get_running_loop()
            request = await loop.run_in_executor(self._threads, read, raw, key)
        else:
            request = read(raw, key)
        return await self._answers.wait(self._service.writer.submit(request))

    def _read_predictions(self, raw: RawRequest, key: str) -> PredictionRequest:
        service = self._service
        decoded = read_predictions(raw.body, raw.content_type, raw.query, service.settings)
        hashed = IdempotencyKey.of(decoded.target.model, key, body=raw.sent) if key else None
        decoded = decoded.typed() if _is_large(raw) else decoded
        return PredictionRequest(raw, decoded, service.clock(), hashed)

    def _read_labels(self, raw: RawRequest, key: str) -> PreparedLabels:
        service = self._service
        batch = decode_labels(raw.body, raw.content_type, raw.query, service.settings)
        try:
            return prepare_labels(batch, service.fleet, service.clock(), raw.sent, key)
        except RequestError:
            service.telemetry.count_rows("label", "rejected", batch.rows)
            raise


def _is_large(raw: RawRequest) -> bool:
    return len(raw.body) > INLINE_BYTES.get(raw.content_type, 0)

"""`POST /v1/cloudevents`: events of inference loggers, such as KServe's.

Loggers send no `Authorization` header: the token is in the query or in the path of the URL that they are
configured with. KServe's logger takes every status but 200 for an error and sends nothing twice; brokers of
Knative repeat what got another status, for ever if it is one that cannot be taken. So the answer is 200 to
everything that another attempt would not help, with a count and a line in the log; except for events of
another shard's models, which get 421, a status that Knative does not repeat.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from exporter.api.answers import Answers
from exporter.api.auth import authorizer
from exporter.api.bodies import BodyReader
from exporter.api.problems import REFUSALS
from exporter.capture.events import BATCH_TYPE, STRUCTURED_TYPE, Event, read_events
from exporter.capture.waiting import Exchange
from exporter.errors import (
    ForbiddenError,
    MisdirectedError,
    OverloadedError,
    RequestError,
    TooSlowError,
    UnauthorizedError,
    UnavailableError,
)
from exporter.formats.raw import JSON_TYPE
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.commit import Answer
from exporter.service import Service

PATH = "/v1/cloudevents"
INLINE_BYTES = 50_000  # of an exchange; larger ones are decoded in a thread
DECODING_THREADS = 2

_BODY = {
    "required": True,
    "description": "Of a request or a response, with `ce-` headers; or a structured event, or several.",
    "content": {
        media_type: {"schema": {"type": "string", "format": "binary"}}
        for media_type in (JSON_TYPE, "application/octet-stream", STRUCTURED_TYPE, BATCH_TYPE)
    },
}
_HEADERS = {
    "ce-id": "The same for the request and the response.",
    "ce-type": "`org.kubeflow.serving.inference.request` or `.response`, or `io.seldon.serving...`.",
    "ce-inferenceservicename": "Name of the inference service.",
    "ce-namespace": "Its namespace.",
    "ce-endpoint": "Such as `canary`.",
    "ce-component": "Such as `predictor`.",
    "ce-time": "Time of the event.",
}
_PARAMETERS: list[dict[str, Any]] = [
    {"name": name, "in": "header", "schema": {"type": "string"}, "description": text}
    for name, text in _HEADERS.items()
]
_PARAMETERS.append(
    {
        "name": "token",
        "in": "query",
        "schema": {"type": "string"},
        "description": "The token, where no header can be set; it may also be a further segment of the path.",
    }
)


def is_for_events(path: str) -> bool:
    """True for the path of events, with or without a token behind it."""
    return path == PATH or path.startswith(f"{PATH}/")


def move_token_to_header(scope: Scope) -> None:
    """Make a token in the path or the query of a request a header of it.

    From here on it is handled as any other token, and no error or log line can have it, also not uvicorn's.
    """
    given = [scope["path"][len(PATH) + 1 :]]
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    # A plus sign that is not escaped means a space, which no token has.
    given += [value.replace(" ", "+") for name, value in query if name == "token"]
    token = next(filter(None, given), "")
    headers = scope["headers"]
    if token and not any(name == b"authorization" for name, _ in headers):
        headers = [*headers, (b"authorization", b"Bearer " + token.encode("latin-1", "replace"))]
    rest = urlencode([(name, value) for name, value in query if name != "token"])
    scope.update(path=PATH, raw_path=PATH.encode(), query_string=rest.encode(), headers=headers)


class CloudEventRoutes:
    """The operation that takes events; `documented` describes it in OpenAPI."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._authorize = authorizer(service, "ingest")
        self._bodies = BodyReader(service.settings)
        self._answers = Answers[Answer]()
        self._threads = ThreadPoolExecutor(DECODING_THREADS, thread_name_prefix="capture")

    @property
    def documented(self) -> APIRouter:
        router = APIRouter()
        router.post(
            PATH,
            response_model=None,
            responses={status: REFUSALS[status] for status in (401, 403, 408, 421, 429, 503)},
            openapi_extra={"requestBody": _BODY, "parameters": _PARAMETERS},
        )(self.post_events)
        return router

    async def post_events(self, request: Request) -> Response:
        """Take a request to a model, or the response to it, from KServe's inference logger or one like it.

        Rows are counted when both halves have come, whichever is first. The answer is 200 also to what cannot
        be read; `mlflow_exporter_cloudevents_total` counts it.
        """
        telemetry = self._service.telemetry.capture
        try:
            await self._authorize(request)
            async with self._bodies.read(request) as body:
                misdirected = None
                for event in read_events(request.headers, body):
                    try:
                        await self._take(event)
                    except MisdirectedError as error:
                        misdirected = error
                if misdirected is not None:
                    raise misdirected
        except (UnauthorizedError, ForbiddenError):
            telemetry.count("unknown", "unauthorized")
            raise
        except (MisdirectedError, OverloadedError, UnavailableError, TooSlowError):
            raise  # counted by `_take`, unless nothing of the body was read
        except RequestError as error:
            self._service.capture.unreadable(error)
        return Response(status_code=200)

    async def _take(self, event: Event) -> None:
        capture = self._service.capture
        exchange = capture.take(event)
        if exchange is None:
            return
        try:
            rows = await self._read(exchange)
            await self._answers.wait(self._service.submit(rows))
        except (OverloadedError, UnavailableError) as error:
            capture.refused(exchange, error.detail)
            raise
        except RequestError as error:
            capture.failed(exchange, error)
        except BaseException:
            capture.refused(exchange, "it was interrupted")
            raise
        else:
            capture.taken(exchange)

    async def _read(self, exchange: Exchange) -> PredictionRequest:
        read = self._service.capture.read
        if len(exchange.request.body) + len(exchange.response.body) <= INLINE_BYTES:
            return read(exchange)
        return await asyncio.get_running_loop().run_in_executor(self._threads, read, exchange)

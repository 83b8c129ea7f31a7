"""Serves ingestion ahead of FastAPI, which documents it.

A request of one row would spend more time in its routing, middleware and error handling than in the rest.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.api.ingest_routes import IngestRoutes
from exporter.api.problems import on_any_error, on_disconnect, on_request_error, problem
from exporter.errors import RequestError
from exporter.exposition.telemetry import RowKind, Telemetry


class Ingestion:
    """ASGI middleware that answers requests of ingestion, and counts them by the status of the answer.

    All others go on to the application. A request that is cancelled because the server stops is answered with
    503.
    """

    def __init__(self, app: ASGIApp, routes: IngestRoutes, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry
        self._routes: dict[str, tuple[RowKind, Callable[[Request], Awaitable[Response]]]] = {
            "/v1/predictions": ("prediction", routes.post_predictions),
            "/v1/labels": ("label", routes.post_labels),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] != "POST" or scope["path"] not in self._routes:
            await self._pass_on(scope, receive, send)
        else:
            kind, post = self._routes[scope["path"]]
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

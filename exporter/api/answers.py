"""Counts requests with samples by the status of their answer."""

from __future__ import annotations

from asyncio import CancelledError

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.api.problems import problem
from exporter.exposition.telemetry import Kind, Telemetry

KINDS: dict[tuple[str, str], Kind] = {
    ("POST", "/v1/predictions"): "prediction",
    ("POST", "/v1/labels"): "label",
}


class CountedAnswers:
    """ASGI middleware that counts requests with samples by the status that was sent.

    A request that is cancelled, because the server stops before it is done, is answered with 503.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        kind = KINDS.get((scope["method"], scope["path"]))
        answered = False

        def count(status: int) -> None:
            nonlocal answered
            if not answered and kind is not None:
                self._telemetry.count_request(kind, status)
            answered = True

        async def counted_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counted_send)
        except CancelledError:
            if answered:
                raise
            detail = "the service stopped before this was done: send it again, what has ids counts once"
            answer = problem(503, "Unavailable", detail, headers={"Retry-After": "5"})
            await answer(scope, receive, counted_send)
        except Exception:
            count(500)  # as which it is answered outside of this
            raise

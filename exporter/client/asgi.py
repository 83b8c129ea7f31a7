"""ASGI middleware that sends the predictions of a service, read from its own requests and answers.

    app.add_middleware(MonitoringMiddleware, monitor=monitor, paths=["/predict"])

It hands every message on as it is; it only notes what it has to. Bodies are read on the monitor's thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from time import perf_counter
from typing import Any, TypeAlias

from exporter.client.bodies import ArrivingBody, Budget
from exporter.client.exchanges import MODEL_REFUSALS, Exchange, Read, Reader
from exporter.client.monitor import Monitor
from exporter.errors import ConfigError

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

ID_HEADER = "X-Prediction-Id"
MAX_ID_LENGTH = 240  # of the exporter's 256, since `/<row>` may be added
logger = logging.getLogger("exporter.client")


class MonitoringMiddleware:
    """Sends the predictions that a service makes on `paths`, with their latency.

    A request whose rows can be read and that failed (an exception, a status of 5xx, 400 or 422) becomes rows
    with a prediction of None: unanswered. Other statuses than 2xx are not predictions.

    Args:
        app: the service.
        monitor: of the model that it serves.
        paths: of `POST` requests that are predictions; `*` and `{name}` stand for any text without `/`.
        read: tells features and predictions of bodies in forms of one's own, see `exchanges.Read`. Without
            it, those of MLflow's scoring server and of the inference protocols V1 and V2 are read.
        id_header: header of the request, or of the answer, with the id of the prediction. Several rows have
            the ids `<id>/0`, `<id>/1`, ... Without the header an id is made, and is a header of the answer.
        id_column: column with ids of rows, which is no feature then; no id is made.
        classes: names of the model's classes, in the order of its probabilities.
        max_body_bytes: larger requests and answers are not read, but counted as dropped.
        max_captured_bytes: of all requests in flight at once; more are not read, but counted.

    Raises:
        ConfigError: an argument cannot be used.
    """

    def __init__(
        self,
        app: App,
        monitor: Monitor,
        paths: Sequence[str] = ("/invocations",),
        read: Read | None = None,
        *,
        id_header: str = ID_HEADER,
        id_column: str = "",
        classes: Sequence[str] = (),
        max_body_bytes: int = 8 * 2**20,
        max_captured_bytes: int = 64 * 2**20,
    ) -> None:
        if isinstance(paths, str):
            raise ConfigError("`paths` is a list of paths")
        self.app = app
        self.monitor = monitor
        self.id_header = id_header.lower().encode("ascii")
        self.makes_ids = bool(id_header) and not id_column
        self.max_body_bytes = max_body_bytes
        self.reader = Reader(monitor, read, id_column, tuple(classes), max_body_bytes)
        self._budget = Budget(max_captured_bytes)
        self._path = _pattern(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, self._following(send))
            return
        if scope["type"] != "http" or scope["method"] != "POST" or not self._path.fullmatch(_path(scope)):
            await self.app(scope, receive, send)
            return
        capture = _Capture(self, scope)

        async def noting_receive() -> Message:
            message = await receive()
            capture.note(capture.request_message, message)
            return message

        async def noting_send(message: Message) -> None:
            message = capture.note(capture.answer_message, message) or message
            try:
                await send(message)
            except BaseException:
                capture.disconnected = True
                raise
            if capture.answered:
                capture.finish()

        try:
            await self.app(scope, noting_receive, noting_send)
        except BaseException as error:
            capture.raised = isinstance(error, Exception)
            raise
        finally:
            capture.finish()

    def arriving(self, headers: Mapping[bytes, bytes]) -> ArrivingBody:
        """Return a body of which nothing has come yet."""
        return ArrivingBody(headers, self._budget, self.max_body_bytes)

    def _following(self, send: Send) -> Send:
        """Start with the service, so that it is seen without traffic, and send what is queued when it ends:
        uvicorn ends by its signal, without exit handlers."""

        async def following_send(message: Message) -> None:
            try:
                if message["type"] == "lifespan.startup.complete":
                    self.monitor.start()
                elif message["type"] == "lifespan.shutdown.complete":
                    await asyncio.to_thread(self.monitor.flush, self.monitor.exit_seconds)
            except Exception:
                logger.warning("The middleware goes on after an error", exc_info=True)
            await send(message)

        return following_send


def _path(scope: Scope) -> str:
    """Path below the one that the service is mounted at."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(root + "/") else path


def _pattern(paths: Iterable[str]) -> re.Pattern[str]:
    parts = (re.split(r"\*|\{[^{}/]+\}", path) for path in paths)
    return re.compile("|".join("[^/]+".join(map(re.escape, part)) for part in parts) or "(?!)")


class _Capture:
    """One request and its answer, as far as they have come."""

    def __init__(self, middleware: MonitoringMiddleware, scope: Scope) -> None:
        self._middleware = middleware
        self._in_flight = middleware.monitor.in_flight.request()
        self._in_flight.__enter__()
        self._headers = dict(scope["headers"])
        self._request = middleware.arriving(self._headers)
        self._answer = middleware.arriving({})
        self._started_at = perf_counter()
        self._ended_at = 0.0
        self._status = 0
        self._finished = False
        self.disconnected = False  # the client hung up, or the server is stopped
        self.raised = False
        self.id = self._given_id(self._headers)

    @property
    def answered(self) -> bool:
        return self._answer.complete

    def note(self, take: Callable[[Message], Message | None], message: Message) -> Message | None:
        """Take a message. An error in doing so is none of the service's."""
        try:
            return None if self._finished else take(message)
        except Exception:
            logger.warning("The middleware goes on after an error", exc_info=True)
            return None

    def request_message(self, message: Message) -> None:
        if message["type"] == "http.request":
            self._request.add(message)
            if self._request.complete:
                self._started_at = perf_counter()
        elif message["type"] == "http.disconnect":
            self.disconnected = True

    def answer_message(self, message: Message) -> Message | None:
        """Note a part of the answer; return the message to send in its place, if any."""
        kind = message["type"]
        if kind == "http.response.start":
            headers = list(message.get("headers", ()))
            self._status = message["status"]
            self._answer = self._middleware.arriving({bytes(k).lower(): bytes(v) for k, v in headers})
            if self._request.lost or not 200 <= self._status < 300:
                self._answer.lose("")
            given = self._given_id(self._answer.headers)
            self.id = given or self.id
            if not self.id and self._middleware.makes_ids:
                self.id = os.urandom(16).hex()
                return {**message, "headers": [*headers, (self._middleware.id_header, self.id.encode())]}
        elif kind == "http.response.body":
            self._answer.add(message)
        elif kind.startswith("http.response.") and kind != "http.response.trailers":
            self._answer.lose("unreadable")  # a file that the server sends itself
            self._answer.complete = True
        if self._answer.complete:
            self._ended_at = perf_counter()
        return None

    def finish(self) -> None:
        """Hand over what came, once."""
        if self._finished:
            return
        self._finished = True
        try:
            self._in_flight.__exit__(None, None, None)
            self._hand_over()
        except Exception:
            logger.warning("The middleware goes on after an error", exc_info=True)
        finally:
            self._request.release()
            self._answer.release()

    def _hand_over(self) -> None:
        raised = self.raised and not self.answered
        failed = raised or self._status >= 500 or self._status in MODEL_REFUSALS
        if not self._request.complete or not (failed or 200 <= self._status < 300):
            return
        if not self.answered and (self.disconnected or not failed):
            return  # the client hung up, or the server stops: it is not the model that failed
        lost = self._request.lost or ("" if failed else self._answer.lost)
        if lost:
            self._middleware.monitor.drop(lost, 1, f"more than {self._middleware.max_body_bytes} bytes")
            return
        self._middleware.monitor.submit(
            Exchange(
                reader=self._middleware.reader,
                request=self._request.body,
                answer=None if failed else self._answer.body,
                status=self._status,
                id=self.id,
                latency_seconds=(self._ended_at or perf_counter()) - self._started_at,
            )
        )

    def _given_id(self, headers: Mapping[bytes, bytes]) -> str:
        text = headers.get(self._middleware.id_header, b"").decode("latin-1").strip()
        return text if len(text) <= MAX_ID_LENGTH and text.isprintable() else ""

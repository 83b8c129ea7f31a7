"""HTTP server with limits on connections.

uvicorn has no timeouts while a client sends a request or receives the answer, no limit on the size of a head,
and accepts connections until the process runs out of file descriptors. Here a connection that waits for its
client is closed after `request_timeout_seconds`, and beyond MAX_CONNECTIONS the one that has waited longest
is closed: idle clients cannot exhaust the connection limit. uvicorn also loses the body of a request that
asks for an upgrade, as Java's client does by default; here the upgrade is ignored (RFC 9110, 7.8).
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from exporter.errors import ListenError
from exporter.exposition.telemetry import CloseReason, Telemetry
from exporter.settings import Settings

MAX_CONNECTIONS = 500  # with the pending ones, below the usual limit of 1,024 open files
BACKLOG = 200  # not accepted yet
MAX_TASKS = 1000  # requests, including those whose client has disconnected
MAX_HEAD_BYTES = 64 * 2**10
BODY_GRACE_SECONDS = 5.0  # for `bodies` to answer that the body is late
SHUTDOWN_SECONDS = 10  # for requests in progress


def make_server(app: ASGIApp, settings: Settings, telemetry: Telemetry) -> uvicorn.Server:
    """Return a server of an application, to be run once."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        # uvicorn instantiates the class with arguments of its own.
        http=type("Connection", (BoundedConnection,), {"settings": settings, "telemetry": telemetry}),
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        limit_concurrency=MAX_TASKS,
        backlog=BACKLOG,
    )
    return uvicorn.Server(config)


@contextmanager
def bound_sockets(settings: Settings) -> Iterator[list[socket.socket]]:
    """Bind sockets to all addresses of the host, not listening yet, and close them at the end.

    Raises:
        ListenError: an address is in use, forbidden or unknown.
    """
    with ExitStack() as bound:
        sockets = []
        try:
            found = socket.getaddrinfo(
                settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, kind, protocol, _, address in dict.fromkeys(found):
                each = bound.enter_context(socket.socket(family, kind, protocol))
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                each.bind(address)
                sockets.append(each)
        except (OSError, UnicodeError) as error:
            raise ListenError(f"cannot listen on {settings.host}:{settings.port}: {_why(error)}") from error
        yield sockets


def _why(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "this is not a host name"
    if error.errno == errno.EADDRINUSE:
        return "another program uses this port; choose another with EXPORTER_PORT or --port"
    return error.strerror or str(error)


class _Parser(httptools.HttpRequestParser):
    """Request parser that is replaced by a new one when a request asks for an upgrade.

    llhttp takes all bytes after such a head for the new protocol, and has no option to read the body.
    """

    def __init__(self, connection: BoundedConnection) -> None:
        super().__init__(connection)
        self._connection = connection
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does

    def feed_data(self, data: Any) -> None:
        parser: httptools.HttpRequestParser = self
        while True:  # once per such request in the data, since clients may pipeline
            try:
                httptools.HttpRequestParser.feed_data(parser, data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._connection.decline_upgrade(data[upgrade.args[0] :])
                parser = self._connection.parser
            else:
                return


class BoundedConnection(HttpToolsProtocol):
    """Connection with limits on the time it waits for its client, and on bytes outside of bodies."""

    settings: Settings
    telemetry: Telemetry

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.parser = _Parser(self)
        self._declining = False  # the last head asked for an upgrade, and is parsed again without it
        self._waiting_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._idle_bytes = 0  # since the last head or part of a body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        super().connection_made(transport)
        self._wait_if_its_turn()
        if len(self.connections) > MAX_CONNECTIONS:
            waiting = (c for c in self.connections if isinstance(c, BoundedConnection))
            longest = min(
                waiting, key=lambda c: float("inf") if c._waiting_since is None else c._waiting_since
            )
            longest._give_up("limit")

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._idle_bytes += len(data)
        super().data_received(data)
        if self._idle_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._count("head")
            self.send_400_response("The request's head is too large.")

    def on_headers_complete(self) -> None:
        if self.parser.get_method() == b"CONNECT":  # always an upgrade to the parser
            raise ValueError("this is no proxy")
        self._declining = self.parser.should_upgrade()
        if self._declining:
            return
        self._idle_bytes = 0
        scheme, absolute, rest = self.url.partition(b"://")
        if absolute and b"/" not in scheme and b"?" not in scheme:
            # An absolute target takes precedence over `Host` (RFC 9112, 3.2.2).
            authority = rest.partition(b"/")[0].partition(b"?")[0]
            self.headers[:] = [each for each in self.headers if each[0] != b"host"] + [(b"host", authority)]
        super().on_headers_complete()
        self._wait_if_its_turn()

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._declining:
            return
        self._idle_bytes = 0
        super().on_message_complete()
        self._wait_if_its_turn()

    def decline_upgrade(self, rest: bytes) -> bytes:
        """Start a new parser; return its input: the last head without the upgrade, and the bytes after it."""
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/", self.parser.get_http_version().encode()]
        for name, value in self.headers:
            if name == b"connection":
                options = [option.strip() for option in value.split(b",")]
                value = b", ".join(option for option in options if option.lower() != b"upgrade")
            if name != b"upgrade":
                head += [b"\r\n", name, b": ", value]
        self.parser = _Parser(self)
        return b"".join(head) + b"\r\n\r\n" + rest

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait_if_its_turn()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_if_its_turn()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._wait_if_its_turn()

    def _wait_if_its_turn(self) -> None:
        """Start the timeout if it is the client's turn to send a head or a body, or to receive an answer."""
        self._stop_waiting()
        if self.cycle is None or self.cycle.response_complete or self.flow.write_paused:
            self._wait(self.settings.request_timeout_seconds)
        elif self.cycle.more_body:
            self._wait(self.settings.request_timeout_seconds + BODY_GRACE_SECONDS)

    def _wait(self, seconds: float) -> None:
        self._waiting_since = time.monotonic()  # uvloop counts milliseconds, in which many connections come
        self._timer = self.loop.call_later(seconds, self._give_up, "timeout")

    def _stop_waiting(self) -> None:
        self._waiting_since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self, reason: CloseReason) -> None:
        self._count(reason)
        self.connections.discard(self)  # not to be chosen again before it is lost
        self.transport.abort()  # `close` would wait for the client to receive the answer

    def _count(self, reason: CloseReason) -> None:
        self.telemetry.count_closed_connection(reason)

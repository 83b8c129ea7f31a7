"""The server and its connections.

uvicorn gives a client all the time it wants to send a request or to take an answer, reads a head without
end, and takes connections until the process has no file left for the next. Here a connection waits for its
client as long as `request_timeout_seconds`, and where there are too many the one that has waited longest
makes room: idle clients cannot exhaust the connection limit. uvicorn also loses the body of a request that
asks for an upgrade, as Java's client does by default; here the upgrade is ignored (RFC 9110, 7.8).
"""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from exporter.api.app import create_app
from exporter.exposition.telemetry import CloseReason
from exporter.service import Service

MAX_CONNECTIONS = 500  # with those below half of the 1,024 files that a process may usually have open
MAX_PENDING = 200  # that the kernel holds until they are accepted, all at once
MAX_TASKS = 1000  # a request whose client has hung up is one until it is done
MAX_HEAD_BYTES = 64 * 2**10
GRACE_SECONDS = 5.0  # by then a reader of bodies has answered that they are late
SHUTDOWN_SECONDS = 10  # for requests that are being answered when the server stops


def make_server(service: Service) -> uvicorn.Server:
    """What serves a service, where its settings say; to be run once."""
    settings = service.settings
    config = uvicorn.Config(
        create_app(service),
        host=settings.host,
        port=settings.port,
        # uvicorn makes the connections: what they must know is in their class.
        http=type("Connection", (BoundedConnection,), {"service": service}),
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        limit_concurrency=MAX_TASKS,
        backlog=MAX_PENDING,
    )
    return uvicorn.Server(config)


class _Parser(httptools.HttpRequestParser):
    """Request parser that gives way to a new one when a request asks for an upgrade.

    llhttp takes all bytes after such a head for the other protocol, and has no option to read the body.
    """

    def __init__(self, connection: BoundedConnection) -> None:
        super().__init__(connection)
        self._connection = connection
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does

    def feed_data(self, data: Any) -> None:
        parser: httptools.HttpRequestParser = self
        while True:  # as often as there are such requests in the data: a client may send many at once
            try:
                httptools.HttpRequestParser.feed_data(parser, data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._connection.decline_upgrade(data[upgrade.args[0] :])
                parser = self._connection.parser
            else:
                return


class BoundedConnection(HttpToolsProtocol):
    """Client connection with limits on the time and the bytes of everything but bodies."""

    service: Service

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.parser = _Parser(self)
        self._declining = False  # the last head asks for an upgrade, and is parsed again without it
        self._waiting_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._idle_bytes = 0  # received in a row that neither completed a head nor were a body

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
        if self.parser.get_method() == b"CONNECT":  # the parser takes it for an upgrade in any case
            raise ValueError("this is no proxy")
        self._declining = self.parser.should_upgrade()
        if self._declining:
            return
        self._idle_bytes = 0
        scheme, absolute, rest = self.url.partition(b"://")
        if absolute and b"/" not in scheme and b"?" not in scheme:
            # What it asks for holds, whatever `Host` says (RFC 9112, 3.2.2).
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
        """The last head without its upgrade, then the bytes that followed it, for a new parser."""
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
        """Begin to wait if the client is to do something: send a head, a body, or take an answer."""
        self._stop_waiting()
        if self.cycle is None or self.cycle.response_complete or self.flow.write_paused:
            self._wait(self.service.settings.request_timeout_seconds)
        elif self.cycle.more_body:
            self._wait(self.service.settings.request_timeout_seconds + GRACE_SECONDS)

    def _wait(self, seconds: float) -> None:
        self._waiting_since = self.loop.time()
        self._timer = self.loop.call_later(seconds, self._give_up, "timeout")

    def _stop_waiting(self) -> None:
        self._waiting_since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self, reason: CloseReason) -> None:
        self._count(reason)
        self.connections.discard(self)  # not to be chosen again before it is lost
        self.transport.abort()  # `close` would wait for a client that takes no answer

    def _count(self, reason: CloseReason) -> None:
        self.service.telemetry.count_closed_connection(reason)

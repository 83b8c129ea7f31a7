"""One HTTP request and its answer, within limits of time and size.

Redirects are not followed and the proxies of the environment are not used: the hosts are those of the
configuration. The connection is made by a call of its own, so that it is known what was never sent.
"""

from __future__ import annotations

import socket
import ssl
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPS_PORT, HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from threading import Event, Timer
from typing import Any, Literal
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import orjson

from exporter import __version__
from exporter.config.targets import HttpTarget
from exporter.errors import ExporterError
from exporter.formats.texts import cut, first_line, printable, storable

MAX_ANSWER_BYTES = 2**20
MAX_SECRET_BYTES = 16 * 1024
MAX_MESSAGE_CHARACTERS = 300


class NotSentError(ExporterError):
    """No request was sent."""


class NoAnswerError(ExporterError):
    """A request was sent, at least in part, and has no answer."""


@dataclass(frozen=True)
class Limits:
    """Time limits of a request, in seconds: to connect, between two packets, and in all once connected."""

    connect_seconds: float = 5.0
    read_seconds: float = 10.0
    total_seconds: float = 15.0


@dataclass(frozen=True)
class Call:
    """A request. `body` is sent as JSON unless it is None."""

    method: Literal["GET", "POST"]
    url: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """An answer; `body` is cut at `MAX_ANSWER_BYTES`."""

    status: int
    body: bytes = b""
    location: str = ""

    @property
    def is_success(self) -> bool:
        """True for the statuses from 200 to 299."""
        return 200 <= self.status < 300

    @property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty if it is none, as the body of a 204 is."""
        try:
            parsed = orjson.loads(self.body)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}

    @property
    def message(self) -> str:
        """Status and beginning of the body, for people."""
        if self.location:
            return f"it answers {self.status}, a redirect to {self.location[:MAX_MESSAGE_CHARACTERS]}"
        said = " ".join(self.body[: 4 * MAX_MESSAGE_CHARACTERS].decode("utf-8", "replace").split())
        return f"it answers {self.status}" + (f": {said}" if said else "")


@dataclass(frozen=True)
class Credentials:
    """Contents of a target's secret files.

    Raises:
        NotSentError: a file cannot be used; the message has nothing of it.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    password: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, config: HttpTarget) -> Credentials:
        """Read the files of a target."""
        if config.token_file is not None:
            token = read_secret(config.token_file)
            return cls({config.token_header: _scheme(config.token_header) + token}, secrets=(token,))
        if config.password_file is not None:
            password = read_secret(config.password_file, ascii_only=False)
            pair = b64encode(f"{config.username}:{password}".encode()).decode()
            return cls({"Authorization": f"Basic {pair}"}, password, (password, pair))
        return cls()

    def hide(self, text: str) -> str:
        """Return a foreign text for people: one line, without the secrets, and not long."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return cut(printable(storable(text)), MAX_MESSAGE_CHARACTERS)


def exchange(
    call: Call,
    credentials: Credentials,
    limits: Limits,
    ca_file: str | None = None,
    proxy: str | None = None,
) -> Answer:
    """Send a request and return its answer.

    Args:
        call: the request.
        credentials: whose headers are added.
        limits: on time.
        ca_file: certificates that are trusted in place of the system's.
        proxy: `http://host:port` of a proxy, for https.

    Raises:
        NotSentError: no connection, or none that can be trusted.
        NoAnswerError: no answer, none in time, or none that is HTTP.
    """
    parts = urlsplit(call.url)
    try:
        connection = _connect(parts, limits.connect_seconds, ca_file, proxy)
    except (OSError, HTTPException, ValueError) as error:
        raise NotSentError(f"no connection to {parts.netloc}: {first_line(error)}") from error
    connection.sock.settimeout(limits.read_seconds)
    is_cut = Event()
    cut = Timer(limits.total_seconds, _cut, [connection.sock, is_cut])
    cut.daemon = True
    cut.start()
    try:
        return _converse(connection, call, credentials)
    except (OSError, HTTPException, ValueError) as error:
        late = is_cut.is_set() or isinstance(error, TimeoutError)
        reason = "none in time" if late else first_line(error)
        raise NoAnswerError(f"no answer from {parts.netloc}: {credentials.hide(reason)}") from error
    finally:
        cut.cancel()
        connection.close()


def url(base: str, *segments: str, **query: str | int) -> str:
    """Return a URL below a base, with its segments and query escaped.

    >>> url("http://host/api", "dags", "a/b", fields="x y")
    'http://host/api/dags/a%2Fb?fields=x+y'
    """
    path = "/".join([base, *(quote(segment, safe="") for segment in segments)])
    return f"{path}?{urlencode(query)}" if query else path


def _connect(
    parts: SplitResult, timeout_seconds: float, ca_file: str | None, proxy: str | None
) -> HTTPConnection:
    if parts.scheme == "http":
        connection = HTTPConnection(parts.netloc, timeout=timeout_seconds)
    else:
        context = ssl.create_default_context(cafile=ca_file)
        reached = urlsplit(proxy).netloc if proxy else parts.netloc
        connection = HTTPSConnection(reached, timeout=timeout_seconds, context=context)
        if proxy:
            connection.set_tunnel(str(parts.hostname), parts.port or HTTPS_PORT)
    connection.connect()
    return connection


def _converse(connection: HTTPConnection, call: Call, credentials: Credentials) -> Answer:
    body = None if call.body is None else orjson.dumps(call.body)
    headers = {
        "Accept": "application/json",
        "User-Agent": f"mlflow-exporter/{__version__}",
        **({} if body is None else {"Content-Type": "application/json"}),
        **call.headers,
        **credentials.headers,
    }
    parts = urlsplit(call.url)
    connection.request(call.method, parts._replace(scheme="", netloc="").geturl() or "/", body, headers)
    response = connection.getresponse()
    location = response.getheader("Location", "") if 300 <= response.status < 400 else ""
    return Answer(response.status, response.read(MAX_ANSWER_BYTES), location)


def _cut(connected: socket.socket, is_cut: Event) -> None:
    """End a conversation that takes too long, also one whose packets each come in time."""
    is_cut.set()
    with suppress(OSError):  # it has ended by itself
        socket.socket.shutdown(connected, socket.SHUT_RDWR)  # TLS's own is not for other threads


def _scheme(header: str) -> str:
    return "Bearer " if header.lower() == "authorization" else ""


def read_secret(file: str, *, ascii_only: bool = True) -> str:
    """The secret in a file.

    Raises:
        NotSentError: the file cannot be used; the message has nothing of it.
    """
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(MAX_SECRET_BYTES + 1)
        text = content.decode().strip()
    except (OSError, ValueError) as error:
        fault = getattr(error, "strerror", None) or "it is no text"
        raise NotSentError(f"{file} cannot be read: {fault}") from None
    # Line breaks in a header would make others of it.
    if not text or not text.isprintable() or (ascii_only and not text.isascii()):
        raise NotSentError(f"{file} does not hold a secret on a single line")
    if len(content) > MAX_SECRET_BYTES:
        raise NotSentError(f"{file} is larger than {MAX_SECRET_BYTES} bytes")
    return text

"""HTTP connection to a running exporter."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - as with httpcore
import json
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

# httpx imports these at its first request. A child of a fork at that moment would never have the whole.
import certifi  # noqa: F401
import httpcore  # noqa: F401
import httpx

from exporter.errors import CallRefusedError, ConfigError, UnreachableError
from exporter.formats.texts import printable, redact
from exporter.shard import MAX_SHARDS, SHARD_FIELD

TIMEOUT_SECONDS = 60.0
MAX_ANSWER_BYTES = 64 * 2**20  # of an answer that is read as a whole
MAX_DETAIL = 500  # characters of a refusal's detail
EXAMPLE_URL = "http://127.0.0.1:19464"
# Made once, in no thread of ours: locks of OpenSSL that are held while a process forks stay so in its child.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True)
class Answer:
    """Answer to a request; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def problem(self) -> tuple[str, str]:
        """Detail and place of a problem (RFC 9457); the name of the status where the body is none."""
        try:
            document = json.loads(self.body)
            detail, where = str(document["detail"]), str(document.get("where", ""))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return status_name(self.status), ""
        return printable(detail[:MAX_DETAIL]), printable(where[:MAX_DETAIL])

    @property
    def shard(self) -> int | None:
        """Number of the shard that has the model, of an answer with 421; None of others."""
        if self.status != HTTPStatus.MISDIRECTED_REQUEST:
            return None
        try:
            shard = json.loads(self.body)["shard"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return shard if type(shard) is int and 1 <= shard <= MAX_SHARDS else None

    @property
    def retry_after_seconds(self) -> float:
        """Seconds of `Retry-After`, 0 without it."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isascii() and text.isdigit() else 0.0


class Connection:
    """Connection to the exporter at a URL, which is opened at the first request and kept open.

    It follows no redirects, since the token would go along to another host.

    Args:
        url: address of the exporter. `{shard}` in it is the number of a shard: an answer with 421 names the
            one that has the model, and all requests go there from then on.
        token: bearer token, empty for none.
        timeout_seconds: longest wait on the network, and for a whole answer that does not come in parts.

    Raises:
        ConfigError: the address is no URL, or the token cannot be sent.
    """

    def __init__(self, url: str, token: str = "", *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._template = str(url).rstrip("/")
        self._shard = 1
        scheme, self._name = _parsed(self._url)
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise ConfigError("a token has printable ASCII characters without spaces")
        self._timeout_seconds = timeout_seconds
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._opened: httpx.Client | None = None
        self._tls = _verifying() if scheme == "https" else _NO_TLS

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    @property
    def _url(self) -> str:
        return self._template.replace(SHARD_FIELD, str(self._shard))

    @property
    def _client(self) -> httpx.Client:
        # No `cached_property`: its lock is held forever in a child of a fork at the wrong moment.
        if self._opened is None:
            self._opened = httpx.Client(
                headers=self._headers,
                timeout=self._timeout_seconds,
                follow_redirects=False,
                verify=self._tls,
            )
        return self._opened

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Any:
        """Return the JSON that a path answers; errors as of `post`."""
        return self._json(self.request("GET", path, query))

    def post(
        self,
        path: str,
        query: Mapping[str, object] | None = None,
        body: bytes = b"",
        content_type: str = "application/json",
    ) -> Any:
        """Return the JSON answer to a body.

        Raises:
            UnreachableError: no answer came, or no JSON.
            CallRefusedError: the exporter refused.
        """
        return self._json(self.request("POST", path, query, body, {"Content-Type": content_type}))

    def post_json(self, path: str, document: object, query: Mapping[str, object] | None = None) -> Any:
        """Return the JSON answer to a document; errors as of `post`."""
        return self.post(path, query, json.dumps(document).encode())

    def chunks(self, path: str, query: Mapping[str, object] | None = None) -> Iterator[bytes]:
        """Yield the body of a long answer in parts, as it comes; errors as of `post`."""
        for last in (False, True):
            with self._sent("GET", path, query, None, None) as response:
                if response.is_success:
                    yield from response.iter_bytes()
                    return
                answer = self._read(response)
            if last or not self._turn(answer):
                raise refusal(answer)

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the answer to a request, whatever its status.

        Raises:
            UnreachableError: no answer came.
        """
        with self._sent(method, path, query, body, headers) as response:
            answer = self._read(response)
        if not self._turn(answer):
            return answer
        with self._sent(method, path, query, body, headers) as response:
            return self._read(response)

    def _turn(self, answer: Answer) -> bool:
        """Turn to the shard that an answer names; false if it names no other, or the address has none."""
        shard = answer.shard
        if SHARD_FIELD not in self._template or shard in (None, self._shard):
            return False
        self._shard = shard
        _, self._name = _parsed(self._url)
        return True

    @contextmanager
    def _sent(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> Iterator[httpx.Response]:
        """Context with the response to a request, whose body is still to come."""
        given: dict[str, Any] = {n: value for n, value in (query or {}).items() if value not in (None, "")}
        url = f"{self._url}{path}"
        try:
            with self._client.stream(
                method, url, params=given or None, content=body, headers=headers
            ) as response:
                yield response
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            reason = f"the exporter at {self._name} cannot be reached: {_reason(error)}"
            raise UnreachableError(reason) from None

    def _read(self, response: httpx.Response) -> Answer:
        parts, size, end = list[bytes](), 0, time.monotonic() + self._timeout_seconds
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                raise UnreachableError(f"{self._name} answers with more than {MAX_ANSWER_BYTES} bytes")
            if time.monotonic() > end:
                raise UnreachableError(f"{self._name} answers for more than {self._timeout_seconds:g} s")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, b"".join(parts))

    def _json(self, answer: Answer) -> Any:
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise refusal(answer)
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            raise UnreachableError(f"{self._name} does not answer as an exporter does") from None


@cache
def _verifying() -> ssl.SSLContext:
    """Return the context of all connections by TLS, whose certificates take longer to load than a request."""
    return httpx.create_ssl_context()


def _parsed(url: str) -> tuple[str, str]:
    """Scheme, and host with port, of an address.

    Raises:
        ConfigError: it is none.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and not re.search(r"\s", url):
            return parts.scheme, parts.hostname + (f":{parts.port}" if parts.port else "")
    except (ValueError, TypeError, AttributeError):
        pass
    raise ConfigError(f"{redact(str(url))!r} is no address such as {EXAMPLE_URL}")


def status_name(status: int) -> str:
    """
    >>> status_name(502), status_name(599)
    ('Bad Gateway', 'status 599')
    """
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"status {status}"


def refusal(answer: Answer) -> CallRefusedError:
    """Return the error that tells of an answer with another status than 2xx."""
    detail, where = answer.problem
    place = f" ({where})" if where else ""
    message = f"the exporter refused ({answer.status}): {detail}{place}"
    return CallRefusedError(message, answer.status, detail, where)


def _reason(error: Exception) -> str:
    """Reason why a call failed: the system's own words where it has some."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return printable(str(error)[:MAX_DETAIL]) or type(error).__name__

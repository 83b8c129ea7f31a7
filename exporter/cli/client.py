"""HTTP client of a running exporter, which has its store to itself, for the commands that ask it."""

from __future__ import annotations

import argparse
import getpass
import json
import os
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

from exporter.errors import ConfigError, ExporterError
from exporter.formats.texts import printable
from exporter.settings import Settings

DEFAULT_URL = f"http://{Settings.host}:{Settings.port}"
TIMEOUT_SECONDS = 60.0
CHUNK_BYTES = 2**16
TOKEN_VARIABLE = "EXPORTER_API_TOKEN_FILE"  # noqa: S105 - the name of a variable

_Result = TypeVar("_Result")


class RefusedError(ExporterError):
    """The exporter refused, or cannot be reached."""


class Client:
    """Client of the exporter at a URL.

    Args:
        url: address of the exporter.
        token: bearer token, empty for none.
        timeout_seconds: for each wait on the connection.

    Raises:
        ConfigError: the address is not a URL.
        RefusedError: raised by every call where the exporter refused, or cannot be reached.
    """

    def __init__(self, url: str, token: str = "", timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"{url!r} is no address such as {DEFAULT_URL}")
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout_seconds = timeout_seconds
        self._opener = build_opener(_NoRedirects)

    @classmethod
    def of(cls, options: argparse.Namespace, timeout_seconds: float = TIMEOUT_SECONDS) -> Client:
        """Return the client that the options of `add_client_options` describe.

        Raises:
            ConfigError: the file with the token cannot be read, or the address is not a URL.
        """
        path = options.token_file or os.environ.get(TOKEN_VARIABLE, "").strip()
        try:
            token = Path(path).read_text("utf-8").strip() if path else ""
        except OSError as error:
            raise ConfigError(f"{error.filename} cannot be read: {error.strerror}") from None
        except ValueError:
            raise ConfigError(f"{path} is no text") from None
        if path and not (token.isascii() and token.isprintable() and " " not in token and token):
            raise ConfigError(f"{path} has to hold a token, and nothing else")
        return cls(options.exporter, token, timeout_seconds)

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Any:
        """Return the JSON that a path answers."""
        return self._json("GET", path, query, None, "")

    def post(
        self,
        path: str,
        query: Mapping[str, object] | None = None,
        body: bytes = b"",
        content_type: str = "application/json",
    ) -> Any:
        """Return the JSON answer to a body."""
        return self._json("POST", path, query, body, content_type)

    def chunks(
        self, path: str, query: Mapping[str, object] | None = None, accept: str = "*/*"
    ) -> Iterator[bytes]:
        """Yield the body of a long answer in parts, as it comes."""
        request = self._request("GET", path, query, None, {"Accept": accept})
        with self._open(request) as answer:
            while chunk := _within(request, lambda: answer.read(CHUNK_BYTES)):
                yield chunk

    def _json(
        self, method: str, path: str, query: Mapping[str, object] | None, body: bytes | None, kind: str
    ) -> Any:
        headers = {"Content-Type": kind} if body is not None else {}
        request = self._request(method, path, query, body, headers)
        with self._open(request) as answer:
            return _within(request, lambda: json.load(answer))

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Request:
        said = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        url = f"{self._url}{path}" + (f"?{urlencode(said, doseq=True)}" if said else "")
        return Request(url, body, {**self._headers, **headers}, method=method)  # noqa: S310 - was checked

    def _open(self, request: Request) -> HTTPResponse:
        def send() -> HTTPResponse:
            answer: HTTPResponse = self._opener.open(request, timeout=self._timeout_seconds)
            return answer

        return _within(request, send)


def _within(request: Request, call: Callable[[], _Result]) -> _Result:
    """Return the result of a call, with the errors of the connection explained."""
    try:
        return call()
    except HTTPError as error:
        advice = ": name the file of your token with --token-file" if error.code == 401 else ""
        raise RefusedError(f"the exporter refused ({error.code}): {_detail(error)}{advice}") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        said = getattr(reason, "strerror", None) or reason
        raise RefusedError(f"the exporter at {request.host} cannot be reached: {said}") from None
    except ValueError:
        raise RefusedError(f"{request.host} does not answer as an exporter does") from None


class _NoRedirects(HTTPRedirectHandler):
    """Refuses redirects: the token would go along to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _detail(error: HTTPError) -> str:
    try:
        return printable(str(json.load(error)["detail"]))
    except (ValueError, KeyError, TypeError, OSError):
        return str(error.reason)


def add_client_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `Client.of` reads."""
    parser.add_argument(
        "--exporter",
        default=DEFAULT_URL,
        metavar="URL",
        help="address of the running exporter (default %(default)s)",
    )
    parser.add_argument(
        "--token-file", metavar="FILE", help=f"file with your token (default the one in {TOKEN_VARIABLE})"
    )


def user_name() -> str:
    """Return the name of this machine's user, empty where it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return ""

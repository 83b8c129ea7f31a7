"""Converts errors to JSON problems (RFC 9457), with `where` in the body."""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from exporter.api import schemas
from exporter.errors import RequestError, UnavailableError
from exporter.formats.texts import printable

log = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
MAX_TEXT_LENGTH = 10_000
STORE_SECONDS = 5  # until a request for which the store failed may be sent again


def refusal(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {PROBLEM_TYPE: {"schema": schemas.schema_reference(schemas.Problem)}},
    }


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: refusal(text)
    for status, text in {
        401: "The token is missing or wrong.",
        403: "The token lacks a scope; or no token is set, and the request is from another site or machine, "
        "or for an unknown host name.",
        404: "The model, version or alias is not monitored, and `detail` lists what is; or no such action.",
        408: "The body did not arrive in time; send it again, or in parts.",
        409: "The action is in another state, which `detail` names.",
        413: "The body or the batch is too large.",
        415: "An unknown content type, or a body that is compressed otherwise than by gzip.",
        421: "Another shard has the model, `shard` of `shards`; or this exporter takes no samples.",
        422: "Malformed, at the place `where`. Nothing of the request counts.",
        429: "The queue is full; try again after `Retry-After`.",
        503: "The version or the store is not ready; try again after `Retry-After`.",
    }.items()
}


def problem(
    status: int,
    title: str,
    detail: str,
    where: str = "",
    headers: dict[str, str] | None = None,
    members: Mapping[str, object] = MappingProxyType({}),
) -> Response:
    """Return a response with a problem; quotations from the request are escaped and truncated."""
    content = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": _quotable(detail),
        **members,
    }
    if where:
        content["where"] = _quotable(where)
    return Response(orjson.dumps(content), status, headers, media_type=PROBLEM_TYPE)


def _quotable(text: str) -> str:
    """Return the text, truncated, with lone surrogates escaped, which JSON cannot hold."""
    return text[:MAX_TEXT_LENGTH].encode("utf-8", "backslashreplace").decode()


async def on_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if error.status == http.HTTPStatus.REQUEST_TIMEOUT:
        headers["Connection"] = "close"  # the rest of the body may still come, and is not a request
    if error.status == http.HTTPStatus.UNAUTHORIZED:
        # A browser asks the person for a token only if it gets a page.
        page = "text/html" in request.headers.get("accept", "")
        headers["WWW-Authenticate"] = 'Basic realm="mlflow-exporter", charset="UTF-8"' if page else "Bearer"
    return problem(error.status, error.title, error.detail, error.where, headers, error.members)


async def on_store_error(request: Request, error: Exception) -> Response:
    """Answer a request for which the store failed; nothing of it was stored."""
    log.error("%s %s: %s", request.method, printable(request.url.path), error)
    return await on_request_error(request, UnavailableError(str(error), retry_after_seconds=STORE_SECONDS))


async def on_http_error(_: Request, error: Exception) -> Response:
    """Answer what the framework refuses: an unknown path or method."""
    assert isinstance(error, HTTPException)
    title = http.HTTPStatus(error.status_code).phrase
    return problem(error.status_code, title, str(error.detail), headers=dict(error.headers or {}))


async def on_disconnect(_: Request, __: Exception) -> Response:
    """Answer a client that disconnected within its body, which will not be read."""
    return problem(400, "Incomplete", "the body is incomplete")


async def on_any_error(_: Request, error: Exception) -> Response:
    log.error("internal error", exc_info=error)
    return problem(500, "Internal error", f"{type(error).__name__}; the log says more")

"""Who may ask."""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from exporter.errors import ForbiddenError, UnauthorizedError
from exporter.service import Service


def authorizer(service: Service) -> Any:
    """A dependency: whoever has the token; where none is set everybody but other sites' pages."""
    path = service.settings.api_token_file
    token = Path(path).read_text("utf-8").strip().encode() if path else b""

    async def authorize(request: Request) -> None:  # async, or it would run in a thread
        given = request.headers.get("authorization", "").encode()
        if token and not hmac.compare_digest(given, b"Bearer " + token):
            raise UnauthorizedError("send `Authorization: Bearer <token>`")
        origin = request.headers.get("origin")
        if not token and origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            raise ForbiddenError("without a token not from other sites' pages: set EXPORTER_API_TOKEN_FILE")

    return authorize


def local_without_token(service: Service) -> Any:
    """A dependency: where no token is set only programs of this machine."""
    token_set = bool(service.settings.api_token_file)

    async def check(request: Request) -> None:
        local = request.client is not None and _is_loopback(request.client.host)
        if not token_set and not local:
            raise ForbiddenError("without a token only from loopback: set EXPORTER_API_TOKEN_FILE")

    return check


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

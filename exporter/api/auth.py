"""Authorization of requests.

Without a token every client that reaches the exporter has access, except web pages: pages of other sites are
recognized by `Origin`, and pages whose name was made to resolve to this machine (DNS rebinding) by `Host`.
With tokens, people's browsers send theirs as the password of Basic authentication, after asking for it. They
send it along with requests of foreign pages, so it is accepted for reading only.
Starlette's `TrustedHostMiddleware` would apply to all routes, and Prometheus scrapes by service names.
"""

from __future__ import annotations

import re
import socket
from base64 import b64decode
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from exporter.api.intake import Guarded
from exporter.errors import ForbiddenError, UnauthorizedError
from exporter.tokens import Scope, Token, find_token

_HOST = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<name>[^\[\]:@/?#,\s]+))(?::[0-9]*)?")
_SHOWN_CHARACTERS = 100  # of a refused name


def authorizer(service: Guarded, scope: Scope | None = None, *, named: bool = False) -> Any:
    """Return a dependency that requires a token or, if none is set, refuses web pages of other sites.

    It sets `request.state.actor` to the name of the token, or to `anonymous@` and the address, and
    `request.state.token` to the token or to None.

    Args:
        scope: that the token has to have; None for every token.
        named: require a token with a name of its own, so that it is known who it was.
    """
    external = urlsplit(service.settings.own_url).hostname or ""
    configured = filter(None, (service.settings.host, external, *service.settings.allowed_hosts))
    names = (*own_names(socket.gethostname()), *map(str.lower, configured))

    async def authorize(request: Request) -> None:  # async, or it would run in a thread
        request.state.actor, request.state.token = anonymous(request), None
        if service.tokens:
            token = _authenticate(request, service.tokens)
            request.state.actor, request.state.token = token.name, token
            if not token.may(scope):
                raise ForbiddenError(f"the token {token.name} lacks the scope `{scope}`")
            if named and not token.named:
                raise ForbiddenError("this needs a token with a name, from EXPORTER_API_TOKENS_FILE")
            return
        if named:
            raise ForbiddenError("this needs a token with a name: set EXPORTER_API_TOKENS_FILE")
        _refuse_pages(request, names)

    return authorize


def anonymous(request: Request) -> str:
    """Return the actor of a request without a token."""
    return f"anonymous@{request.client.host if request.client else 'unknown'}"


def told_by(request: Request, by: str) -> str:
    """Return the actor of an authorized request that says by whom it is."""
    return f"{request.state.actor} ({by})"


def _authenticate(request: Request, tokens: tuple[Token, ...]) -> Token:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic" and request.method in ("GET", "HEAD"):
        given = _password(given)
    elif scheme.lower() != "bearer":
        given = ""
    token = find_token(tokens, given.strip()) if given else None
    if token is None:
        raise UnauthorizedError("send `Authorization: Bearer <token>`")
    return token


def _password(credentials: str) -> str:
    """Return the password of Basic authentication; empty if it cannot be read."""
    try:
        return b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _refuse_pages(request: Request, names: tuple[str, ...]) -> None:
    hosts = request.headers.getlist("host")
    for host in filter(None, hosts):
        if not leads_here(host, names):
            raise ForbiddenError(
                f"the host name {_without_port(host)[:_SHOWN_CHARACTERS]!r} is not allowed without a "
                "token: add it to EXPORTER_ALLOWED_HOSTS, or set EXPORTER_API_TOKEN_FILE"
            )
    origins = {each.partition("://")[2].lower() for each in request.headers.getlist("origin")}
    if origins and (not any(hosts) or origins != {host.lower() for host in hosts}):
        raise ForbiddenError(
            "pages of other sites are not allowed without a token: set EXPORTER_API_TOKEN_FILE"
        )


def own_names(hostname: str) -> tuple[str, ...]:
    """Return patterns of host names that always mean this machine.

    >>> own_names("ML01.example.org")
    ('localhost', '*.localhost', 'ml01.example.org', 'ml01', 'ml01.local')
    """
    full = hostname.lower()
    short = full.partition(".")[0]
    return ("localhost", "*.localhost", *dict.fromkeys((full, short, f"{short}.local")))


@lru_cache(maxsize=64)
def leads_here(host: str, names: tuple[str, ...]) -> bool:
    """Return true if a `Host` header matches a name, or is an address, which DNS rebinding cannot redirect.

    >>> leads_here("LOCALHOST.:80", ("localhost",)), leads_here("[::1]:80", ()), leads_here("10.0.0.7", ())
    (True, True, True)
    >>> leads_here("evil.example", ("localhost",)), leads_here("[::1].evil.example", ("localhost",))
    (False, False)
    """
    parts = _HOST.fullmatch(host)
    if parts is None:
        return False
    if parts["ipv6"]:
        return _is_address(parts["ipv6"])
    name = parts["name"].lower().removesuffix(".")
    return _is_address(name) or any(fnmatchcase(name, pattern) for pattern in names)


def _without_port(host: str) -> str:
    """Return a `Host` header as `EXPORTER_ALLOWED_HOSTS` takes it; unchanged if malformed."""
    parts = _HOST.fullmatch(host)
    return parts["name"].lower().removesuffix(".") if parts and parts["name"] else host


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def local_without_token(service: Guarded) -> Any:
    """Return a dependency that refuses other machines if no token is set."""

    async def check(request: Request) -> None:
        local = request.client is not None and _is_loopback(request.client.host)
        if not service.tokens and not local:
            raise ForbiddenError(
                "without a token this is allowed from the exporter's own machine only: "
                "set EXPORTER_API_TOKEN_FILE"
            )

    return check


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

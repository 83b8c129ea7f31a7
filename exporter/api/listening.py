"""Binds the addresses to listen on, before anything else starts."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from exporter.errors import ListenError
from exporter.settings import Settings


@contextmanager
def bound_sockets(settings: Settings) -> Iterator[list[socket.socket]]:
    """Sockets bound to all addresses of the host, not listening yet, and closed at the end.

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
        return "this is no name of a host"
    if error.errno == errno.EADDRINUSE:
        return "another program uses this port; choose another with EXPORTER_PORT or --port"
    return error.strerror or str(error)

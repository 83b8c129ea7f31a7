"""Free ports for servers that take a while until they listen."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

ATTEMPTS = 100


@contextmanager
def claim_ports(count: int) -> Iterator[list[int]]:
    """Several free TCP ports on loopback, which no other test gets until the block ends.

    The claim on a port is the UDP socket of its number: it does not disturb the server, and ends with the
    process.
    """
    with ExitStack() as claims:
        with ExitStack() as held:  # all at once, or the kernel may hand out the same one twice
            ports = [_claim(held, claims) for _ in range(count)]
        yield ports


def _claim(held: ExitStack, claims: ExitStack) -> int:
    for _ in range(ATTEMPTS):
        listener = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        address: tuple[str, int] = listener.getsockname()
        try:
            claims.enter_context(socket.socket(type=socket.SOCK_DGRAM)).bind(address)
        except OSError:
            continue
        return address[1]
    raise OSError(f"no free port on loopback in {ATTEMPTS} attempts")

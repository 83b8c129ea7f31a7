"""Ports for servers that take a while until they listen."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain, repeat

ATTEMPTS = 100


@contextmanager
def claim_ports(preferred: Sequence[int]) -> Iterator[list[int]]:
    """TCP ports on loopback: the preferred ones where nobody listens, others where somebody does (0: any).

    Whoever else chooses ports in this way leaves them alone until the block ends. The claim on a port is the
    UDP socket of its number: in no server's way, of one process only, and gone with it.
    """
    with ExitStack() as claims:
        with ExitStack() as held:  # all at once, or the kernel may hand out the same one twice
            ports = [_claim(port, held, claims) for port in preferred]
        yield ports


def _claim(preferred: int, held: ExitStack, claims: ExitStack) -> int:
    for port in chain([preferred], repeat(0, ATTEMPTS)):
        try:
            listener = held.enter_context(socket.socket())
            # As the servers do it: connections of an earlier demo that linger do not count as taken.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen()  # with SO_REUSEADDR, only this finds out that somebody listens already
            address: tuple[str, int] = listener.getsockname()
            claims.enter_context(socket.socket(type=socket.SOCK_DGRAM)).bind(address)
        except OSError:
            continue
        return address[1]
    raise OSError(f"no free port on loopback in {ATTEMPTS} attempts")

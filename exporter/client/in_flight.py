"""Number of requests that a process is answering."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class InFlight:
    """The requests that the process is answering; threads and tasks enter and leave without a lock."""

    def __init__(self) -> None:
        self._requests: set[object] = set()

    def __len__(self) -> int:
        return len(self._requests)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request until the block ends."""
        request = object()
        self._requests.add(request)
        try:
            yield
        finally:
            self._requests.discard(request)

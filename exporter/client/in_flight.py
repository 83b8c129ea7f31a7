"""Number of requests that a process is answering."""

from __future__ import annotations


class InFlight:
    """The requests that the process is answering; threads and tasks enter and leave without a lock.

    `counted` is false until the first one: nothing in the service may count them.
    """

    def __init__(self) -> None:
        self._requests: set[_Request] = set()
        self.counted = False

    def __len__(self) -> int:
        return len(self._requests)

    def request(self) -> _Request:
        """Return a context in which a request counts."""
        self.counted = True
        return _Request(self._requests)


class _Request:
    __slots__ = ("_all",)

    def __init__(self, requests: set[_Request]) -> None:
        self._all = requests

    def __enter__(self) -> None:
        self._all.add(self)

    def __exit__(self, *_: object) -> None:
        self._all.discard(self)

"""Waiting room, in which a half waits for the other half of its exchange; bounded in number and bytes.

An id that comes again with other content before its exchange is complete cannot be told apart: none of its
halves is taken until the first one has expired. An event that comes again, since brokers retry, is recognized
for as long as a half may wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from threading import Lock
from typing import Literal

from exporter.capture.events import Event

MAX_HALVES = 50_000
MAX_BYTES = 64 * 2**20
HALF_BYTES = 1500  # memory of a half beside its body, with attributes of usual length
USUAL_CHARACTERS = 300
CHARACTER_BYTES = 4
MAX_REMEMBERED = 100_000  # complete exchanges

# waits: its other half is not there yet; duplicate: the same came before; reused: its id came before with
# other content; overflow: it takes more than there is room for.
Arrival = Literal["waits", "duplicate", "reused", "overflow"]


@dataclass(frozen=True)
class Exchange:
    """A request and its response; `first` is the one that came first."""

    request: Event
    response: Event
    first: Event

    @property
    def second(self) -> Event:
        return self.response if self.first is self.request else self.request


@dataclass
class Waiting:
    """A half that has waited since a time.

    `reused`: its id came again with other content; `refused`: its other half came, and could not be taken.
    """

    event: Event
    since: float
    reused: bool = False
    refused: bool = False

    @property
    def size_bytes(self) -> int:
        unusual = max(self.event.characters - USUAL_CHARACTERS, 0)
        return HALF_BYTES + CHARACTER_BYTES * unusual + len(self.event.body)


@dataclass(frozen=True)
class _Complete:
    at: float
    request: bytes  # digests
    response: bytes

    def has(self, event: Event) -> bool:
        return event.digest == (self.request if event.half == "request" else self.response)


class WaitingRoom:
    """Halves by the key of their exchange. Methods may be called from any thread.

    Args:
        monotonic: clock, in seconds.
        overflowed: called for each half that has to make room for others.
    """

    def __init__(self, monotonic: Callable[[], float], overflowed: Callable[[Event], None]) -> None:
        self.wait_seconds = 60.0
        self._monotonic = monotonic
        self._overflowed = overflowed
        self._lock = Lock()
        # Both in the order of their times, since dictionaries keep that of insertion.
        self._waiting: dict[bytes, Waiting] = {}
        self._complete: dict[bytes, _Complete] = {}
        self._bytes = 0

    @property
    def halves(self) -> int:
        return len(self._waiting)

    @property
    def size_bytes(self) -> int:
        """Memory of the halves, in bytes."""
        return self._bytes

    def meet(self, event: Event) -> Exchange | Arrival:
        """Return the exchange that a half completes, or else what becomes of the half."""
        with self._lock:
            now, key = self._monotonic(), event.key
            found = self._waiting.get(key)
            if found is None:
                complete = self._complete.get(key)
                repeated = complete is not None and complete.has(event)
                return "duplicate" if repeated else self._enter(Waiting(event, now))
            if found.reused:
                return "reused"
            if found.event.half == event.half:
                if found.event.digest == event.digest:
                    return "duplicate"
                found.reused = True
                return "reused"
            self._remove(key)
            request, response = (event, found.event) if event.half == "request" else (found.event, event)
            self._complete.pop(key, None)
            self._complete[key] = _Complete(now, request.digest, response.digest)
            if len(self._complete) > MAX_REMEMBERED:
                del self._complete[next(iter(self._complete))]
            return Exchange(request, response, found.event)

    def take_back(self, exchange: Exchange) -> None:
        """Let the first half of an exchange wait again: the second, which is refused now, may come again."""
        with self._lock:
            self._complete.pop(exchange.first.key, None)
            if exchange.first.key not in self._waiting:
                self._enter(Waiting(exchange.first, self._monotonic(), refused=True))

    def expire(self) -> list[Waiting]:
        """Remove and return the halves that have waited too long."""
        with self._lock:
            until = self._monotonic() - self.wait_seconds
            due = [*takewhile(lambda item: item[1].since <= until, self._waiting.items())]
            for key, _ in due:
                self._remove(key)
            for key, _ in [*takewhile(lambda item: item[1].at <= until, self._complete.items())]:
                del self._complete[key]
            return [waiting for _, waiting in due]

    def _enter(self, waiting: Waiting) -> Arrival:
        if waiting.size_bytes > MAX_BYTES:
            return "overflow"
        while len(self._waiting) >= MAX_HALVES or self._bytes + waiting.size_bytes > MAX_BYTES:
            self._overflowed(self._remove(next(iter(self._waiting))).event)
        self._waiting[waiting.event.key] = waiting
        self._bytes += waiting.size_bytes
        return "waits"

    def _remove(self, key: bytes) -> Waiting:
        waiting = self._waiting.pop(key)
        self._bytes -= waiting.size_bytes
        return waiting

"""Queue of what is to be sent, bounded in rows and bytes. Putting something in it never waits."""

from __future__ import annotations

from collections import deque
from threading import Event, RLock
from typing import Any, Literal, NamedTuple

TAKE_BYTES = 8 * 2**20  # that are read at once, by what they may unpack to

Kind = Literal["prediction", "label"]


class Entry(NamedTuple):
    """Rows in the queue: `content` is a row, or an item that makes its columns later.

    `queued_at` is on the monotonic clock, `called_at` is the time of the call, in seconds since the epoch.
    """

    kind: Kind
    rows: int
    size_bytes: int
    queued_at: float
    called_at: float
    content: Any


class Outbox:
    """Entries in the order of their calls; `wake` is set when the thread that sends them has to look.

    Args:
        max_rows: that wait at once.
        max_bytes: that they may take, by their estimates.
        batch_rows: with so many the thread need not wait for more.
    """

    def __init__(self, max_rows: int, max_bytes: int, batch_rows: int) -> None:
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._batch_rows = batch_rows
        self._waiting: dict[Kind, deque[tuple[int, Entry]]] = {"prediction": deque(), "label": deque()}
        self._lock = RLock()  # a signal handler may predict as well
        self.wake = Event()
        self.rows = 0
        self.size_bytes = 0
        self.entered = 0  # entries so far, which is the number of the next

    def put(self, entry: Entry) -> bool:
        """Put an entry at the end, and return true; false if it has no room."""
        with self._lock:
            before = self.rows
            if before + entry.rows > self._max_rows or self.size_bytes + entry.size_bytes > self._max_bytes:
                return False
            self._waiting[entry.kind].append((self.entered, entry))
            self.rows += entry.rows
            self.size_bytes += entry.size_bytes
            self.entered += 1
            full = before < self._batch_rows <= self.rows
        if not before or full:
            self.wake.set()
        return True

    def take(self, rows: int) -> list[Entry]:
        """Take the oldest entries of one kind, of `rows` rows or a little more; fewer if they are large."""
        taken: list[Entry] = []
        size = TAKE_BYTES
        with self._lock:
            waiting = min(self._waiting.values(), key=lambda each: each[0][0] if each else self.entered)
            while waiting and rows > 0 and size > 0:
                _, entry = waiting.popleft()
                taken.append(entry)
                rows -= entry.rows
                size -= getattr(entry.content, "unpacked_bytes", entry.size_bytes)
                self.rows -= entry.rows
                self.size_bytes -= entry.size_bytes
        return taken

    @property
    def oldest(self) -> tuple[int, float | None]:
        """Number of the oldest entry, and its time on the monotonic clock; without one that of the next, and
        None."""
        with self._lock:
            heads = [each[0] for each in self._waiting.values() if each]
            if not heads:
                return self.entered, None
            number, entry = min(heads, key=lambda head: head[0])
            return number, entry.queued_at

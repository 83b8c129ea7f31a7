"""The time by which stored data expire."""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.store import Store

# Of the time that passes. What expired while the exporter was off is gone as long after its start as it was.
SPEED = 2.0


class RetentionClock:
    """The clock, but for jumps: it goes on from where it was, and at most at twice the speed of time.

    A clock that is wrong for an hour would otherwise delete everything. Rows are no measure of it: most get
    their time from the same clock. What expires later than it could does no harm, since rows that are too old
    are told by the clock itself.
    """

    def __init__(self, store: Store, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._passed = monotonic()
        self._at: float | None = None

    def advance(self, now: float) -> float:
        """The time up to which data may have expired, in seconds since the epoch; at most `now`, the clock's.

        Raises:
            StoreError: where it was cannot be read.
        """
        before = self._at if self._at is not None else self._store.load_retention(now)
        passed = self._monotonic()
        self._at, self._passed = min(now, before + SPEED * (passed - self._passed)), passed
        return self._at

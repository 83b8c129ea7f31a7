"""Clock by which stored data expire."""

from __future__ import annotations

from collections.abc import Callable

from exporter.storage.store import Store

# Times the speed of time. Data that expired while the exporter was off are deleted within as long again.
SPEED = 2.0


class RetentionClock:
    """Clock without jumps: it goes on from its last time, at most at twice the speed of time.

    A clock that is wrong for an hour would otherwise delete everything. Rows are no measure of it: most get
    their time from the same clock. Late expiry does no harm, since rows that are too old are refused by the
    clock itself.
    """

    def __init__(self, store: Store, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._passed = monotonic()
        self._at: float | None = None

    def advance(self, now: float) -> float:
        """Time up to which data may have expired, in seconds since the epoch; at most `now`, the clock's.

        Raises:
            StoreError: its last time cannot be read.
        """
        before = self._at if self._at is not None else self._store.load_retention(now)
        passed = self._monotonic()
        self._at, self._passed = min(now, before + SPEED * (passed - self._passed)), passed
        return self._at

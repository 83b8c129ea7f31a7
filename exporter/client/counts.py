"""Counts of rows that were sent and dropped, and the log line and callback that tell of the latter."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from threading import RLock
from typing import Literal

from exporter.formats.texts import printable, redact

logger = logging.getLogger("exporter.client")

LOG_SECONDS = 60.0
MAX_DETAIL = 300  # characters

Reason = Literal[
    "queue_full",  # rows or bytes
    "expired",  # the exporter did not take it for too long
    "refused",  # 413 or 422 for this row
    "unauthorized",  # 401 or 403 for minutes
    "unknown_model",  # 404 for minutes
    "other_shard",  # 421 for minutes
    "unexpected_answer",  # another answer than an exporter's, for minutes
    "invalid",  # arguments of a call
    "exit",  # not sent when the process ended
    "closed",  # after `close`
]


def describe(error: Exception) -> str:
    """Return the type and text of an error, which may be of a class that has no text."""
    name = type(error).__name__
    try:
        return f"{name}: {error}"
    except Exception:  # noqa: BLE001 - of the foreign class
        return name


class Counts:
    """Rows that were sent, by kind, and dropped, by reason. `unsendable` counts values that went as missing.

    Args:
        on_drop: is called with a reason and a number of rows, on the background thread.
    """

    def __init__(self, on_drop: Callable[[str, int], object] | None) -> None:
        self._on_drop = on_drop
        self._lock = RLock()
        self._sent: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._untold: Counter[str] = Counter()
        self._unlogged: Counter[str] = Counter()
        self._details: dict[str, str] = {}
        self._log_at = 0.0
        self.unsendable = 0

    @property
    def sent(self) -> dict[str, int]:
        with self._lock:
            return dict(self._sent)

    @property
    def dropped(self) -> dict[str, int]:
        with self._lock:
            return dict(self._dropped)

    def send(self, kind: str, rows: int) -> None:
        """Count rows that the exporter took."""
        with self._lock:
            self._sent[kind] += rows

    def drop(self, reason: str, rows: int, detail: str = "") -> bool:
        """Count rows that are lost, and return true if they are the first that are not told yet."""
        with self._lock:
            first = not self._untold
            for counter in (self._dropped, self._untold, self._unlogged):
                counter[reason] += rows
            if detail:
                self._details[reason] = detail[:MAX_DETAIL]
            return first

    def tell(self, now: float, *, last: bool = False) -> float | None:
        """Call `on_drop`, write the log line if it is due, and return the seconds until the next is due."""
        with self._lock:
            untold, self._untold = self._untold, Counter()
            due = bool(self._unlogged) and (last or now >= self._log_at)
            if due:
                unlogged, self._unlogged = self._unlogged, Counter()
                details, self._details = self._details, {}
                self._log_at = now + LOG_SECONDS
            wait = self._log_at - now if self._unlogged else None
        if due:
            parts = [
                f"{rows} {reason}" + (f" ({details[reason]})" if reason in details else "")
                for reason, rows in sorted(unlogged.items())
            ]
            logger.warning("rows that were not sent to the exporter: %s", printable(redact("; ".join(parts))))
        if self._on_drop is not None:
            for reason, rows in untold.items():
                try:
                    self._on_drop(reason, rows)
                except Exception:
                    logger.debug("on_drop failed", exc_info=True)
        return wait

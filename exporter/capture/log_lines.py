"""One log line a minute for each thing that happens again and again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from exporter.formats.texts import cut, printable

INTERVAL_SECONDS = 60.0
MAX_LENGTH = 500  # characters of a line


@dataclass
class _Line:
    logged_at: float
    count: int = 0
    last: str = ""


class LogLines:
    """Logs the first event of an outcome at once, and the later ones with their number, once a minute."""

    def __init__(self, log: logging.Logger, monotonic: Callable[[], float]) -> None:
        self._log = log
        self._monotonic = monotonic
        self._lock = Lock()
        self._lines: dict[str, _Line] = {}

    def add(self, outcome: str, detail: str) -> None:
        """Note an event; `outcome` is one of few."""
        with self._lock:
            now = self._monotonic()
            line = self._lines.get(outcome)
            if line is None or (not line.count and now - line.logged_at >= INTERVAL_SECONDS):
                self._lines[outcome] = _Line(now)
                self._log.warning("an event is %s: %s", outcome, cut(printable(detail), MAX_LENGTH))
                return
            line.count += 1
            line.last = detail

    def write(self) -> None:
        """Log what was noted for a minute."""
        with self._lock:
            now = self._monotonic()
            for outcome, line in self._lines.items():
                if line.count and now - line.logged_at >= INTERVAL_SECONDS:
                    shown = cut(printable(line.last), MAX_LENGTH)
                    self._log.warning("%d more events are %s, the last: %s", line.count, outcome, shown)
                    self._lines[outcome] = _Line(now)

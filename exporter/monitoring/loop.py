"""A background loop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


class Loop:
    """Thread that does `work` every `interval_seconds`, and when it is woken. A failure is logged, and the
    loop goes on.

    It is a daemon: a call of MLflow that hangs must not keep the process from ending.
    """

    def __init__(self, name: str, work: Callable[[], None], interval_seconds: float) -> None:
        self._name = name
        self._work = work
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._due = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Have the work done now, or once more after that which is being done."""
        self._due.set()

    def stop(self) -> None:
        """Let the thread end after its current work."""
        self._stopping.set()
        self._due.set()

    def join(self, timeout_seconds: float) -> None:
        """Wait at most this long for the thread to end."""
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def alive(self) -> bool:
        return self._thread.is_alive()

    def _repeat(self) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            self._due.clear()
            if self._stopping.is_set():  # since the line above was reached
                return
            try:
                self._work()
            except Exception:
                if not self._stopping.is_set():
                    log.exception("the %s loop failed and goes on", self._name)
            self._due.wait(max(0.0, self._interval_seconds - (time.monotonic() - started)))

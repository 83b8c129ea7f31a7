"""Waits for other programs."""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.errors import DemoError

WAIT_SECONDS = 120.0  # for MLflow, and for the exporter's next poll and each reference


def wait_until(ready: Callable[[], bool], problem: str, seconds: float = WAIT_SECONDS) -> None:
    """Call `ready` until it returns true.

    Raises:
        DemoError: it did not in time; the message is `problem`.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise DemoError(problem)
        time.sleep(0.2)

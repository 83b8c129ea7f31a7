"""Work in a thread, beside a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread


@contextmanager
def running(work: Callable[[], None], stop: Event) -> Iterator[None]:
    """Have a thread work until the block ends; `stop` tells it to end."""
    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()

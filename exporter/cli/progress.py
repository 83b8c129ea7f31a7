"""Shows how far a push is: a bar at a terminal where `rich` is installed, else a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING

from exporter.formats.texts import printable

if TYPE_CHECKING:
    from exporter.push.outcome import Outcome
    from exporter.push.push import Progress
    from exporter.push.sources import Source

LINE_SECONDS = 10.0


class State:
    """Progress by the bytes of the files that were read and the rows that were answered."""

    def __init__(self, sources: Sequence[Source], outcome: Outcome) -> None:
        sizes = [source.size_bytes for source in sources]
        self._before = dict(zip([each.name for each in sources], accumulate(sizes, initial=0), strict=False))
        self._total = max(1, sum(sizes))
        self._outcome = outcome
        self._started = time.monotonic()
        self.share = 0.0

    def update(self, source: Source, share: float) -> None:
        self.share = (self._before[source.name] + share * source.size_bytes) / self._total

    @property
    def text(self) -> str:
        rows, seconds = self._outcome.rows, max(time.monotonic() - self._started, 1e-9)
        waits = f"; waiting, {self._outcome.waits_for}" if self._outcome.waits_for else ""
        return printable(f"{self.share:.0%}, {rows:,} rows, {rows / seconds:,.0f} rows/s{waits}")


@contextmanager
def shown_progress(sources: Sequence[Source], outcome: Outcome) -> Iterator[Progress]:
    """Context in which the function that it gives is called with what has been read."""
    state = State(sources, outcome)
    with _bar(state) if _has_bar() else _lines(state):
        yield state.update


def _has_bar() -> bool:
    try:
        import rich.progress  # noqa: F401
    except ModuleNotFoundError:
        return False
    return sys.stderr.isatty()


@contextmanager
def _bar(state: State) -> Iterator[None]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task
    from rich.text import Text

    class Share(BarColumn):
        def render(self, task: Task):  # type: ignore[no-untyped-def]
            task.completed = state.share
            return super().render(task)

    class Line(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(state.text)

    with Progress(Share(), Line(), console=Console(stderr=True), transient=True) as shown:
        shown.add_task("", total=1.0)
        yield


@contextmanager
def _lines(state: State) -> Iterator[None]:
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(LINE_SECONDS):
            print(state.text, file=sys.stderr, flush=True)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

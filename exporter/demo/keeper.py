"""Cleans up after the demo, whatever ends it: `python keeper.py DIRECTORY`, run as a process of its own.

It reads process-group ids, one a line, from standard input. When that is closed, because the demo is done or
was killed, it ends the groups and removes the directory. Groups, since `mlflow server` starts another process
that can outlive it; a process of its own, since nobody cleans up after SIGKILL; with nothing but the standard
library, so that it starts at once.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

GRACE_SECONDS = 5.0


def clean_up(groups: Iterable[int], directory: Path) -> None:
    """End the process groups, those that do not listen by force, and remove the directory."""
    alive = [group for group in groups if _signal(group, signal.SIGTERM)]
    deadline = time.monotonic() + GRACE_SECONDS
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = [group for group in alive if _signal(group, 0)]
    for group in alive:
        _signal(group, signal.SIGKILL)
    shutil.rmtree(directory, ignore_errors=True)


def _signal(group: int, number: int) -> bool:
    """Whether there was somebody to hear it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    clean_up([int(line) for line in sys.stdin], Path(sys.argv[1]))

"""Child processes that never outlive the demo.

Run as `python -m exporter.demo.processes DIRECTORY` it is the process that cleans up, whatever ended the
demo, SIGKILL included: when its standard input is closed it ends the process groups that were written to it,
one id a line, and removes the directory.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from exporter.errors import DemoError

GRACE_SECONDS = 5.0
LOG_LINES = 15  # in the message about a process that ended


class Processes:
    """Context manager of child processes, and of a directory for their logs and temporary files.

    Each child leads a process group of its own: `mlflow server` starts processes that can outlive it, and
    Ctrl-C at the terminal reaches the demo alone.
    """

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Processes:
        self.directory = Path(tempfile.mkdtemp(prefix="mlflow-exporter-demo-"))
        self._cleaner = subprocess.Popen(
            [sys.executable, "-m", "exporter.demo.processes", str(self.directory)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # out of reach of what ends the demo
        )
        return self

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a program that runs until the block ends."""
        with self._log(name).open("wb") as log:
            process = subprocess.Popen(
                command,
                env={**environment, "TMPDIR": str(self.directory)},
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self._running[name] = process
        assert self._cleaner.stdin is not None
        self._cleaner.stdin.write(b"%d\n" % process.pid)
        self._cleaner.stdin.flush()

    def check(self) -> None:
        """Check that all programs are running.

        Raises:
            DemoError: one has ended; the message has the last lines of its log.
        """
        for name, process in self._running.items():
            if process.poll() is not None:
                lines = self.output(name).splitlines()[-LOG_LINES:] or ["(it wrote nothing)"]
                end = "\n".join(f"    {line}" for line in lines)
                raise DemoError(f"{name} ended by itself with status {process.returncode}:\n\n{end}")

    def output(self, name: str) -> str:
        """Return what a program has written so far."""
        return self._log(name).read_text(errors="replace")

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def __exit__(self, *error: object) -> None:
        assert self._cleaner.stdin is not None
        self._cleaner.stdin.close()
        for process in self._running.values():
            process.wait()  # reaped, or the cleaner would wait for zombies
        self._cleaner.wait()


def clean_up(groups: Iterable[int], directory: Path, grace_seconds: float = GRACE_SECONDS) -> None:
    """Terminate the process groups, kill what is left of them after the grace, and remove the directory."""
    alive = [group for group in groups if _signal(group, signal.SIGTERM)]
    deadline = time.monotonic() + grace_seconds
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = [group for group in alive if _signal(group, 0)]
    for group in alive:
        _signal(group, signal.SIGKILL)
    shutil.rmtree(directory, ignore_errors=True)


def _signal(group: int, number: int) -> bool:
    """Signal a process group; return false if it is gone."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    clean_up([int(line) for line in sys.stdin], Path(sys.argv[1]))

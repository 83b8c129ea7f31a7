"""Starts the demo's processes, notices when one dies, and leaves none behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from exporter.demo import keeper
from exporter.demo.errors import ProcessDiedError

LOG_LINES = 15


class Processes:
    """Processes that end with the block, however it ends, and a directory that goes with them.

    Each is the leader of a process group of its own: Ctrl-C at the terminal reaches the demo alone, which
    then ends them all. Their output goes to `<name>.log` in the directory, and so do their temporary files.
    """

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Processes:
        self.directory = Path(tempfile.mkdtemp(prefix="mlflow-exporter-demo-"))
        try:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", keeper.__file__, str(self.directory)],
                stdin=subprocess.PIPE,
                text=True,
                start_new_session=True,  # out of reach of what ends the demo
            )
        except BaseException:
            shutil.rmtree(self.directory)
            raise
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
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(f"{process.pid}\n")
        self._keeper.stdin.flush()

    def check(self) -> None:
        """See that all are there.

        Raises:
            ProcessDiedError: one has ended; the message has the last lines of its log.
        """
        if self._keeper.poll() is not None:
            raise ProcessDiedError("the process that cleans up after the demo ended by itself")
        for name, process in self._running.items():
            if process.poll() is not None:
                lines = self.output(name).splitlines()[-LOG_LINES:] or ["(it wrote nothing)"]
                end = "\n".join(f"    {line}" for line in lines)
                raise ProcessDiedError(f"{name} ended by itself with status {process.returncode}:\n\n{end}")

    def output(self, name: str) -> str:
        """What a process has written so far."""
        return self._log(name).read_text(errors="replace")

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        if self._keeper.poll() is not None:  # it cannot do it any more
            keeper.clean_up([process.pid for process in self._running.values()], self.directory)
        # Reaped one by one, or the keeper would see them as zombies and wait for nothing.
        for process in self._running.values():
            process.wait()
        self._keeper.wait()

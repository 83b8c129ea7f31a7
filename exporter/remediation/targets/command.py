"""A command on the exporter's own machine, for demonstrations.

A directory of its own for each action says that it was started, since `mkdir` succeeds once. The command gets
the body as JSON on its standard input; its output and its exit status are kept in the directory.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from threading import Thread
from typing import Any

import orjson

from exporter.config.targets import Command
from exporter.remediation.targets.outcome import Dispatch, Job, Progress


class LocalCommand:
    """Runs of a command, one an action."""

    def __init__(self, config: Command) -> None:
        self._config = config

    def dispatch(self, job: Job, body: Any) -> Dispatch:
        """Start the command, unless it was started for this action before."""
        directory = self._directory(job)
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            directory.mkdir()
        except FileExistsError:
            return Dispatch("accepted", run=job.action_id)
        except OSError as error:
            return Dispatch("refused", reason=f"{directory}: {error.strerror}")
        try:
            with (directory / "output").open("wb") as output:
                process = subprocess.Popen(  # noqa: S603 - the command of the configuration file, without a shell
                    self._config.command,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            self._end(directory, f"failed to start: {error.strerror}")
            return Dispatch("refused", reason=f"{self._config.command[0]}: {error.strerror}")
        Thread(
            target=self._attend, args=(process, orjson.dumps(body), directory), name="command", daemon=True
        ).start()
        return Dispatch("accepted", run=job.action_id)

    def follow(self, job: Job) -> Progress:
        """State of the command of an action."""
        directory = self._directory(job)
        if not directory.is_dir():
            return Progress("missing", "it was not started")
        try:
            status = (directory / "status").read_text("utf-8")
        except FileNotFoundError:
            return Progress("running")
        return Progress("succeeded" if status == "0" else "failed", f"exit status {status}")

    def _attend(self, process: subprocess.Popen[bytes], body: bytes, directory: Path) -> None:
        try:
            process.communicate(body, timeout=self._config.timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with its own children
            process.wait()
        self._end(directory, str(process.returncode))

    def _end(self, directory: Path, status: str) -> None:
        written = directory / "status.new"
        written.write_text(status, "utf-8")
        written.replace(directory / "status")

    def _directory(self, job: Job) -> Path:
        return Path(self._config.directory) / job.action_id

"""The parent's side: child processes that are started on demand, asked, and replaced when they fail."""

from __future__ import annotations

import atexit
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Semaphore, Timer
from types import MappingProxyType
from typing import Any

from exporter import errors
from exporter.errors import (
    CrashedError,
    MemoryExceededError,
    RequestError,
    TimeExceededError,
    UnavailableError,
)
from exporter.isolation.confinement import landlock_version
from exporter.isolation.messages import MessageTooLongError, receive, send

# All that a child sees of the environment: credentials are none of its business.
_ENVIRONMENT = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "TMPDIR",
    "TZ",
)
# Each thread and each allocator of its own would reserve address space, which is what is limited.
_FRUGAL = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    **{f"{library}_NUM_THREADS": "1" for library in ("MKL", "NUMEXPR", "OMP", "OPENBLAS")},
}


class Children:
    """Up to `count` child processes, each with the same limits. Any thread may call any method.

    Args:
        count: calls that run at the same time; others wait.
        preload: modules that a child imports when it starts.
        memory_bytes: address space of a call, on top of the preloaded modules.
        seconds: duration of a call, with the start of its child.
        answer_bytes: size of a result.
        environment: variables of a child, besides those that every child gets.
        single_use: a child ends with its call, which gives its memory back, and `memory_bytes` are all that
            it may take.
        directory: children are confined to it: they read nothing else but Python and its packages, and have
            no network.
    """

    def __init__(
        self,
        count: int,
        preload: Sequence[str],
        memory_bytes: int,
        seconds: float,
        answer_bytes: int,
        environment: Mapping[str, str] = MappingProxyType({}),
        *,
        single_use: bool = False,
        directory: Path | None = None,
    ) -> None:
        self._preload = tuple(preload)
        self._environment = environment
        self._single_use = single_use
        self._directory = directory
        self._memory_bytes = memory_bytes
        self._seconds = seconds
        self._answer_bytes = answer_bytes
        self._slots = Semaphore(count)
        self._lock = Lock()
        self._idle: list[_Child] = []
        self._closed = False
        atexit.register(self.close)

    def run(self, function: Callable[..., bytes | memoryview], *arguments: Any) -> bytes:
        """The result of a module's function, whose arguments can be pickled.

        Raises:
            IsolationError: memory or time ran out, or the child crashed; the next call gets another one.
            UnavailableError: no child can be started; the function is not at fault.
            ExporterError: as the function raised it.
        """
        request = pickle.dumps((function, arguments), pickle.HIGHEST_PROTOCOL)
        with self._slots:
            child, answer = self._take(), None
            if child is not None:
                # It may end because of an earlier call, or because the kernel chose it when memory ran out.
                with suppress(CrashedError):
                    answer = child.ask(request, self._seconds, self._answer_bytes)
            if child is None or answer is None:
                child = self._start()
                answer = child.ask(request, self._seconds, self._answer_bytes)
            if answer is None:
                raise CrashedError("its process ended without an answer")
            with self._lock:
                self._idle.append(child)
            if self._closed or self._single_use:
                self._end_idle()
        return self._result(*answer)

    def close(self) -> None:
        """End the children; busy ones with their call."""
        self._closed = True
        self._end_idle()

    def _end_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.end()

    def _take(self) -> _Child | None:
        """An idle child that lives, if there is one."""
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.alive():
                    return child
                child.end()
        return None

    def _start(self) -> _Child:
        if self._directory is not None and landlock_version() < 1:
            raise UnavailableError(
                "it takes Landlock, which this machine does not have (Linux 5.13 or newer)"
            )
        try:
            limits = [str(self._memory_bytes), "whole" if self._single_use else "call"]
            limits.append(str(self._directory or ""))
            return _Child([*limits, *self._preload], self._environment, self._directory)
        except OSError as error:  # too many processes or open files, or no memory
            detail = f"no process can be started: {error.strerror}"
            raise UnavailableError(detail, retry_after_seconds=5) from error

    def _result(self, kind: bytes, content: bytes) -> bytes:
        if kind == b"result":
            return content
        if kind == b"memory":
            raise MemoryExceededError(f"it takes more than {self._memory_bytes // 2**20:,} MB of memory")
        # Not unpickled: what it read may have taken the child over.
        name, message, where = json.loads(content)
        error = getattr(errors, name)
        raise error(message, where) if issubclass(error, RequestError) else error(message)


class _Child:
    """A child process, and our end of the connection to it. It ends when this end is closed."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], directory: Path | None) -> None:
        self._connection, theirs = socket.socketpair()
        kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        path = os.pathsep.join(filter(None, sys.path))
        command = [sys.executable, "-P", "-m", "exporter.isolation.child", str(theirs.fileno()), *arguments]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - nothing of it comes from outside
                command,
                env={**kept, **_FRUGAL, **environment, "PYTHONPATH": path},
                cwd=directory,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a terminal's Ctrl-C is for the parent
            )
        except BaseException:
            self._connection.close()
            raise
        finally:
            theirs.close()

    def ask(self, request: bytes, seconds: float, answer_bytes: int) -> tuple[bytes, bytes] | None:
        """The answer, as `child` makes it; None where the child had ended before it took the request.

        Raises:
            TimeExceededError, CrashedError: there is none, and the process has ended.
        """
        expired = Event()

        def expire() -> None:
            expired.set()
            self._kill()

        timer = Timer(seconds, expire)
        timer.daemon = True
        timer.start()
        try:
            send(self._connection, request)
            return receive(self._connection, 100), receive(self._connection, answer_bytes)
        except MessageTooLongError:
            reason = f"its process answers with more than {answer_bytes // 2**20:,} MB"
        except (EOFError, OSError):
            code = self._process.wait()  # the timer still runs
            if code == 0:
                self._connection.close()
                return None
            reason = f"its process ended with {signal.Signals(-code).name if code < 0 else f'status {code}'}"
            if code == -signal.SIGKILL:
                reason += ", as the kernel does when memory runs out"
        finally:
            timer.cancel()
        self.end()
        if expired.is_set():
            raise TimeExceededError(f"it takes longer than {seconds:g} s")
        raise CrashedError(reason)

    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._kill()
        self._process.wait()
        self._connection.close()

    def _kill(self) -> None:
        """End the process with all that it started: it leads a process group."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

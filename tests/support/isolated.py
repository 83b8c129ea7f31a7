"""Functions for child processes, well and badly behaved."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time

from exporter.errors import MalformedError

kept: list[bytes] = []


def pid() -> bytes:
    return str(os.getpid()).encode()


def double(data: bytes) -> bytes:
    return 2 * data


def refuse(detail: str, where: str) -> bytes:
    raise MalformedError(detail, where)


def fail(_: bytes) -> bytes:
    raise KeyError("a mistake")


def allocate(size_bytes: int) -> bytes:
    return bytes(len(bytearray(size_bytes)) // size_bytes)


def keep(size_bytes: int) -> bytes:
    kept.append(bytes(size_bytes))
    return pid()


def poison() -> bytes:
    kept.append(b"poison")
    return pid()


def suffer() -> bytes:
    return signal_itself(signal.SIGSEGV) if b"poison" in kept else pid()


def signal_itself(number: int) -> bytes:
    os.kill(os.getpid(), number)
    return b""


def read_nowhere(_: bytes) -> bytes:
    return ctypes.string_at(0)


def leave(status: int) -> bytes:
    os._exit(status)


def sleep(seconds: float) -> bytes:
    time.sleep(seconds)
    return b""


def variables() -> bytes:
    return "\n".join(os.environ).encode()


def address_space_limit() -> bytes:
    return str(resource.getrlimit(resource.RLIMIT_AS)[0]).encode()


def length(data: bytes) -> bytes:
    return str(len(data)).encode()


def zeros(size_bytes: int) -> bytes:
    return bytes(size_bytes)

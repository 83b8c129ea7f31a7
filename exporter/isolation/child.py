"""The child process: runs one call after another within its limits, until it is idle for long or orphaned.

Started as `python -m exporter.isolation.child DESCRIPTOR MEMORY_BYTES whole|call DIRECTORY [MODULE...]`: the
limit is for the whole process, or for a call on top of the modules. With a directory, empty for none, the
process is confined to it.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import select
import socket
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Thread

from exporter.errors import CrashedError, ExporterError, RequestError
from exporter.isolation.confinement import confine
from exporter.isolation.messages import receive, send

IDLE_SECONDS = 300.0  # after which it ends, to give its memory back
_ORPHANED = 3  # exit status
_STATM = Path("/proc/self/statm")


def main(descriptor: int, memory_bytes: int, limited: str, directory: str, modules: list[str]) -> None:
    if directory:
        confine(Path(directory))  # before there is a second thread, which would stay free
    Thread(target=_end_with_parent, args=(descriptor,), daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # If the machine or the container runs out of memory, the kernel is to end this process, not the parent.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if limited == "whole":
        os.nice(10)  # it works for long; requests go first
        _limit_address_space(memory_bytes)
    for module in modules:
        import_module(module)
    preloaded = _address_space()
    if limited == "call":
        _limit_address_space(preloaded + memory_bytes)
    connection = socket.socket(fileno=descriptor)
    called = select.poll()
    called.register(descriptor, select.POLLIN)
    with suppress(EOFError, ConnectionError):  # the parent is gone
        # A process that has grown would leave less to the next call.
        while _address_space() < preloaded + memory_bytes // 4 and called.poll(IDLE_SECONDS * 1000):
            for part in _answer(receive(connection, memory_bytes)):
                send(connection, part)


def _answer(call: bytes) -> tuple[bytes, bytes | memoryview]:
    """Kind and content of the answer: a result, `memory` where it ran out, or an error as JSON."""
    try:
        function, arguments = pickle.loads(call)  # noqa: S301 - from the parent
        return b"result", function(*arguments)
    except MemoryError:
        return b"memory", b""
    except ExporterError as error:
        where = error.where if isinstance(error, RequestError) else ""
        return b"error", json.dumps([type(error).__name__, str(error), where]).encode()
    except Exception as error:  # noqa: BLE001 - the parent waits for an answer
        traceback.print_exc()
        return b"error", json.dumps([CrashedError.__name__, f"internal error: {error!r}", ""]).encode()


def _end_with_parent(descriptor: int) -> None:
    hung_up = select.poll()
    hung_up.register(descriptor, 0)  # no event but that the other end was closed, which is always reported
    hung_up.poll()
    os._exit(_ORPHANED)


def _limit_address_space(size_bytes: int) -> None:
    """Set the limit, or keep a lower one that the parent was given."""
    _, given = resource.getrlimit(resource.RLIMIT_AS)
    limit = size_bytes if given == resource.RLIM_INFINITY else min(size_bytes, given)
    with suppress(OSError, ValueError):  # macOS reserves more than any limit
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _address_space() -> int:
    """Bytes of address space in use, 0 where there is no /proc."""
    if not _STATM.exists():
        return 0
    return int(_STATM.read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])

"""Resources that this process takes: CPU, memory, threads, open files, GPUs, and their limits.

From `/proc` and control groups on Linux, elsewhere from what Python's standard library knows.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from exporter.client.cgroup_limits import read_cpu_quota, read_memory_limit
from exporter.client.gpu_usage import read_gpus

ROOT = Path("/")

_Figure = TypeVar("_Figure")


def read_usage(root: Path = ROOT) -> dict[str, object]:
    """Return the use of resources now, as JSON values; figures that cannot be read are left out.

    It never raises, and takes about a millisecond. `cpu_seconds` is of user and system, of all threads and
    without child processes: a child that ends would look like a burst. `root` is `/` or, in tests, a
    directory with another `proc`.
    """
    found = {name: _read(figure, root) for name, figure in _FIGURES.items()}
    return {name: value for name, value in found.items() if value is not None}


def host_name() -> str:
    """Return the name of this machine; in Kubernetes, of the pod."""
    return socket.gethostname() or "unknown"


def process_name() -> str:
    """Return a name of this process that no other one of the host has, such as `71-1764500000`.

    It is the process's number, which is used again later (in a container soon), and the second of the first
    call in the process.
    """
    return _named(os.getpid())


@lru_cache(maxsize=1)
def _named(number: int) -> str:
    return f"{number}-{int(time.time())}"


def _read(figure: Callable[[Path], _Figure], root: Path) -> _Figure | None:
    try:
        return figure(root)
    except Exception:  # noqa: BLE001 - a service must not notice, whatever its machine is like
        return None


def _cpu_seconds(_: Path) -> float:
    return time.process_time()


def _cpu_limit(root: Path) -> float | None:
    """Return the number of cores that the process may use: of its affinity, or less by its quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        cores = os.cpu_count() or 0
    quota = _read(read_cpu_quota, root)
    limits = [limit for limit in (cores, quota) if limit]
    return float(min(limits)) if limits else None


def _memory(root: Path) -> int:
    status = _status(root)
    return int(status["VmRSS"].split()[0]) * 1024 if status else _peak_memory()


def _peak_memory() -> int:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _threads(root: Path) -> int:
    status = _status(root)
    return int(status["Threads"]) if status else threading.active_count()


def _status(root: Path) -> Mapping[str, str]:
    """Return the lines of `/proc/self/status`; empty where there is none."""
    try:
        lines = (root / "proc/self/status").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _open_files(root: Path) -> int:
    directory = root / "proc/self/fd"
    descriptors = (directory if directory.is_dir() else root / "dev/fd").iterdir()
    return sum(1 for _ in descriptors) - 1  # that of the directory


_FIGURES: dict[str, Callable[[Path], object]] = {
    "cpu_seconds": _cpu_seconds,
    "cpu_limit_cores": _cpu_limit,
    "memory_bytes": _memory,
    "memory_limit_bytes": read_memory_limit,
    "threads": _threads,
    "open_files": _open_files,
    "gpus": read_gpus,
}

"""Limits on CPU and memory that Linux control groups set to a process, of version 1 or 2.

The process belongs to a group in each mounted hierarchy, and every group above it limits it as well. In a
container the path of the group may lie outside of what is mounted; then the mounted root is its own group.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_UNLIMITED_BYTES = 2**60  # version 1 says "no limit" by a number of this order


def read_cpu_quota(root: Path) -> float | None:
    """Return the least quota of the process's groups, in cores; None if it has none.

    `root` is `/`, or a directory with another `proc` and the mounted hierarchies.
    """
    quotas = []
    for directory in _groups(root, "cpu"):
        with suppress(OSError, ValueError):
            quotas.append(_quota(directory))
    return min((quota for quota in quotas if quota is not None), default=None)


def read_memory_limit(root: Path) -> int | None:
    """Return the least memory limit of the process's groups, in bytes; None if it has none."""
    limits = []
    for directory in _groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(OSError, ValueError):  # no such file in this version, or "max"
                limits.append(int((directory / name).read_text()))
    return min((limit for limit in limits if limit < _UNLIMITED_BYTES), default=None)


def _quota(directory: Path) -> float | None:
    try:
        quota, period = (directory / "cpu.max").read_text().split()
    except FileNotFoundError:
        quota = (directory / "cpu.cfs_quota_us").read_text()
        period = (directory / "cpu.cfs_period_us").read_text()
    return int(quota) / int(period) if quota != "max" and int(quota) > 0 else None


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the directories of the process's groups, from its own up to the root of what is mounted."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return
    paths = {
        name: path for _, names, path in (line.split(":", 2) for line in lines) for name in names.split(",")
    }
    for mount in mounts:
        before, _, after = mount.partition(" - ")
        shown, mount_point = before.split()[3:5]
        kind, _, options = after.split(maxsplit=2)
        if kind == "cgroup2":
            path = paths.get("")
        elif kind == "cgroup" and controller in options.split(","):
            path = paths.get(controller)
        else:
            continue
        if path is not None:
            yield from _upwards(root / mount_point.lstrip("/"), shown, path)


def _upwards(mounted: Path, shown: str, path: str) -> Iterator[Path]:
    """Yield the groups from `path` up to `mounted`, where the group `shown` is mounted."""
    own = mounted
    prefix = shown.rstrip("/")
    if ".." not in path.split("/") and path.startswith(prefix + "/"):
        own = mounted / path.removeprefix(prefix).lstrip("/")
    if not own.is_dir():
        own = mounted
    while True:
        yield own
        if own == mounted:
            return
        own = own.parent

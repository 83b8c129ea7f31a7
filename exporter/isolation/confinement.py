"""Confines a process whose code comes from strangers, such as one that loads a model.

Landlock (Linux 5.13 and newer, see kernel.org/doc/html/latest/userspace-api/landlock.html) takes from a
process, and all that it starts, the access to files. It also hides other processes, whose environment in
/proc holds credentials, and with newer kernels keeps it from TCP and from signals to others. Sockets are
refused with a filter of system calls, as are process groups of its own, so that all ends with it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from exporter.isolation.system_calls import refuse_system_calls

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # system calls, the same on all architectures
_VERSION = 1  # flag of the first: ask for the version of the interface
_PATH_BENEATH = 1
_NO_NEW_PRIVS = 38
# Rights by the version that brought them; of a file only executing, writing, reading, truncating and ioctl.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_OF_FILES = 0b111 | 1 << 14 | 1 << 15
_READ = 0b1101  # execute, read files, list folders
TCP_VERSION, _TCP = 4, 0b11  # bind, connect
SCOPE_VERSION, _SCOPE = 6, 0b11  # abstract sockets, signals
_MAX_FILE_BYTES = 2**28  # that it writes

# Besides Python and its packages: what libraries look up about the machine when they are loaded.
_SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo",
    "/dev/urandom", "/sys/devices/system/cpu", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
)  # fmt: skip


def landlock_version() -> int:
    """Version of Landlock that this kernel has; 0 or less if it cannot confine a process."""
    return _call(_CREATE_RULESET, None, 0, _VERSION) if sys.platform == "linux" else 0


def confine(directory: Path) -> None:
    """Confine this process for good, as long as it has one thread: it may use the files of `directory`, and
    read Python and its packages.

    Raises:
        OSError: this kernel cannot do it.
    """
    version = _checked(landlock_version())
    files = sum(rights for since, rights in _FILE_RIGHTS.items() if since <= version)
    net, scope = _TCP * (version >= TCP_VERSION), _SCOPE * (version >= SCOPE_VERSION)
    attributes = struct.pack("=QQQ", files, net, scope)
    # An older kernel refuses fields that it does not know.
    size = 24 if scope else 16 if net else 8
    ruleset = _checked(_call(_CREATE_RULESET, attributes, size, 0))
    for path in _readable():
        _allow(ruleset, path, files & _READ)
    _allow(ruleset, Path("/dev/null"), files)
    _allow(ruleset, directory, files)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_FILE_BYTES, _MAX_FILE_BYTES))
    _checked(ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(_call(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)
    refuse_system_calls()


def _readable() -> Iterable[Path]:
    packages = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    own = Path(__file__).parents[1]
    found: tuple[str | Path, ...] = (sys.prefix, sys.base_prefix, *packages, own, *_SYSTEM)
    return [path for path in map(Path, found) if path.exists()]


def _allow(ruleset: int, path: Path, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        allowed = rights if path.is_dir() else rights & _OF_FILES
        _checked(_call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", allowed, descriptor), 0))
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: int | bytes | None) -> int:
    return int(ctypes.CDLL(None, use_errno=True).syscall(number, *arguments))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"the process cannot be confined: {os.strerror(code)}")
    return result

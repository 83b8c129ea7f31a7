"""Takes from a process, and all that it starts, system calls that Landlock leaves open.

These are sockets of all kinds, io_uring, which makes sockets by itself, and process groups of its own, by
which what it starts would outlive it. The kernel runs a program of BPF before each call (kernel.org/doc/html/
latest/userspace-api/seccomp_filter.html).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Sequence

_SET_SECCOMP, _FILTER = 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # instructions
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_NUMBER, _ARCHITECTURE = 0, 4  # offsets of a call's fields
_OTHER_ABI = 0x40000000  # numbers of x32 begin here
# By machine: its number in <linux/audit.h>; then socket, setpgid, setsid and io_uring_setup.
_MACHINES = {
    "x86_64": (0xC000003E, (41, 109, 112, 425)),
    "aarch64": (0xC00000B7, (198, 154, 157, 425)),
}


def refuse_system_calls() -> None:
    """Refuse the calls for good; no new privileges have to be ruled out before.

    On a machine whose numbers are not known, nothing is refused.

    Raises:
        OSError: this kernel cannot do it.
    """
    known = _MACHINES.get(platform.machine())
    if known is None:
        return
    program = _program(*known)
    code = ctypes.create_string_buffer(program, len(program))
    given = struct.pack("HP", len(program) // 8, ctypes.addressof(code))
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_SECCOMP, _FILTER, given, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"system calls cannot be refused: {os.strerror(number)}")


def _program(architecture: int, refused: Sequence[int]) -> bytes:
    """Program that refuses these calls, and all of other architectures, which number them otherwise."""
    rest = len(refused) + 1  # instructions between the check of the numbers and the refusal
    instructions = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, rest + 2, architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, rest, 0, _OTHER_ABI),
        *((_EQUAL, rest - 1 - place, 0, number) for place, number in enumerate(refused)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *each) for each in instructions)

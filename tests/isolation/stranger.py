"""Code of a stranger, which a test copies to where a confined child can read it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def outcome(attempt: Callable[[], object]) -> str:
    try:
        return str(attempt())
    except OSError as error:
        return type(error).__name__


def look_around(secret: str, address: tuple[str, int]) -> bytes:
    """Everything that code of a stranger may try; what came of it."""
    parent = os.getppid()
    found = {
        "variables": sorted(os.environ),
        "parent's variables": outcome(lambda: Path(f"/proc/{parent}/environ").read_bytes()),
        "a file": outcome(lambda: Path(secret).read_text()),
        "a folder": outcome(lambda: list(Path(secret).parent.iterdir())),
        "homes": outcome(lambda: list(Path("/home").iterdir())),
        "users": outcome(lambda: Path("/etc/passwd").read_text()),
        "writing elsewhere": outcome(lambda: Path(secret).write_text("mine")),
        "a signal": outcome(lambda: os.kill(parent, 0)),
        "network": outcome(lambda: socket.create_connection(address, 5)),
        "a datagram": outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
        "a local socket": outcome(lambda: socket.socket(socket.AF_UNIX)),
        "a session": outcome(lambda: subprocess.run(["true"], start_new_session=True, check=False)),
        "a process group": outcome(lambda: os.setpgid(0, 0)),
        "a program": outcome(lambda: subprocess.run(["/usr/bin/cat", secret], check=False)),
        "own file": outcome(lambda: Path("own").write_text("mine")),
    }
    return json.dumps(found).encode()


def start_another_and_wait(path: str) -> bytes:
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100000)"])
    Path(path).write_text(str(started.pid))
    time.sleep(100_000)
    return b""

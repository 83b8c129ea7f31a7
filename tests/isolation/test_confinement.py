"""Code of strangers in a confined child."""

from __future__ import annotations

import json
import shutil
import socket
from contextlib import closing
from pathlib import Path

import pytest

from exporter.errors import TimeExceededError
from exporter.isolation import Children
from exporter.isolation.confinement import SCOPE_VERSION, landlock_version
from tests.isolation import stranger
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import eventually

pytestmark = pytest.mark.skipif(landlock_version() < 1, reason="this kernel has no Landlock")
MEMORY_BYTES = 2**30


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    found = tmp_path / "own"
    found.mkdir()
    shutil.copy(stranger.__file__, found / "stranger.py")
    return found


def call(function: str, *arguments: object) -> str:
    """Expression that calls a function of the stranger's, whose module is in no package that a child sees."""
    given = ", ".join(map(repr, arguments))
    return f"__import__('sys').path.insert(0, '.') or __import__('stranger').{function}({given})"


def confined(directory: Path, seconds: float) -> Children:
    return Children(1, [], MEMORY_BYTES, seconds, 2**20, single_use=True, directory=directory)


def test_it_sees_neither_credentials_nor_files_nor_the_network(
    tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a password")
    secret = tmp_path / "token"
    secret.write_text("a token")
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as server,
        closing(confined(directory, TIMEOUT_SECONDS)) as children,
    ):
        found = json.loads(children.run(eval, call("look_around", str(secret), server.getsockname())))
    assert "MLFLOW_TRACKING_PASSWORD" not in found.pop("variables")
    assert found.pop("own file") == "4"
    assert "a token" not in found.pop("a program")
    if landlock_version() < SCOPE_VERSION:
        del found["a signal"]
    assert set(found.values()) == {"PermissionError"}
    assert secret.read_text() == "a token"


def test_what_it_started_ends_with_it(directory: Path) -> None:
    path = directory / "started"
    with closing(confined(directory, 3)) as children, pytest.raises(TimeExceededError):
        children.run(eval, call("start_another_and_wait", str(path)))
    started = int(path.read_text())
    eventually(lambda: not _runs(started))


def _runs(process: int) -> bool:
    """True unless a process has ended, or is a zombie that nobody has asked for yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

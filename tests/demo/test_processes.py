"""Child processes end with the demo, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.demo.processes import Processes, clean_up
from exporter.errors import DemoError
from tests.prometheus.servers import wait_for

# A program that starts another one in the background and waits for it, as `mlflow server` does.
FAMILY = ["sh", "-c", "sleep 1000 & echo $! >child; wait"]

# A demo that starts a family, says where, and waits to be ended.
OWNER = """
import os, signal, sys, time
from exporter.demo.processes import Processes

for number in (signal.SIGINT, signal.SIGTERM):  # whoever runs tests in the background has the first ignored
    signal.signal(number, signal.default_int_handler)
with Processes() as processes:
    processes.start("family", sys.argv[1:], os.environ)
    print(processes.directory, flush=True)
    while True:
        processes.check()
        time.sleep(0.05)
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that is dead and that nobody asked for its status is gone all the same.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def grandchild(directory: Path) -> int:
    file = directory / "child"
    return int(wait_for("grandchild", lambda: file.exists() and file.read_text().strip()))


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, *FAMILY], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_processes_and_their_children_end_with_the_block() -> None:
    with Processes() as processes:
        processes.start("family", FAMILY, os.environ)
        child = grandchild(processes.directory)
        assert is_alive(child)
    assert not is_alive(child)
    assert not processes.directory.exists()


def test_they_end_with_an_error_as_well() -> None:
    children = []

    def fail() -> None:
        with Processes() as processes:
            processes.start("family", FAMILY, os.environ)
            children.append(grandchild(processes.directory))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not is_alive(children[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_they_end_when_the_demo_is_ended(owner: subprocess.Popen[str], number: signal.Signals) -> None:
    assert owner.stdout is not None
    directory = Path(owner.stdout.readline().strip())
    child = grandchild(directory)
    owner.send_signal(number)
    wait_for("end of the processes", lambda: not is_alive(child))
    wait_for("end of the directory", lambda: not directory.exists())


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(1000)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", deaf], stdout=subprocess.PIPE, text=True, process_group=0
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        clean_up([process.pid], tmp_path / "nowhere", grace_seconds=0.2)
        assert process.wait() == -signal.SIGKILL


def test_one_that_dies_is_noticed_with_what_it_said_last() -> None:
    with Processes() as processes:
        script = "for i in $(seq 100); do echo line $i; done; echo out of luck >&2; exit 3"
        processes.start("unlucky", ["sh", "-c", script], os.environ)
        with pytest.raises(DemoError, match="unlucky ended by itself with status 3") as raised:
            wait_for("its end", processes.check)
        assert "line 100" in str(raised.value)
        assert "out of luck" in str(raised.value)
        assert "line 50" not in str(raised.value)


def test_what_a_process_wrote_can_be_read() -> None:
    with Processes() as processes:
        processes.start("talker", ["sh", "-c", "echo hello; sleep 1000"], os.environ)
        assert wait_for("output", lambda: processes.output("talker")) == "hello\n"

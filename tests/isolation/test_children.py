"""Whatever a function does, the parent lives, learns of it, and the next call is served."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from exporter.errors import (
    CrashedError,
    MalformedError,
    MemoryExceededError,
    TimeExceededError,
    UnavailableError,
)
from exporter.isolation import Children
from tests.support import isolated

MEGABYTE = 2**20
MAX_WAIT_SECONDS = 300.0
Make = Callable[..., Children]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Children] = []

    def make_one(count: int = 1, **limits: Any) -> Children:
        chosen = {"memory_bytes": 400 * MEGABYTE, "seconds": MAX_WAIT_SECONDS, "answer_bytes": MEGABYTE}
        made.append(Children(count, ["tests.support.isolated"], **chosen | limits))
        return made[-1]

    yield make_one
    for each in made:
        each.close()


def test_a_result_comes_back_from_another_process_that_stays(make: Make) -> None:
    children = make(answer_bytes=100 * MEGABYTE)
    data = os.urandom(20 * MEGABYTE)
    assert children.run(isolated.double, data) == data + data
    assert children.run(isolated.pid) == children.run(isolated.pid) != isolated.pid()


def test_an_error_comes_back_as_it_was_raised(make: Make) -> None:
    children = make()
    before = children.run(isolated.pid)
    with pytest.raises(MalformedError) as error:
        children.run(isolated.refuse, "no rows", "schema.x")
    assert (error.value.detail, error.value.where) == ("no rows", "schema.x")
    assert children.run(isolated.pid) == before


@pytest.mark.parametrize(
    ("function", "argument", "error", "message"),
    [
        (isolated.allocate, 2**40, MemoryExceededError, "it takes more than 400 MB of memory"),
        (isolated.allocate, 500 * MEGABYTE, MemoryExceededError, "it takes more than 400 MB of memory"),
        (isolated.signal_itself, signal.SIGABRT, CrashedError, "its process ended with SIGABRT"),
        (
            isolated.signal_itself,
            signal.SIGKILL,
            CrashedError,
            "its process ended with SIGKILL, .*",
        ),
        (isolated.read_nowhere, b"", CrashedError, "its process ended with SIGSEGV"),
        (isolated.leave, 7, CrashedError, "its process ended with status 7"),
        (isolated.leave, 0, CrashedError, "its process ended without an answer"),
        (isolated.double, bytes(MEGABYTE), CrashedError, "its process answers with more than 1 MB"),
        (isolated.fail, b"", CrashedError, r"internal error: KeyError\('a mistake'\)"),
    ],
)
def test_a_call_that_fails_is_told_and_the_next_one_served(
    make: Make, function: Callable[..., bytes], argument: object, error: type[Exception], message: str
) -> None:
    children = make()
    with pytest.raises(error, match=f"^{message}$"):
        children.run(function, argument)
    assert children.run(isolated.double, b"x") == b"xx"


def test_a_call_that_takes_too_long_is_ended(make: Make) -> None:
    with pytest.raises(TimeExceededError, match=r"^it takes longer than 0\.5 s$"):
        make(seconds=0.5).run(isolated.sleep, MAX_WAIT_SECONDS)


def test_a_child_that_was_killed_meanwhile_is_replaced(make: Make) -> None:
    children = make()
    before = int(children.run(isolated.pid))
    os.kill(before, signal.SIGKILL)
    wait_for_end(before)
    assert int(children.run(isolated.pid)) != before


def test_a_child_that_was_damaged_by_an_earlier_call_is_replaced(make: Make) -> None:
    children = make()
    assert children.run(isolated.poison) != children.run(isolated.suffer)


def test_a_child_that_has_grown_is_replaced(make: Make) -> None:
    children = make()
    first = children.run(isolated.keep, 10 * MEGABYTE)
    assert children.run(isolated.keep, 150 * MEGABYTE) == first
    assert children.run(isolated.pid) != first


def test_no_more_run_at_once_than_are_wanted(make: Make) -> None:
    children = make(2)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: children.run(isolated.pid), range(40)))
    assert 1 <= len(set(found)) <= 2


def test_a_child_does_not_see_the_credentials_of_its_parent(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    names = make().run(isolated.variables).decode().split("\n")
    assert "PATH" in names
    assert not [name for name in names if name.startswith(("MLFLOW", "AWS"))]


def test_a_child_gets_the_variables_that_it_is_given(make: Make) -> None:
    children = make(environment={"DO_NOT_TRACK": "1"})
    assert "DO_NOT_TRACK" in children.run(isolated.variables).decode().split("\n")


def test_a_child_for_a_single_use_ends_with_its_call(make: Make) -> None:
    children = make(single_use=True)
    pid = int(children.run(isolated.pid))
    wait_for_end(pid)
    assert int(children.run(isolated.pid)) != pid


def test_the_limit_of_a_child_for_a_single_use_holds_for_all_of_it(make: Make) -> None:
    children = make(memory_bytes=200 * MEGABYTE, single_use=True)
    assert int(children.run(isolated.address_space_limit)) == 200 * MEGABYTE


def test_closing_ends_the_children(make: Make) -> None:
    children = make()
    pid = int(children.run(isolated.pid))
    children.close()
    wait_for_end(pid)


PARENT = """
import sys, threading
from exporter.isolation import Children
from tests.support import isolated

def make():
    return Children(1, [], memory_bytes=2**28, seconds=1e4, answer_bytes=2**20)

idle, busy = make(), make()
print(idle.run(isolated.pid).decode(), busy.run(isolated.pid).decode(), flush=True)
threading.Thread(target=busy.run, args=(isolated.sleep, 1e4)).start()
sys.stdin.read()
"""


def test_children_end_with_a_parent_that_is_killed() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert all(map(is_alive, pids))
        parent.kill()
    for pid in pids:
        wait_for_end(pid)


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (700 * 2**20, 700 * 2**20))
from exporter.isolation import Children
from tests.support import isolated
children = Children(1, [], memory_bytes=2**40, seconds=300, answer_bytes=2**20)
print(children.run(isolated.double, b"x").decode())
children.run(isolated.allocate, 800 * 2**20)
"""


def test_a_lower_limit_of_the_parent_holds() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False)
    assert done.stdout == "xx\n"
    assert "MemoryExceededError" in done.stderr


def test_a_child_that_cannot_be_started_is_no_fault_of_the_call(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = make()
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", "/no/such/program")
        with pytest.raises(UnavailableError, match=r"^no process can be started: No such file"):
            children.run(isolated.pid)
    assert children.run(isolated.double, b"x") == b"xx"


def is_alive(pid: int) -> bool:
    """True while a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_end(pid: int) -> None:
    end = time.monotonic() + MAX_WAIT_SECONDS
    while is_alive(pid):
        assert time.monotonic() < end
        time.sleep(0.01)

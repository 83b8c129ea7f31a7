"""Resources that a process takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.client.process_usage import process_name, read_usage

FIGURES = {"cpu_seconds", "cpu_limit_cores", "memory_bytes", "threads", "open_files", "gpus"}


# In a process of its own: threads and files of other tests come and go.
GROWTH = """
import json, os, threading
from exporter.client.process_usage import read_usage
before = read_usage()
held = bytearray(os.urandom(64 * 2**20))
stop = threading.Event()
threading.Thread(target=stop.wait).start()
with open(os.devnull):
    after = read_usage()
stop.set()
print(json.dumps([before, after, sum(os.times()[:2])]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_figures_of_a_process_are_those_of_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True)
    before, after, cpu_seconds = json.loads(done.stdout)
    assert FIGURES <= before.keys() <= {*FIGURES, "memory_limit_bytes"}
    grown = {name: after[name] - before[name] for name in FIGURES - {"gpus"}}
    assert grown["memory_bytes"] >= 0.9 * 64 * 2**20
    assert (grown["threads"], grown["open_files"], grown["cpu_limit_cores"]) == (1, 1, 0)
    assert 0 < after["cpu_limit_cores"] <= (os.cpu_count() or 0)
    assert before["cpu_seconds"] < after["cpu_seconds"] == pytest.approx(cpu_seconds, abs=0.1)


def test_a_quota_below_the_affinity_is_the_limit(tmp_path: Path) -> None:
    process = tmp_path / "proc" / "self"
    (process / "fd").mkdir(parents=True)
    (process / "cgroup").write_text("0::/\n")
    (process / "mountinfo").write_text("31 23 0:28 / /group rw - cgroup2 cgroup2 rw\n")
    (process / "status").write_text("Name:\tpython\nVmRSS:\t  2048 kB\nThreads:\t7\n")
    for name in "0123":
        (process / "fd" / name).touch()
    (tmp_path / "group").mkdir()
    (tmp_path / "group" / "cpu.max").write_text("25000 100000\n")
    (tmp_path / "group" / "memory.max").write_text("1048576\n")
    usage = read_usage(tmp_path)
    assert {name: usage[name] for name in usage.keys() - {"cpu_seconds", "gpus"}} == {
        "cpu_limit_cores": 0.25,
        "memory_bytes": 2 * 2**20,
        "memory_limit_bytes": 2**20,
        "threads": 7,
        "open_files": 3,
    }


def test_without_proc_the_standard_library_tells_what_it_knows(tmp_path: Path) -> None:
    usage = read_usage(tmp_path)
    assert usage.keys() == FIGURES - {"open_files"}
    assert usage["threads"] >= 1  # type: ignore[operator]
    assert usage["memory_bytes"] > 2**20  # type: ignore[operator]


def test_unreadable_figures_are_left_out(tmp_path: Path) -> None:
    process = tmp_path / "proc" / "self"
    process.mkdir(parents=True)
    for name in ("status", "cgroup", "mountinfo"):
        (process / name).write_bytes(b"\xff\x00: nonsense - x\n")
    assert read_usage(tmp_path).keys() == {"cpu_seconds", "cpu_limit_cores", "gpus"}


def test_the_name_of_a_process_stays_and_a_forked_child_has_another() -> None:
    code = (
        "import os, sys; from exporter.client.process_usage import process_name\n"
        "print(process_name(), flush=True)\n"
        "child = os.fork()\n"
        "if child: os.waitpid(child, 0)\n"
        "print(process_name(), flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, child, after = done.stdout.split()
    assert before == after
    assert before.split("-")[0] != child.split("-")[0]
    assert process_name() == process_name()
    assert process_name().startswith(f"{os.getpid()}-")

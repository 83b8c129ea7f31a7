"""A monitor in processes that fork, end and are started anew, by servers of real services as well."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from exporter.client import Monitor
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.ports import claim_ports
from tests.support.rig import eventually
from tests.support.scripted_exporter import ScriptedExporter

ROOT = Path(__file__).parents[2]
Monitoring = Callable[..., Monitor]

HEAD = """
import multiprocessing, os, sys
from exporter.client import Monitor

def make(**options):
    options = {{"batch_seconds": 60.0, "exit_seconds": {seconds}, "resources": False, **options}}
    return Monitor("{url}", model="fraud", version="3", **options)
"""


def run(directory: Path, exporter: ScriptedExporter, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script, in which `make` makes a monitor that waits a minute for a full batch."""
    path = directory / "service.py"
    path.write_text(HEAD.format(url=exporter.url, seconds=TIMEOUT_SECONDS) + script)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, path], env=environment, timeout=TIMEOUT_SECONDS, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return ended


def features(exporter: ScriptedExporter) -> Counter[str]:
    return Counter(row["features"]["who"] for row in exporter.rows)


def test_what_is_queued_is_sent_when_the_process_ends(tmp_path: Path, scripted: ScriptedExporter) -> None:
    ended = run(
        tmp_path,
        scripted,
        """
monitor = make()
for _ in range(3):
    monitor.predictions({"who": "service"}, 1)
raise SystemExit
""",
    )
    assert features(scripted) == {"service": 3}
    assert ended.stderr == ""


def test_forked_children_begin_with_an_empty_queue_and_a_thread_of_their_own(
    tmp_path: Path, scripted: ScriptedExporter
) -> None:
    run(
        tmp_path,
        scripted,
        """
monitor = make()
monitor.predictions({"who": "parent"}, 1)
monitor.predictions(None, 1)

def serve(who):
    assert (monitor.sent, monitor.dropped, monitor.queued_rows) == ({}, {}, 0)
    monitor.predictions({"who": who}, 1)

if not (child := os.fork()):
    serve("forked")
    if not (grandchild := os.fork()):
        serve("forked twice")
        sys.exit()
    os.waitpid(grandchild, 0)
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
child = multiprocessing.get_context("fork").Process(target=serve, args=["by multiprocessing"])
child.start()
child.join()
assert child.exitcode == 0
assert monitor.queued_rows == 1
""",
    )
    assert features(scripted) == dict.fromkeys(["parent", "forked", "forked twice", "by multiprocessing"], 1)
    assert len({request.headers["Idempotency-Key"] for request in scripted.received}) == 4


def test_a_fork_while_threads_predict_leaves_no_lock_behind(
    tmp_path: Path, scripted: ScriptedExporter
) -> None:
    run(
        tmp_path,
        scripted,
        """
import threading

monitor = make(batch_seconds=0.001, queue_rows=10**6, queue_bytes=2**30)
stopped = threading.Event()

def predict():
    while not stopped.wait(0.0001):
        monitor.predictions({"who": "parent"}, 1)

threads = [threading.Thread(target=predict) for _ in range(3)]
for thread in threads:
    thread.start()
children = []
for number in range(12):
    if not (child := os.fork()):
        monitor.predictions({"who": "child"}, 1)
        flushed = monitor.flush(60.0)
        os._exit(0 if flushed and monitor.sent == {"prediction": 1} else 1)
    children.append(child)
stopped.set()
for child in children:
    assert os.waitpid(child, 0)[1] == 0
monitor._closed = True
os._exit(0)
""",
    )
    assert features(scripted)["child"] == 12


def test_a_spawned_child_gets_the_monitor_by_its_arguments(
    tmp_path: Path, scripted: ScriptedExporter
) -> None:
    run(
        tmp_path,
        scripted,
        """
def serve(monitor):
    monitor.predictions({"who": "spawned"}, 1)

if __name__ == "__main__":
    monitor = make()
    monitor.predictions({"who": "parent"}, 1)
    child = multiprocessing.get_context("spawn").Process(target=serve, args=[monitor])
    child.start()
    child.join()
    assert child.exitcode == 0
""",
    )
    assert features(scripted) == {"parent": 1, "spawned": 1}


@pytest.mark.parametrize("preload", [False, True], ids=["each", "preload"])
def test_workers_of_gunicorn_send_what_each_of_them_has(
    tmp_path: Path, scripted: ScriptedExporter, preload: bool
) -> None:
    (tmp_path / "service.py").write_text(
        HEAD.format(url=scripted.url, seconds=TIMEOUT_SECONDS)
        + """
monitor = make()
monitor.predictions({"who": "import"}, 1)

def app(environ, start_response):
    monitor.predictions({"who": str(os.getpid())}, 1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
    )
    with claim_ports(1) as [port]:
        options = [f"--bind=127.0.0.1:{port}", "--workers=2", *["--preload"] * preload]
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "service:app", *options],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"},
            stderr=subprocess.PIPE,
        )
        answered: Counter[str] = Counter()

        def both_answered() -> bool:
            try:
                url = f"http://127.0.0.1:{port}/"
                answered[httpx.get(url, timeout=TIMEOUT_SECONDS, verify=False).text] += 1
            except httpx.TransportError:
                assert server.poll() is None
            return len(answered) == 2

        try:
            eventually(both_answered)
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=TIMEOUT_SECONDS)
    sent = features(scripted)
    assert sent.pop("import") == (1 if preload else 2)
    assert sent == answered


@contextmanager
def silent_server() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def closed_port() -> Iterator[str]:
    with claim_ports(1) as [port]:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def hanging_up() -> Iterator[str]:
    """A server that ends each connection at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(TIMEOUT_SECONDS)


@pytest.mark.parametrize("away", [closed_port, silent_server, hanging_up])
def test_a_service_without_its_exporter_goes_on_and_counts_what_is_lost(
    monitoring: Monitoring, away: Callable[[], Iterator[str]], caplog: pytest.LogCaptureFixture
) -> None:
    with away() as url:  # type: ignore[attr-defined] # it is a context manager
        monitor = monitoring(url, queue_rows=50, timeout_seconds=0.05, max_age_seconds=0.2, exit_seconds=0.1)
        for _ in range(100):
            monitor.predictions({"age": 40}, 1)
        assert not monitor.flush(0.05)
        assert monitor.sent == {}
        eventually(lambda: monitor.dropped.get("expired"))
        monitor.close()
    assert sum(monitor.dropped.values()) == 100
    assert set(monitor.dropped) <= {"queue_full", "expired", "exit"}
    lines = [record.message for record in caplog.records]
    assert 1 <= len(lines) <= 2  # at once, and at the end
    assert "cannot be reached" in "".join(lines)

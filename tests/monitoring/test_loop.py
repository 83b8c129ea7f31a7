"""The thread that repeats some work."""

from __future__ import annotations

import threading

import pytest

from exporter.monitoring.loop import Loop
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import eventually


def test_work_is_repeated_until_the_loop_is_stopped() -> None:
    done = threading.Semaphore(0)
    loop = Loop("work", done.release, 0.01)
    loop.start()
    for _ in range(3):
        assert done.acquire(timeout=TIMEOUT_SECONDS)
    assert loop.alive()
    loop.stop()
    loop.join(TIMEOUT_SECONDS)
    assert not loop.alive()


def test_a_loop_that_is_woken_does_its_work_before_its_time() -> None:
    done = threading.Semaphore(0)
    loop = Loop("rare", done.release, 1e6)
    loop.start()
    assert done.acquire(timeout=TIMEOUT_SECONDS)
    loop.wake()
    assert done.acquire(timeout=TIMEOUT_SECONDS)
    loop.stop()
    loop.join(TIMEOUT_SECONDS)
    assert not loop.alive()


def test_a_failure_is_logged_and_does_not_end_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    failures: list[int] = []

    def fail() -> None:
        failures.append(1)
        raise ZeroDivisionError

    loop = Loop("broken", fail, 0.01)
    loop.start()
    eventually(lambda: len(failures) > 2)
    loop.stop()
    loop.join(TIMEOUT_SECONDS)
    assert "the broken loop failed and goes on" in caplog.text


def test_work_that_hangs_is_not_waited_for_longer_than_asked() -> None:
    hanging, begun = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        hanging.wait(TIMEOUT_SECONDS)

    loop = Loop("hanging", hang, 0.01)
    loop.join(0.01)  # not started
    loop.start()
    assert begun.wait(TIMEOUT_SECONDS)
    loop.stop()
    loop.join(0.01)
    assert loop.alive()
    hanging.set()
    loop.join(TIMEOUT_SECONDS)
    assert not loop.alive()

"""The last reports of serving processes."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from exporter.serving_processes import MAX_PROCESSES, MAX_PROCESSES_OF_VERSION, MAX_REASONS, ServingProcesses
from tests.support.fakes import Clock
from tests.support.views import make_process

FRAUD = ("fraud", "3")


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def processes(clock: Clock) -> ServingProcesses:
    return ServingProcesses(clock.monotonic)


def test_the_last_report_of_each_process_counts(processes: ServingProcesses) -> None:
    for threads in (1, 2):
        assert processes.take(*FRAUD, make_process("8-1", threads=threads))
    processes.take(*FRAUD, make_process("7-1"))
    processes.take("fraud", "4", make_process("7-1"))
    found = processes.by_version()
    assert [(p.process, p.threads) for p in found[FRAUD]] == [("7-1", 12), ("8-1", 2)]
    assert [p.process for p in found["fraud", "4"]] == ["7-1"]


def test_a_process_that_is_silent_for_more_than_a_minute_is_gone(
    processes: ServingProcesses, clock: Clock
) -> None:
    processes.take(*FRAUD, make_process("7-1"))
    processes.take(*FRAUD, make_process("8-1"))
    clock.advance(45)
    processes.take(*FRAUD, make_process("7-1"))
    clock.advance(15)
    assert len(processes.by_version()[FRAUD]) == 2
    clock.advance(1)
    assert [p.process for p in processes.by_version()[FRAUD]] == ["7-1"]
    clock.advance(60)
    assert processes.by_version() == {}


def test_counts_never_decrease_and_other_figures_do(processes: ServingProcesses) -> None:
    late = make_process(
        cpu_seconds=80.0, sent_rows=None, dropped_rows={"queue_full": 9, "closed": 1}, threads=2
    )
    processes.take(*FRAUD, make_process())
    processes.take(*FRAUD, late)
    (found,) = processes.by_version()[FRAUD]
    assert (found.cpu_seconds, found.sent_rows, found.threads) == (81.5, 1204, 2)
    assert found.dropped_rows == {"queue_full": 12, "exit": 0, "closed": 1}


def test_a_process_cannot_have_ever_more_reasons(processes: ServingProcesses) -> None:
    for number in range(30):
        processes.take(*FRAUD, make_process(dropped_rows={"exit": number, chr(97 + number): 1}))
    (found,) = processes.by_version()[FRAUD]
    assert (len(found.dropped_rows), found.dropped_rows["exit"]) == (MAX_REASONS, 29)


def test_more_processes_of_a_version_are_left_out_until_others_are_gone(
    processes: ServingProcesses, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{number}-1" for number in range(MAX_PROCESSES_OF_VERSION + 2)]
    with caplog.at_level(logging.WARNING):
        taken = [processes.take(*FRAUD, make_process(name)) for name in names]
    assert taken == [True] * MAX_PROCESSES_OF_VERSION + [False, False]
    assert [record.getMessage() for record in caplog.records] == [
        "fraud version 3: a serving process is left out, the limits are 50 of a version and 1000 in all"
    ]
    assert processes.take(*FRAUD, make_process(names[0]))
    assert processes.take("fraud", "4", make_process("7-1"))
    clock.advance(61)
    assert processes.take(*FRAUD, make_process(names[-1]))


def test_there_is_a_limit_on_processes_in_all(processes: ServingProcesses) -> None:
    taken = [
        processes.take("fraud", str(number // 40), make_process(str(number)))
        for number in range(MAX_PROCESSES + 1)
    ]
    assert taken == [True] * MAX_PROCESSES + [False]
    assert sum(map(len, processes.by_version().values())) == MAX_PROCESSES


def test_many_threads_may_report_at_once(processes: ServingProcesses) -> None:
    def report(number: int) -> bool:
        return processes.take(*FRAUD, make_process(f"{number % 40}-1", cpu_seconds=float(number)))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(report, range(2000)))
    assert [p.cpu_seconds for p in processes.by_version()[FRAUD]].count(None) == 0
    assert sorted(p.cpu_seconds or 0 for p in processes.by_version()[FRAUD]) == list(range(1960, 2000))

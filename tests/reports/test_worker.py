"""The life of a report: made, failed, repeated, interrupted, expired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import exporter.reports.worker as module
from exporter.errors import (
    CrashedError,
    MemoryExceededError,
    ReportError,
    StoreError,
)
from exporter.reports.contents import ReportResult
from exporter.reports.worker import QUIET_SECONDS, RETRY_SECONDS
from exporter.storage.reports import ReportState, StoredReport, load_report_file, load_report_values
from tests.support.made_reports import RESULT, ask, fake, reports, stored
from tests.support.rig import NOON, Rig, make_rows

Start = Callable[..., Rig]
KILLED = CrashedError("its process ended with SIGKILL, as the kernel does when memory runs out")


def step(rig: Rig, seconds: float = 0.0) -> None:
    rig.clock.advance(seconds)
    rig.service.reports.worker.step()


def end_the_process() -> None:
    raise KeyboardInterrupt  # which nothing handles, as a kill


def counted(rig: Rig, outcome: str, trigger: str = "request") -> float | None:
    return rig.sample(f'mlflow_exporter_reports_total{{outcome="{outcome}",trigger="{trigger}"}}')


def make(rig: Rig, **fields: Any) -> StoredReport:
    report = ask(rig, **fields)
    step(rig)
    return stored(rig, report)


# -- success ------------------------------------------------------------------------------------------------


def test_a_report_is_stored_with_its_files_and_values(rig: Rig) -> None:
    fake(rig)
    report = make(rig)
    assert (report.state, report.attempt, report.finished_at) == (ReportState.DONE, 1, NOON)
    assert (report.rows, report.counted, report.notes) == (7, 70, RESULT.notes)
    assert report.reference_digest == "digest"
    with rig.service.store.reading() as connection:
        assert load_report_file(connection, report.id, "html") == RESULT.html
        assert load_report_file(connection, report.id, "snapshot") == RESULT.snapshot
        (value,) = load_report_values(connection, report.id)
    assert value == {"metric": "ValueDrift", "column": "age", "part": "", "value": 0.3, "named": True}
    assert counted(rig, "done") == 1
    assert rig.sample('mlflow_model_report_timestamp_seconds{model="fraud",model_version="1"}') == NOON


def test_who_sends_reports_on_is_woken(rig: Rig) -> None:
    fake(rig)
    seen: list[str] = []
    rig.service.reports.worker.on_done.append(lambda: seen.append(reports(rig)[0].mlflow_state))
    report = make(rig)
    assert seen == ["waiting"]
    assert (report.evidently_state, report.send_attempts, report.send_after) == ("off", 0, None)


def test_reports_are_made_one_after_the_other_by_their_triggers(rig: Rig) -> None:
    made = fake(rig)
    rig.post_rows([{**row, "features": {**row["features"], "age": 99}} for row in make_rows(1000)])
    rig.evaluate()
    rig.clock.advance(1)
    asked = [ask(rig, "1h"), ask(rig, "2h")]
    assert rig.sample("mlflow_exporter_reports_waiting") is None
    step(rig)
    assert [report.id for report in made.asked[:2]] == sorted(report.id for report in asked)
    assert made.asked[2].trigger == "verdict"
    assert rig.sample("mlflow_exporter_reports_waiting") == 0


def test_nothing_is_scheduled_right_after_the_start(rig: Rig) -> None:
    fake(rig)
    rig.post_rows(make_rows(500))
    rig.evaluate()
    step(rig)
    assert reports(rig) == []
    step(rig, QUIET_SECONDS)
    assert [report.trigger for report in reports(rig)] == ["schedule"]


# -- failure ------------------------------------------------------------------------------------------------


def test_a_report_that_cannot_be_made_says_why(rig: Rig) -> None:
    fake(rig, ReportError("Evidently is not installed: pip install 'mlflow-exporter[reports]'"))
    report = make(rig)
    assert (report.state, report.attempt) == (ReportState.FAILED, 1)
    assert report.problem.startswith("Evidently is not installed")
    assert "Evidently is not installed" in rig.version().report_problem
    assert counted(rig, "failed") == 1


def test_the_note_goes_with_the_next_report(rig: Rig) -> None:
    fake(rig, ReportError("no"), RESULT)
    make(rig)
    assert rig.version().report_problem
    rig.clock.advance(1)
    make(rig)
    assert rig.version().report_problem == ""


def test_a_killed_child_is_tried_again_later_and_at_most_three_times(rig: Rig) -> None:
    made = fake(rig, KILLED)
    report = ask(rig)
    step(rig)
    found = stored(rig, report)
    assert (found.state, found.attempt) == (ReportState.WAITING, 1)
    assert "SIGKILL" in found.problem
    step(rig)
    assert len(made.asked) == 1, "not at once"
    step(rig, RETRY_SECONDS)
    step(rig, RETRY_SECONDS)
    assert len(made.asked) == 2
    step(rig, RETRY_SECONDS)
    found = stored(rig, report)
    assert (found.state, found.attempt, found.finished_at) == (ReportState.FAILED, 3, NOON + 180)
    assert (counted(rig, "repeated"), counted(rig, "failed")) == (2, 1)
    assert "SIGKILL" in rig.version().report_problem


def test_one_that_fails_once_holds_up_no_other(rig: Rig) -> None:
    fake(rig, KILLED, RESULT)
    asked = [ask(rig, "1h"), ask(rig, "2h")]
    step(rig)
    states = sorted(stored(rig, report).state for report in asked)
    assert states == [ReportState.DONE, ReportState.WAITING]


def test_what_takes_too_much_memory_is_not_tried_again(rig: Rig) -> None:
    fake(rig, MemoryExceededError("it takes more than 2,048 MB of memory"))
    assert make(rig).state is ReportState.FAILED


def test_a_mistake_of_ours_fails_the_report_alone(rig: Rig) -> None:
    fake(rig, KeyError("age"), RESULT)
    report = make(rig)
    assert (report.state, report.problem) == (ReportState.FAILED, "internal error: 'age'")
    assert make(rig, window="1h").state is ReportState.DONE


def test_a_version_that_is_gone_has_no_report(rig: Rig) -> None:
    fake(rig)
    report = ask(rig)
    rig.service.fleet.remove([("fraud", "1")])
    step(rig)
    assert stored(rig, report).problem == "the version is not monitored any more"


# -- the store ----------------------------------------------------------------------------------------------


def test_a_result_that_cannot_be_stored_is_made_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    made = fake(rig)
    report = ask(rig)

    def fill(*arguments: Any, **_: Any) -> bool:
        raise StoreError("the store failed: database or disk is full")

    with monkeypatch.context() as full:
        full.setattr(module, "change_report", fill)
        step(rig)
        step(rig, 5)
        assert "disk is full" in rig.version().report_problem
    assert stored(rig, report).state is ReportState.RUNNING
    step(rig, 5)
    found = stored(rig, report)
    assert (found.state, found.attempt) == (ReportState.WAITING, 1)
    assert "disk is full" in found.problem
    step(rig, RETRY_SECONDS)
    assert stored(rig, report).state is ReportState.DONE
    assert len(made.asked) == 2
    assert rig.version().report_problem == ""


def test_a_store_at_its_limit_gets_no_reports(rig: Rig) -> None:
    made = fake(rig)
    report = ask(rig)
    rig.service.writer.full = True
    step(rig)
    assert stored(rig, report).state is ReportState.WAITING
    assert made.asked == []
    assert "its limit" in rig.version().report_problem
    rig.service.writer.full = False
    step(rig)
    assert stored(rig, report).state is ReportState.DONE
    assert rig.version().report_problem == ""


def test_a_report_that_was_being_made_when_the_process_ended_is_made_again(
    start: Start, store_uri: str
) -> None:
    rig = start(store=store_uri)
    made = fake(rig)
    made.during = end_the_process
    report = ask(rig)
    for attempt in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            step(rig)
        assert (stored(rig, report).state, stored(rig, report).attempt) == (ReportState.RUNNING, attempt)
        rig.stop()
        rig = start(store=store_uri, registry=rig.registry, clock=rig.clock)
        made = fake(rig)
        made.during = end_the_process if attempt == 1 else lambda: None
    step(rig)
    assert (stored(rig, report).state, stored(rig, report).attempt) == (ReportState.DONE, 3)


def test_one_that_ends_the_process_three_times_is_given_up(rig: Rig) -> None:
    made = fake(rig)
    made.during = end_the_process
    report = ask(rig)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            step(rig)
    step(rig)
    found = stored(rig, report)
    assert (found.state, found.problem) == (ReportState.FAILED, "the exporter ended while it was made")


def test_reports_expire(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(rig)
    rig.post_rows(make_rows(10))
    first = make(rig)
    rig.evaluate()
    rig.clock.advance(31 * 86400.0)
    rig.evaluate()
    second = make(rig)
    rig.evaluate()
    step(rig, 3600)
    assert [report.id for report in reports(rig)] == [second.id]
    with rig.service.store.reading() as connection:
        assert load_report_file(connection, first.id, "html") is None


def test_of_a_version_the_newest_are_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 2)
    fake(rig)
    made = []
    for _ in range(4):
        made.append(make(rig).id)
        rig.clock.advance(3600)
    step(rig)
    assert [report.id for report in reports(rig)] == [made[3], made[2]]


def test_reports_take_a_part_of_the_store_at_most(start: Start) -> None:
    rig = start(store_limit_bytes=10 * 2**20)
    large: ReportResult = replace(RESULT, html=bytes(2 * 2**20))
    fake(rig, large)
    made = []
    for _ in range(3):
        made.append(make(rig).id)
        assert [report.id for report in reports(rig)] == [made[-1]]
        rig.clock.advance(60)

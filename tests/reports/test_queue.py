"""Reports asked for by verdicts, on a schedule and on request, and their bounds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import exporter.monitoring.journal
import exporter.reports.queue as module
from exporter.config.reports import ReportsConfig
from exporter.errors import ConflictError, OverloadedError, StoreError
from exporter.monitoring.verdicts import Subject
from exporter.reports.queue import in_words, period_of
from tests.support.cases import bad_findings
from tests.support.made_reports import ask, fake, reports
from tests.support.monitored import make_registry
from tests.support.rig import NOON, Rig, make_rows, make_table
from tests.support.trail import bodies

Start = Callable[..., Rig]
HOUR = 3600


def drift(rig: Rig, rows: int = 1000) -> None:
    """Post rows of people who are fifty years older, and evaluate."""
    found = make_rows(rows)
    for row in found:
        row["features"]["age"] += 50
    rig.post_rows(found)
    rig.evaluate()


# -- verdicts -----------------------------------------------------------------------------------------------


def test_verdicts_that_turn_bad_ask_for_a_report_of_their_window(rig: Rig) -> None:
    drift(rig)
    (report,) = reports(rig)
    assert (report.trigger, report.state, report.window) == ("verdict", "waiting", "24h")
    assert (report.start, report.end) == (NOON - 24 * HOUR, NOON)
    assert ("drift", "age", "24h", "") in report.verdicts
    assert "drift of age" in report.reason
    counts = rig.version().counts
    assert counts is not None
    assert report.reference_digest == counts.reference.digest


def test_the_report_is_asked_for_in_the_transaction_of_the_verdicts(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as failing:
        failing.setattr(exporter.monitoring.journal, "upsert", fail)
        drift(rig)
    assert reports(rig) == []
    assert not [body for body in bodies(rig.service.store) if body["kind"] == "verdict_changed"]
    rig.clock.advance(30)
    rig.evaluate()
    assert len(reports(rig)) == 1


def test_there_is_one_report_per_version_and_pause(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [frozenset(), frozenset({Subject("drift", "age", "24h")})]
    monkeypatch.setattr(
        exporter.monitoring.journal, "bad_subjects", lambda *_: dict.fromkeys(found[0], False)
    )
    for minutes in range(0, 140, 10):
        rig.evaluate()
        found.reverse()
        rig.clock.now = NOON + 60 * minutes
    assert [(report.created_at - NOON) / 60 for report in reversed(reports(rig))] == [0, 60, 120]


def test_verdicts_that_turn_bad_within_the_pause_get_their_report_after_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Subject("drift", "age", "24h"), Subject("drift", "country", "7d")
    found = [frozenset({first})]
    monkeypatch.setattr(
        exporter.monitoring.journal, "bad_subjects", lambda *_: dict.fromkeys(found[0], False)
    )
    rig.evaluate()
    rig.clock.advance(600)
    found[0] = frozenset({first, second})
    for _ in range(8):
        rig.evaluate()
        rig.service.reports.queue.add_late()
        rig.clock.advance(600)
    (late, early) = reports(rig)
    assert (early.created_at, late.created_at) == (NOON, NOON + HOUR)
    assert (late.reason, late.window, late.end) == ("drift of country", "7d", NOON + HOUR)


def test_those_that_are_good_again_by_then_get_none(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Subject("drift", "age", "24h"), Subject("drift", "country", "24h")
    found = [frozenset({first})]
    monkeypatch.setattr(
        exporter.monitoring.journal, "bad_subjects", lambda *_: dict.fromkeys(found[0], False)
    )
    for bad in ({first}, {first, second}, {first}):
        found[0] = frozenset(bad)
        rig.evaluate()
        rig.clock.advance(1000)
    rig.clock.advance(HOUR)
    rig.evaluate()
    rig.service.reports.queue.add_late()
    assert len(reports(rig)) == 1


def test_too_few_labels_are_no_reason_for_a_report(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    coverage = Subject("coverage", "labels", "24h")
    found = [frozenset({coverage})]
    monkeypatch.setattr(
        exporter.monitoring.journal, "bad_subjects", lambda *_: dict.fromkeys(found[0], False)
    )
    rig.evaluate()
    rig.service.reports.queue.add_late()
    assert reports(rig) == []
    rig.clock.advance(60)
    found[0] = frozenset({coverage, Subject("drift", "age", "24h")})
    rig.evaluate()
    assert [report.reason for report in reports(rig)] == ["drift of age"]


def test_verdicts_that_end_ask_for_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [frozenset({Subject("drift", "age", "24h")})]
    monkeypatch.setattr(
        exporter.monitoring.journal, "bad_subjects", lambda *_: dict.fromkeys(found[0], False)
    )
    rig.evaluate()
    found[0] = frozenset()
    rig.clock.advance(2 * HOUR)
    rig.evaluate()
    assert len(reports(rig)) == 1


@pytest.mark.parametrize(
    "section",
    ["reports: {enabled: false}", "reports: {on_verdicts: false}", "defaults: {sample: {rows: 0}}"],
    ids=["off", "not on verdicts", "no sample"],
)
def test_they_may_be_switched_off(start: Start, tmp_path: Path, section: str) -> None:
    (tmp_path / "exporter.yml").write_text(section + "\n")
    rig = start(config=str(tmp_path / "exporter.yml"))
    drift(rig)
    rig.service.reports.queue.add_late()
    assert reports(rig) == []


def test_a_pause_survives_a_restart(start: Start) -> None:
    rig = start()
    drift(rig)
    rig.stop()
    rig.clock.advance(60)
    again = start(registry=rig.registry, clock=rig.clock)
    bad = [Subject("drift", "age", "24h")]
    again.evaluate()
    for minutes in (0, 58, 60):
        with again.service.store.writing() as connection:
            at = rig.clock.now + 60 * minutes
            again.service.reports.queue.add_for_verdicts(connection, again.version(), bad, at)
    assert len(reports(again)) == 2


def test_quality_is_reported_on_when_its_labels_were_due() -> None:
    findings = bad_findings(NOON)
    (quality,) = findings.quality
    name = quality.window.name
    found = period_of(findings, [Subject("quality", "recall", name)], NOON)
    assert (found.window, found.start, found.end) == (name, quality.start, quality.end)
    both = [Subject("quality", "recall", name), Subject("drift", "age", "7d"), Subject("drift", "age", "24h")]
    assert (period_of(findings, both, NOON).window, period_of(findings, both, NOON).end) == ("24h", NOON)


def test_data_quality_is_reported_on_in_the_window_of_its_check() -> None:
    findings = bad_findings(NOON)
    window = next(check.window for check in findings.evaluation.checks if check.degraded)
    found = period_of(findings, [Subject("data_quality/missing", "age")], NOON)
    assert (found.window, found.end) == (window.name, NOON)


def test_the_reason_names_what_is_bad() -> None:
    bad = [
        Subject("drift", "age", "24h"),
        Subject("drift", "age", "7d"),
        Subject("drift", "hour", "24h", "country=DE"),
        Subject("data_quality/missing", "fare"),
        Subject("quality", "recall", "24h"),
    ]
    said = "degraded data: fare; drift of age, hour (country=DE); degraded quality: recall"
    assert in_words(bad) == said


# -- schedule -----------------------------------------------------------------------------------------------


def schedule(rig: Rig) -> None:
    rig.evaluate()
    rig.service.reports.queue.add_scheduled()


def test_a_report_is_scheduled_once_in_so_long(rig: Rig) -> None:
    fake(rig)
    rig.post_rows(make_rows(500))
    for hours in (0, 1, 23, 24, 25):
        rig.clock.now = NOON + hours * HOUR
        rig.post_rows(make_rows(1))
        schedule(rig)
        rig.service.reports.worker.step()
    found = [report for report in reports(rig) if report.trigger == "schedule"]
    assert [(report.created_at - NOON) / HOUR for report in reversed(found)] == [0, 24]


def test_none_is_scheduled_while_one_waits_for_few_rows_or_without_traffic(rig: Rig) -> None:
    schedule(rig)
    rig.post_rows(make_rows(100))
    schedule(rig)
    assert reports(rig) == [], "too few rows"
    rig.post_rows(make_rows(400))
    rig.clock.advance(25 * HOUR)
    schedule(rig)
    assert reports(rig) == [], "no traffic in the window"
    rig.post_rows(make_rows(1))
    ask(rig)
    schedule(rig)
    assert [report.trigger for report in reports(rig)] == ["request"]


def test_the_version_that_is_due_for_longest_is_next(start: Start) -> None:
    rig = start(registry=make_registry(make_table(), make_table()))
    fake(rig)
    for version in ("1", "2"):
        rig.service.reports.worker.step()
        rig.registry.set_alias("fraud", f"a{version}", version)
    rig.poll()
    for version in ("1", "2"):
        rig.post_rows(make_rows(500), version=version)
    for _ in range(3):
        schedule(rig)
        rig.service.reports.worker.step()
        rig.clock.advance(60)
    assert [len(reports(rig, version)) for version in ("1", "2")] == [1, 1]


def test_a_model_may_have_none_scheduled(start: Start, tmp_path: Path) -> None:
    (tmp_path / "exporter.yml").write_text("models: {fraud: {reports: {every: 0}}}\n")
    rig = start(config=str(tmp_path / "exporter.yml"))
    rig.post_rows(make_rows(500))
    schedule(rig)
    assert reports(rig) == []


# -- requests -----------------------------------------------------------------------------------------------


def test_a_request_is_recorded(rig: Rig) -> None:
    report = ask(rig, "2h")
    (body,) = [body for body in bodies(rig.service.store) if body["kind"] == "report_requested"]
    assert (body["actor"], body["model"], body["model_version"]) == ("ada", "fraud", "1")
    assert (body["data"]["report"], body["data"]["window"], body["data"]["reason"]) == (
        report.id,
        "2h",
        "to see",
    )
    assert (report.end - report.start, report.end) == (2 * HOUR, NOON)


def test_a_request_that_is_repeated_while_it_waits_is_the_same_report(rig: Rig) -> None:
    first = ask(rig)
    assert ask(rig).id == first.id
    assert ask(rig, "1h").id != first.id
    fake(rig)
    rig.service.reports.worker.step()
    assert ask(rig).id != first.id


def test_two_triggers_at_once_are_two_reports(rig: Rig) -> None:
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask, rig, window) for window in ("1h", "24h")]
        pool.submit(drift, rig).result()
        for each in asked:
            each.result()
    assert sorted(report.trigger for report in reports(rig)) == ["request", "request", "verdict"]
    assert len({report.id for report in reports(rig)}) == 3


def test_the_queue_is_bounded_and_requests_leave_room(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OPEN", 4)
    monkeypatch.setattr(module, "MAX_REQUESTED", 3)
    for hours in (1, 2, 3):
        ask(rig, f"{hours}h")
    with pytest.raises(OverloadedError, match="too many reports are waiting"):
        ask(rig, "4h")
    drift(rig)
    assert [report.trigger for report in reports(rig)].count("verdict") == 1
    rig.clock.advance(2 * HOUR)
    bad = [Subject("drift", "age", "24h")]
    with rig.service.store.writing() as connection:
        rig.service.reports.queue.add_for_verdicts(connection, rig.version(), bad, rig.clock.now)
    assert len(reports(rig)) == 4


def test_nothing_can_be_asked_for_while_reports_are_off(rig: Rig) -> None:
    rig.service.reports.use(ReportsConfig(enabled=False))
    with pytest.raises(ConflictError, match="switched off"):
        ask(rig)

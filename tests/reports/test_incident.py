"""The report that an alert's link leads to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from exporter.reports.incident import find_incident_report
from exporter.storage.reports import ReportState, StoredReport
from tests.support.rig import NOON

HOUR = 3600.0


def make(name: str, hours: float, trigger: str = "verdict", **fields: Any) -> StoredReport:
    """A report that was asked for some hours after noon, on the day before."""
    at = NOON + hours * HOUR
    known = StoredReport(name, 1, "fraud", "1", "24h", at - 24 * HOUR, at, "verdict", at)
    return replace(known, **{"state": ReportState.DONE, "trigger": trigger, **fields})


def found(*reports: StoredReport, at: float = NOON) -> str:
    chosen = find_incident_report(reports, at)
    return chosen.id if chosen is not None else ""


def test_it_is_the_one_for_the_verdict_right_before() -> None:
    assert found(make("verdict", -0.2), make("schedule", -0.1, "schedule"), make("next day", 24)) == "verdict"


def test_of_two_verdicts_it_is_the_nearest() -> None:
    assert found(make("early", -2), make("late", -0.2), make("after", 0.9)) == "late"


def test_one_that_is_being_made_comes_before_an_older_one() -> None:
    assert found(make("waits", -0.1, state=ReportState.WAITING), make("older", -2.9)) == "waits"


def test_without_one_for_the_verdict_it_is_one_of_that_time() -> None:
    assert found(make("schedule", -1, "schedule"), make("other", -30)) == "schedule"
    assert found(make("later", 20, "schedule"), make("next", 23, "schedule")) == "later"


def test_a_failed_one_is_the_last_choice() -> None:
    failed = make("failed", 0, state=ReportState.FAILED)
    assert found(failed, make("request", 1, "request")) == "request"
    assert found(failed) == "failed"


def test_reports_of_other_times_are_none() -> None:
    assert found(make("before", -4), make("after", 25)) == ""
    assert found() == ""

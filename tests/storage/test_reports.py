"""Stored reports: their order, claims, results and expiry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from exporter.errors import StoreDamagedError
from exporter.storage.reports import (
    ReportState,
    StoredReport,
    add_report,
    change_report,
    claim_report,
    expire_reports,
    find_report,
    last_asked,
    list_reports,
    load_report_file,
    load_report_values,
    newest_done,
    newest_ended,
    open_reports,
)
from exporter.storage.schema import report_files, reports
from exporter.storage.store import Store

RUNNING, DONE, FAILED = ReportState.RUNNING, ReportState.DONE, ReportState.FAILED


def add(store: Store, report_id: str, at: float = 100.0, version: str = "1", **fields: Any) -> StoredReport:
    values: dict[str, Any] = {"window": "24h", "start": at - 86400, "end": at, "trigger": "verdict", **fields}
    key = store.ensure_version("fraud", version, 0).key
    report = StoredReport(report_id, key, "fraud", version, created_at=at, **values)
    with store.writing() as connection:
        add_report(connection, report)
    return report


def claim(store: Store, report: StoredReport) -> StoredReport | None:
    with store.writing() as connection:
        return claim_report(connection, report)


def finish(store: Store, report: StoredReport, html: bytes = b"<html>", **fields: Any) -> StoredReport:
    """Claim a report and store its result."""
    claimed = claim(store, report)
    assert claimed is not None
    done = replace(claimed, **{"state": DONE, "finished_at": report.created_at + 5, **fields})
    with store.writing() as connection:
        assert change_report(connection, claimed, done, [{"metric": "Drift", "value": 0.5}], {"html": html})
    return done


def stored(store: Store, report_id: str) -> StoredReport | None:
    with store.reading() as connection:
        return find_report(connection, report_id)


def ids(found: list[StoredReport]) -> list[str]:
    return [report.id for report in found]


def test_a_report_comes_back_as_it_was_stored(store: Store) -> None:
    report = add(
        store,
        "a",
        reason="drift of äge",
        verdicts=(("drift", "äge", "24h", ""),),
        notes=("one", "two"),
        action_id="b" * 40,
        reference_digest="d",
    )
    assert stored(store, "a") == report
    assert stored(store, "b") is None


def test_of_two_claims_one_succeeds(store: Store) -> None:
    report = add(store, "a")
    claimed = claim(store, report)
    assert claimed == replace(report, state=RUNNING, attempt=1)
    assert claim(store, report) is None
    assert claim(store, claimed) is None, "it does not wait any more"


def test_a_result_is_stored_with_its_files_and_values(store: Store) -> None:
    done = finish(store, add(store, "a"), b"\x1f\x8b html", rows=7, counted=70)
    assert stored(store, "a") == done
    with store.reading() as connection:
        assert load_report_file(connection, "a", "html") == b"\x1f\x8b html"
        assert load_report_file(connection, "a", "json") is None
        assert load_report_values(connection, "a") == [{"metric": "Drift", "value": 0.5}]
        assert load_report_values(connection, "b") == []


def test_the_result_of_an_attempt_that_was_taken_over_is_dropped(store: Store) -> None:
    late = claim(store, add(store, "a"))
    assert late is not None
    with store.writing() as connection:
        assert change_report(connection, late, replace(late, state=ReportState.WAITING))
    again = stored(store, "a")
    assert again is not None
    assert claim(store, again) is not None
    with store.writing() as connection:
        assert not change_report(connection, late, replace(late, state=DONE), [], {"html": b"late"})
        assert load_report_file(connection, "a", "html") is None


def test_requests_are_made_before_verdicts_and_these_before_schedules(store: Store) -> None:
    for n, trigger in enumerate(("schedule", "verdict", "action", "request", "verdict")):
        add(store, f"{n}-{trigger}", 100.0 + n, trigger=trigger)
    finish(store, add(store, "done", 50.0))
    with store.reading() as connection:
        found = ids(open_reports(connection, 10))
        assert found == ["3-request", "2-action", "1-verdict", "4-verdict", "0-schedule"]
        assert ids(open_reports(connection, 1)) == ["3-request"]
        assert last_asked(connection, "verdict") == {1: 104.0}


def test_reports_of_a_version_are_listed_newest_first(store: Store) -> None:
    for at in (100.0, 300.0, 200.0):
        add(store, f"at {at}", at)
    add(store, "another", version="2")
    with store.reading() as connection:
        assert ids(list_reports(connection, "fraud", "1", 2)) == ["at 300.0", "at 200.0"]
        assert ids(list_reports(connection, "fraud", "1", 9, before=200.0)) == ["at 100.0"]
        assert list_reports(connection, "fraud", "3", 9) == []


def test_the_newest_of_each_version_is_found(store: Store) -> None:
    finish(store, add(store, "old", 100.0))
    finish(store, add(store, "new", 200.0))
    finish(store, add(store, "failed", 300.0), state=FAILED)
    finish(store, add(store, "other", 100.0, version="2"))
    add(store, "waits", 400.0)
    with store.reading() as connection:
        assert sorted(ids(newest_done(connection))) == ["new", "other"]
        assert sorted(ids(newest_ended(connection))) == ["failed", "other"]


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ((0.0, 9, 10**9), ["a", "b", "c", "d"]),
        ((200.0, 9, 10**9), ["b", "c", "d"]),
        ((0.0, 1, 10**9), ["c", "d"]),
        ((0.0, 9, 25), ["c", "d"]),
    ],
    ids=["none", "by age", "by version", "by size"],
)
def test_they_expire_with_their_files(store: Store, limits: tuple[float, int, int], left: list[str]) -> None:
    for n, name in enumerate("abc"):
        finish(store, add(store, name, 100.0 * (n + 1)), html=bytes(10))
    finish(store, add(store, "d", 400.0, version="2"), html=bytes(10))
    add(store, "waits", 50.0)
    with store.writing() as connection:
        assert expire_reports(connection, *limits) == 4 - len(left)
        assert sorted(connection.scalars(sa.select(reports.c.id))) == [*left, "waits"]
        assert sorted(connection.scalars(sa.select(report_files.c.report_id))) == left


def test_requests_push_out_no_report_that_a_mail_links_to(store: Store) -> None:
    finish(store, add(store, "verdict", 100.0))
    for n in range(3):
        finish(store, add(store, f"request {n}", 200.0 + n, trigger="request"))
    with store.writing() as connection:
        expire_reports(connection, 0.0, 2, 10**9)
        assert sorted(connection.scalars(sa.select(reports.c.id))) == ["request 1", "request 2", "verdict"]


def test_a_report_that_cannot_be_read_is_told(store: Store) -> None:
    add(store, "a")
    with store.writing() as connection:
        connection.execute(sa.update(reports).values(notes="{"))
    with pytest.raises(StoreDamagedError, match="a report cannot be read"):
        stored(store, "a")

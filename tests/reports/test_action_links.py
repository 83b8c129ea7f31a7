"""Reports and the remediations that their incidents led to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from exporter.config.reports import ReportsConfig
from exporter.fleet import Fleet, Version
from exporter.remediation.ledger import Ledger
from exporter.reports.action_links import ActionLinks
from exporter.reports.queue import ReportQueue
from exporter.settings import Settings
from exporter.storage.reports import ReportState, StoredReport, list_reports
from exporter.storage.store import Store
from tests.support.actions import ACTION
from tests.support.done_reports import MADE_AT, add_done_report, read_report
from tests.support.fakes import Clock


@dataclass
class Desk:
    """An exporter that monitors version 1 of fraud, and plans actions about it."""

    store: Store
    clock: Clock
    config: ReportsConfig

    def __post_init__(self) -> None:
        settings = Settings()
        fleet = Fleet(settings)
        fleet.add(Version(self.store.ensure_version("fraud", "1", 0)))
        self.ledger = Ledger(self.store, self.clock)
        queue = ReportQueue(self.store, fleet, lambda _: self.config, self.clock, lambda: None)
        self.links = ActionLinks(self.store, fleet, self.ledger, queue, lambda _: self.config, self.clock)

    def plan(self, action_id: str, version: str = "1", starts_at: float | None = None) -> None:
        now = self.clock()
        times: dict[str, Any] = {"created_at": now, "updated_at": now, "alert": {"starts_at": starts_at}}
        action = replace(ACTION, id=action_id, model="fraud", model_version=version, **times)
        with self.store.writing() as connection:
            self.ledger.plan(connection, action)

    def reports(self) -> list[StoredReport]:
        with self.store.reading() as connection:
            return list_reports(connection, "fraud", "1", 10)


@pytest.fixture
def desk(open_store: Callable[[str], Store], tmp_path: Path) -> Desk:
    store = open_store(f"sqlite:///{tmp_path / 'exporter.db'}")
    return Desk(store, Clock(MADE_AT + 600), ReportsConfig())


def test_the_report_of_an_incident_gets_its_action_and_mlflow_is_told(desk: Desk) -> None:
    add_done_report(desk.store, mlflow_state="sent", mlflow_run_id="run")
    add_done_report(desk.store, "later", created_at=MADE_AT + 1e6, mlflow_state="off")
    desk.plan("c0ffee", starts_at=MADE_AT + 300)
    assert not desk.links.step()
    report = read_report(desk.store)
    assert (report.action_id, report.mlflow_state, report.mlflow_run_id) == ("c0ffee", "waiting", "run")
    assert read_report(desk.store, "later").action_id == ""


def test_a_second_action_of_the_incident_changes_nothing(desk: Desk) -> None:
    add_done_report(desk.store)
    for action_id in ("first", "second"):
        desk.plan(action_id)
        assert not desk.links.step()
    assert read_report(desk.store).action_id == "first"
    assert len(desk.reports()) == 1


def test_an_incident_without_a_report_gets_one_for_its_action(desk: Desk) -> None:
    add_done_report(desk.store, "long ago", created_at=MADE_AT - 1e6, start=0.0, end=1.0)
    desk.plan("c0ffee")
    assert desk.links.step()
    assert not desk.links.step()
    added = desk.reports()[0]
    assert (added.state, added.trigger, added.action_id) == (ReportState.WAITING, "action", "c0ffee")
    assert (added.end, added.window) == (desk.clock(), "24h")
    assert added.reason == f"{ACTION.action} by the policy {ACTION.policy}"


def test_nothing_is_added_where_reports_are_off_or_the_version_is_not_monitored(desk: Desk) -> None:
    desk.plan("retired", version="9")
    desk.links.step()
    desk.config = ReportsConfig(enabled=False)
    desk.plan("c0ffee")
    desk.links.step()
    assert desk.reports() == []


def test_an_action_of_another_day_is_left_alone(desk: Desk) -> None:
    desk.plan("c0ffee")
    desk.clock.advance(2 * 86400)
    assert not desk.links.step()
    assert desk.reports() == []

"""Gives reports the id of the remediation that their incident led to, which is planned after them."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from exporter.config.reports import ReportsConfig
from exporter.fleet import Fleet, Version
from exporter.remediation.action import Action
from exporter.remediation.ledger import ActionFilter, Ledger
from exporter.reports.incident import find_incident_report
from exporter.reports.queue import ReportPeriod, ReportQueue
from exporter.settings import DAY_SECONDS, parse_window
from exporter.storage.report_sending import store_action
from exporter.storage.reports import ReportState, list_reports
from exporter.storage.schema import reports
from exporter.storage.store import Store

MAX_ACTIONS = 200
MAX_REPORTS = 50  # of a version, the newest


class ActionLinks:
    """Links the actions of the past day. An incident without a report gets one for its action.

    Args:
        store: of the reports.
        fleet: the monitored versions.
        ledger: the actions.
        queue: to which reports are added.
        config: the section `reports` as it is for a version now.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        ledger: Ledger,
        queue: ReportQueue,
        config: Callable[[Version], ReportsConfig],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._ledger = ledger
        self._queue = queue
        self._config = config
        self._clock = clock

    def step(self) -> bool:
        """Link what is new, and return true if a report was added.

        Raises:
            StoreError: the store failed.
        """
        since = self._clock() - DAY_SECONDS
        newest = self._ledger.search(ActionFilter(), MAX_ACTIONS)
        recent = [action for action in newest if action.created_at > since]
        known = sa.select(reports.c.action_id).where(reports.c.action_id.in_([each.id for each in recent]))
        with self._store.reading() as connection:
            linked = set(connection.scalars(known)) if recent else set()
        added = [self._link(action) for action in recent if action.id not in linked]
        return any(added)

    def _link(self, action: Action) -> bool:
        """Link an action with a report; return true if that is a new one."""
        starts_at = action.alert.get("starts_at")
        at = action.created_at if starts_at is None else float(starts_at)
        with self._store.reading() as connection:
            found = list_reports(connection, action.model, action.model_version, MAX_REPORTS)
        made = [report for report in found if report.state is not ReportState.FAILED]
        report = find_incident_report(made, at)
        if report is not None:
            if not report.action_id:  # else the incident led to two, and the report has the first
                with self._store.writing() as connection:
                    store_action(connection, report, action.id)
            return False
        version = self._fleet.versions.get((action.model, action.model_version))
        if version is None or not self._config(version).enabled:
            return False
        period = ReportPeriod.until(action.created_at, parse_window(self._config(version).window))
        reason = f"{action.action} by the policy {action.policy}"
        with self._store.writing() as connection:
            added = self._queue.add(connection, version, "action", period, reason=reason, action_id=action.id)
        return added is not None

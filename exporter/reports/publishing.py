"""Sends reports that are done, links them with actions, shows their values, and expires them in MLflow."""

from __future__ import annotations

import logging
from collections.abc import Callable

from exporter.errors import RegistryError
from exporter.exposition.reports import ReportsTelemetry
from exporter.fleet import Fleet
from exporter.monitoring.loop import Loop
from exporter.registry.registry import Registry
from exporter.remediation.ledger import Ledger
from exporter.reports.action_links import ActionLinks
from exporter.reports.evidently_sender import EvidentlySender
from exporter.reports.mlflow_sender import MlflowSender
from exporter.reports.reported_values import refresh_reported_values
from exporter.reports.reports import Reports
from exporter.reports.sending import ReportSending
from exporter.settings import HOUR_SECONDS, Settings
from exporter.storage.store import Store

INTERVAL_SECONDS = 15.0  # also the longest until what another exporter has done is seen

log = logging.getLogger(__name__)


class Publishing:
    """Work of a thread beside that which makes reports, so that a destination that is slow delays none."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        fleet: Fleet,
        registry: Registry,
        reports: Reports,
        ledger: Ledger,
        telemetry: ReportsTelemetry,
        clock: Callable[[], float],
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._registry = registry
        self._reports = reports
        self._clock = clock
        self._leads = leads
        self._expired_at: float | None = None
        destinations = (
            MlflowSender(registry, store, lambda: reports.config, settings.own_url),
            EvidentlySender(store, lambda: reports.config),
        )
        self._sending = ReportSending(store, destinations, telemetry, clock, leads)
        self._links = ActionLinks(store, fleet, ledger, reports.queue, reports.config_of, clock)
        self.loop = Loop("report sending", self.step, INTERVAL_SECONDS)
        reports.worker.on_done.append(self.loop.wake)

    def stop(self) -> None:
        """Have `step` end after the report that it sends."""
        self._sending.stop()

    def step(self) -> None:
        """Do all that is due.

        Raises:
            StoreError: the store failed.
        """
        refresh_reported_values(self._store, self._fleet)
        self._sending.step()
        if self._links.step():
            self._reports.loop.wake()
        self._expire()

    def _expire(self) -> None:
        now = self._clock()
        if self._expired_at is not None and 0 <= now - self._expired_at < HOUR_SECONDS:
            return
        if not self._leads():
            return
        self._expired_at = now
        try:
            # As far as retention has come: a clock that is wrong for an hour must not delete everything.
            deleted = self._registry.delete_expired_reports(self._store.load_retention(now))
        except RegistryError as error:
            log.debug("reports whose time is over are not deleted in MLflow: %s", error)
        else:
            if deleted:
                log.info("%d reports whose time is over were deleted in MLflow", deleted)

"""Reports as a part of the service: their queue, their worker, and the configuration in force."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from exporter.config.reports import ReportsConfig
from exporter.exposition.reports import ReportsTelemetry
from exporter.fleet import Fleet, Version
from exporter.formats.addresses import version_address
from exporter.monitoring.loop import Loop
from exporter.payloads.target import Target
from exporter.reports.gathering import NO_SAMPLE, Gatherer
from exporter.reports.making import make_report
from exporter.reports.queue import SWITCHED_OFF, ReportQueue
from exporter.reports.worker import ReportWorker
from exporter.sampling.reading import SampleReader
from exporter.settings import DAY_SECONDS, Settings
from exporter.storage.store import Store

INTERVAL_SECONDS = 5.0  # between looks for reports that wait


class Reports:
    """Evidently's reports. `config` is the section `reports` of the configuration file in force."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        fleet: Fleet,
        samples: SampleReader,
        telemetry: ReportsTelemetry,
        store_full: Callable[[], bool],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self.config = ReportsConfig()
        self._fleet = fleet
        self._clock = clock
        self.queue = ReportQueue(store, fleet, self.config_of, clock, self._wake)
        self.worker = ReportWorker(
            store,
            fleet,
            self.queue,
            telemetry,
            Gatherer(store, samples, partial(version_address, settings.own_url)).gather,
            make_report,
            lambda: self.config,
            settings.store_limit_bytes,
            store_full,
            clock,
            monotonic,
        )
        self.loop = Loop("reports", self.worker.step, INTERVAL_SECONDS)

    def use(self, config: ReportsConfig) -> None:
        """Take over another configuration."""
        self.config = config

    def config_of(self, version: Version) -> ReportsConfig:
        """The section `reports` as it is for a version."""
        return self.config.of_model(version.facts.config.reports)

    def why_none(self, model: str, version: str, at: float | None) -> str:
        """Reason why a version has no report of a time, or none at all, for people."""
        found = self._fleet.versions.get((model, version))
        if found is None:
            return self._fleet.hint(Target(model, version))
        config = self.config_of(found)
        if not config.enabled:
            return SWITCHED_OFF
        if not found.facts.config.sample.rows:
            return NO_SAMPLE
        if at is not None and at < self._clock() - config.retention:
            return f"reports are kept for {config.retention / DAY_SECONDS:g} days"
        if found.report_problem:
            return found.report_problem
        return f"none was made yet{' of that time' if at is not None else ''}"

    def _wake(self) -> None:
        self.loop.wake()

"""The composition of the service: its parts, who knows whom, in which order they start and stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

from exporter.config import Settings
from exporter.exposition import Format, render, select_families
from exporter.fleet import Fleet, Version
from exporter.monitor import Monitor
from exporter.registry import Registry
from exporter.series import CutBins, SeriesCollector, VersionView
from exporter.store import Store
from exporter.telemetry import Telemetry
from exporter.writer import Writer

log = logging.getLogger(__name__)


class Service:
    """All parts of a running exporter. `start` and `stop` are called once each."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.telemetry = Telemetry()
        self.fleet = Fleet(settings)
        self.store = Store(settings.store)
        self.writer = Writer(self.store, self.fleet, settings, self.telemetry)
        self.registry = Registry(None, None, settings.mlflow_timeout_seconds, settings.reference_max_rows)
        self.monitor = Monitor(settings, self.store, self.fleet, self.writer, self.telemetry, self.registry)
        self._collector = SeriesCollector(settings, self.telemetry)
        self._cut: tuple[CutBins, ...] = ()

    def start(self) -> None:
        self.writer.start()
        self.monitor.start()

    def stop(self) -> None:
        """Commit what was taken and let go of the store."""
        self.monitor.stop()
        self.writer.stop()
        self.store.close()

    def scrape(self, form: Format, names: Collection[str], groups: Collection[str]) -> bytes:
        """The exposition: no I/O, and no arithmetic beyond formatting."""
        collection = self._collector.collect(
            [version_view(version) for version in self.fleet.versions.values()], time.time()
        )
        if collection.cut != self._cut:
            self._cut = collection.cut
            for cut in collection.cut:
                log.warning(
                    "%s version %s: bins of %d columns are left out, the limit is %d series",
                    cut.model, cut.version, len(cut.columns), self.settings.max_series,
                )  # fmt: skip
        return render(select_families(collection.families, names, groups), form)


def version_view(version: Version) -> VersionView:
    """What a version shows at this moment."""
    live, reference = version.live, version.live.binning.reference if version.live.binning else None
    return VersionView(
        model=version.model,
        version=version.version,
        aliases=version.aliases,
        team=version.facts.team,
        run_id=version.facts.run_id,
        task=reference.task if reference is not None else "",
        reference=reference,
        reference_source=reference.source if reference is not None else "none",
        evaluation=version.evaluation,
        run_metrics=version.facts.run_metrics,
        predictions_total=live.totals.predictions,
        values=live.totals.values,
        latency=live.totals.latency,
        latency_sum=live.totals.latency_sum,
        last_prediction=version.last_prediction,
    )

"""Polls MLflow's experiments and runs.

MLflow neither counts runs nor tells which have changed. So all are read once, which takes MLflow a
millisecond a run. After that a poll reads

- the runs that started or ended since the last poll or shortly before, because clocks differ and a metric may
  be logged after the end of its run;
- of the runs that are shown, those that were read longest ago, to find later metrics and deletions.

Neither finds the deletion of an older run, or a restored one. All runs are therefore read again from time to
time, seldom enough to take a hundredth of MLflow's time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from exporter.errors import RegistryError
from exporter.exposition.experiments import experiment_families
from exporter.exposition.render import Family
from exporter.registry.registry import Registry
from exporter.registry.runs import Run, RunLedger
from exporter.settings import Settings

OVERLAP_SECONDS = 600.0
RUNS_READ_AGAIN = 200  # shown runs read again at every poll: 0.2 s
FULL_INTERVAL_SECONDS = 600.0
FULL_SHARE = 0.01
_MISSED_POLLS = 5

log = logging.getLogger(__name__)


class RunWatcher:
    """Keeps the series of experiments and runs. `families` may be called from any thread."""

    def __init__(self, settings: Settings, registry: Registry, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._registry = registry
        self._clock = clock
        self._ledger = RunLedger(settings.max_experiments)
        self._next_full = 0.0
        self._since = 0.0
        self._shown: tuple[Family, ...] = ()
        self._shown_until = 0.0
        self._error = ""
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let a poll end after its current page of runs."""
        self._stopping.set()

    def families(self, now: float) -> tuple[Family, ...]:
        """Series at `now`; none after five missed polls, so that they do not freeze when MLflow is down."""
        return self._shown if now <= self._shown_until else ()

    def poll(self) -> None:
        """Poll MLflow once."""
        now = self._clock()
        try:
            shard, listed = self._settings.shard, self._registry.list_experiments()
            names = {experiment: name for experiment, name in listed.items() if shard.has(name)}
            if now >= self._next_full or now < self._since:  # or the clock was put back
                self._read_all(names)
            else:
                self._read_new(self._ledger, names)
                self._read_changes(names)
        except RegistryError as error:
            if not self._error:
                log.warning("runs are not read: %s", error)
            self._error = str(error)
            return
        self._error = ""
        self._since = now - OVERLAP_SECONDS
        self._shown = experiment_families(self._ledger.view(names), len(names), self._settings.max_run_series)
        interval = self._settings.mlflow_poll_interval_seconds
        self._shown_until = self._clock() + _MISSED_POLLS * interval

    def _read_all(self, names: Mapping[str, str]) -> None:
        started = time.monotonic()
        ledger = RunLedger(self._settings.max_experiments)
        self._read_new(ledger, names)
        self._ledger = ledger
        seconds = time.monotonic() - started
        self._next_full = self._clock() + max(FULL_INTERVAL_SECONDS, seconds / FULL_SHARE)

    def _read_new(self, ledger: RunLedger, names: Mapping[str, str]) -> None:
        """Keep the existing experiments, and read the runs of new ones."""
        new = names.keys() - ledger.experiment_ids
        ledger.follow(names)
        try:
            self._take(ledger, self._registry.list_runs(new))
        except RegistryError:
            ledger.follow(names.keys() - new)
            raise

    def _read_changes(self, names: Mapping[str, str]) -> None:
        self._take(self._ledger, self._registry.list_runs_since(names, self._since))
        due = self._ledger.due(RUNS_READ_AGAIN)
        found = self._registry.find_runs(names, due)
        self._take(self._ledger, [found])
        self._ledger.remove(set(due) - {run.run_id for run in found})

    def _take(self, ledger: RunLedger, pages: Iterable[list[Run]]) -> None:
        taken = 0
        for page in pages:
            if taken >= self._settings.max_runs:
                log.warning("runs older than the newest %d are not counted", taken)
                break
            ledger.update([run.choose_metrics(self._settings.run_metrics) for run in page], self._clock())
            taken += len(page)
            if self._stopping.is_set():
                break

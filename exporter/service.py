"""Composes the service: creates its parts, and starts and stops them in order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from exporter.audit.key_file import load_signing_key
from exporter.capture.capture import Capture
from exporter.config.file import ConfigFile, load_config_file
from exporter.config_files import read_again
from exporter.exposition.collector import DroppedSeries, SeriesCollector
from exporter.exposition.render import Format
from exporter.exposition.telemetry import Telemetry
from exporter.exposition.view import VersionView, version_view
from exporter.fleet import Fleet, Version
from exporter.ingest.commit import Answer, IngestRequest
from exporter.ingest.local_counting import LocalCounting
from exporter.ingest.writer import Commit, Writer
from exporter.kafka.topic_writer import TopicWriter
from exporter.monitoring.attributions import Attributions
from exporter.monitoring.checkpoints import Checkpoints
from exporter.monitoring.config_digest import digest_of_file
from exporter.monitoring.counting import Counting
from exporter.monitoring.discovery import Discovery
from exporter.monitoring.evaluator import Evaluator
from exporter.monitoring.group_counting import GroupCounting, refuse
from exporter.monitoring.importance_loader import ImportanceLoader
from exporter.monitoring.journal import Journal
from exporter.monitoring.loop import Loop
from exporter.monitoring.rebaseline import Rebaseliner
from exporter.monitoring.run_watcher import RunWatcher
from exporter.partitions.reader import count_partitions
from exporter.registry.registry import Registry
from exporter.remediation.remediation import Remediation
from exporter.reports.publishing import Publishing
from exporter.reports.reports import Reports
from exporter.sampling.reading import SampleReader, SampleSource
from exporter.sampling.stored import StoredSample
from exporter.serving_processes import ServingProcess, ServingProcesses
from exporter.settings import Settings, find_warnings
from exporter.storage.store import Store
from exporter.tokens import load_tokens

log = logging.getLogger(__name__)

# Takes a request; the future is done when it is durable, or fails with a `RequestError`.
Submit: TypeAlias = Callable[[IngestRequest], Future[Answer]]


class Service:
    """All parts of a running exporter.

    Args:
        settings: of the process.
        registry: MLflow.
        clock: seconds since the epoch.
        monotonic: seconds since any time.
        telemetry: of the process, where it has one already.
        leads: false while another process may lead; asked right before each write to MLflow, call of a
            target and sending of a report.

    Raises:
        ConfigError: the configuration file cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        telemetry: Telemetry | None = None,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        config = load_config_file(Path(settings.config), settings) if settings.config else None
        self.settings = settings
        self.tokens = load_tokens(settings.api_token_file, settings.api_tokens_file)
        for warning in find_warnings(settings):
            log.warning("%s", warning)
        self.clock = clock
        self.telemetry = telemetry if telemetry is not None else Telemetry(clock)
        self.telemetry.leads = leads
        self.telemetry.shard = None if settings.shard.is_whole else settings.shard
        self.fleet = Fleet(settings)
        self.serving_processes = ServingProcesses(monotonic)
        self.store = Store(
            settings.store, check=settings.store_check, count_fault=self.telemetry.count_store_error
        )
        self.counting: Counting
        sample: SampleSource
        commit: Commit
        if settings.role == "evaluator":
            group = GroupCounting(self.store, self.fleet, settings, clock)
            self.counting, sample, commit = group, group.rows, refuse
        else:
            random = np.random.default_rng()
            local = LocalCounting(self.store, self.fleet, settings, self.telemetry, clock, random)
            sample = StoredSample(self.store, lambda job: self.writer.call(job))
            self.counting, commit = local, local.commit
        self.writer = Writer(self.store, commit, settings, self.telemetry)
        self.topic_writer = (
            TopicWriter(
                settings,
                self.telemetry,
                clock,
                partial(count_partitions, self.store),
                self.store.lose,
            )
            if settings.ingest == "kafka"
            else None
        )
        self.submit: Submit = (self.topic_writer or self.writer).submit
        self.require_model = self.fleet.require_model
        parts = (settings, self.store, self.fleet, self.writer, self.counting, self.telemetry)
        self.capture = Capture(settings, self.fleet, self.telemetry.capture, self.submit, clock, monotonic)
        self.discovery = Discovery(*parts, registry, clock)
        self.samples = SampleReader(sample, settings)
        self.reports = Reports(
            settings,
            self.store,
            self.fleet,
            self.samples,
            self.telemetry.reports,
            lambda: self.writer.full,
            clock,
            monotonic,
        )
        self.journal = Journal(settings, self.store, self.writer, clock, self.reports.queue.add_for_verdicts)
        self.evaluator = Evaluator(*parts, self.journal, clock, monotonic)
        key = load_signing_key(settings)
        self.checkpoints = Checkpoints(
            settings, self.store, key, self.fleet, self.telemetry, registry, clock, leads
        )
        self.rebaseliner = Rebaseliner(settings, self.store, self.writer, self.counting, self.samples, clock)
        self.runs = RunWatcher(settings, registry, clock) if settings.runs else None
        poll, evaluation = settings.mlflow_poll_interval_seconds, settings.evaluation_interval_seconds
        self._evaluation = Loop("evaluation", self.evaluator.evaluate_all, evaluation)
        polling = Loop("registry", self.discovery.poll, poll)
        checkpoint = Loop("checkpoint", self.checkpoints.run, settings.audit_checkpoint_seconds)
        attributions = Attributions(settings, self.store, registry, self.samples)
        self.importance = ImportanceLoader(
            self.store, self.fleet, self.telemetry, registry, attributions, clock
        )
        importance = Loop("importance", self.importance.run, poll)
        capture = Loop("capture", self.capture.expire, 1)
        self._loops = [self._evaluation, polling, checkpoint, importance, self.reports.loop, capture]
        if self.runs is not None:
            self._loops.append(Loop("runs", self.runs.poll, poll))
        self.remediation = Remediation(
            settings, self.store, registry, self.fleet, self.telemetry.remediation, clock, polling.wake, leads
        )
        self.publishing = Publishing(
            settings,
            self.store,
            self.fleet,
            registry,
            self.reports,
            self.remediation.ledger,
            self.telemetry.reports,
            clock,
            leads,
        )
        self._loops.append(self.publishing.loop)
        self.ready = threading.Event()  # stored versions are loaded and evaluated
        self._collector = SeriesCollector(settings, self.telemetry)
        self._dropped: tuple[DroppedSeries, ...] = ()
        self._started = False
        if config is not None:
            self._use(config)

    def start(self) -> None:
        """Load the store and start the threads; repeated calls do nothing.

        Raises:
            StoreError: the store cannot be read.
        """
        if self._started:
            return
        self._started = True
        self.writer.start()
        if self.topic_writer is not None:
            self.topic_writer.start()
        self.journal.start(self.discovery.config_digest)
        self.discovery.restore()
        self.counting.load()
        self.evaluator.evaluate_all()
        self.ready.set()
        self.discovery.loader.start()
        for loop in self._loops:
            loop.start()
        self.remediation.engine.start()

    def fault(self) -> str:
        """Return what is wrong with the process; empty while its threads run and its store is there."""
        alive = [self.writer.alive(), self.discovery.loader.alive(), self.remediation.engine.alive()]
        if self.topic_writer is not None:
            alive.append(self.topic_writer.alive())
        if not all(alive + [loop.alive() for loop in self._loops]):
            return "a thread has died"
        return self.store.fault()

    def stop(self) -> None:
        """Commit what was accepted, and close the store."""
        for loop in self._loops:
            loop.stop()
        self.reports.worker.stop()
        self.publishing.stop()
        if self.runs is not None:
            self.runs.stop()
        self.discovery.loader.stop()
        self.remediation.engine.stop()
        self._evaluation.join(10)  # what may hang in a call of MLflow is left behind
        if self.topic_writer is not None:
            self.topic_writer.stop()
        self.writer.stop()
        self.journal.stop()
        self.checkpoints.close()
        self.store.close()

    def reload(self) -> None:
        """Read the files of tokens and of the configuration again. Any thread may call it.

        Raises:
            ConfigError: one cannot be used; what was read before stays in force.
        """
        self.tokens, config = read_again(self.settings, self.telemetry)
        if config is not None:
            self._use(config, "reload")
            log.info("%s is in use", self.settings.config)

    def _use(self, config: ConfigFile, cause: str = "start") -> None:
        self.discovery.configure(config, digest_of_file(config), cause)
        self.remediation.use(config.remediation)
        self.reports.use(config.reports)
        self.capture.use(config.capture)
        self.evaluator.habits.use(config.calendar)
        self.telemetry.config_successful, self.telemetry.config_last_success = True, self.clock()

    def scrape(self, form: Format, names: Collection[str], groups: Collection[str]) -> bytes:
        """Return the page of `/metrics`, without I/O, and without arithmetic beyond formatting."""
        now = self.clock()
        serving, versions = self.serving_processes.by_version(), self.fleet.versions
        views = [
            view for key, version in versions.items() if (view := self._view(version, serving.get(key, ())))
        ]
        runs = self.runs.families(now) if self.runs is not None else None
        page = self._collector.collect(views, now, runs, self.fleet.habits)
        if page.dropped != self._dropped:
            self._dropped = page.dropped
            for dropped in page.dropped:
                log.warning(
                    "%s version %s: bins of %d columns and %d segments are left out, the limit is %d series",
                    *(dropped.model, dropped.version, len(dropped.columns), len(dropped.segments)),
                    self.settings.max_series,
                )
        return page.select(names, groups).render(form)

    def _view(self, version: Version, processes: tuple[ServingProcess, ...]) -> VersionView | None:
        try:
            return version_view(version, self.fleet, processes)
        except ValueError:
            log.exception("%s version %s is left out", *version.names)
            self.telemetry.count_evaluation_error(*version.names, "evaluation")
            return None

"""The background: follow the registry, evaluate, tidy up.

Threads of their own, so that none waits for another: one polls MLflow, two load references, one evaluates.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from exporter.aggregates.state import VersionCounts
from exporter.aggregates.timeline import Timeline, until
from exporter.errors import ExporterError
from exporter.evaluation.drift import Evaluation, evaluate
from exporter.evaluation.model_quality import QualityEvaluation, evaluate_quality, prediction_effects
from exporter.evaluation.quality_references import QualityReferences, quality_rules
from exporter.evaluation.segments import SegmentEvaluation, evaluate_segment
from exporter.exposition.telemetry import Telemetry
from exporter.fleet import Findings, Fleet, Version
from exporter.ingest.retention import RetentionClock, UnmatchedLabels, tidy
from exporter.ingest.writer import Writer
from exporter.monitoring.discovery import Follower
from exporter.reference.profile import Segment
from exporter.settings import Settings
from exporter.storage.store import Store

log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Monitor:
    """Turns the loops, and keeps evaluations fresh."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        fleet: Fleet,
        writer: Writer,
        telemetry: Telemetry,
        follower: Follower,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._store = store
        self._fleet = fleet
        self._writer = writer
        self._telemetry = telemetry
        self._follower = follower
        self._clock = clock
        self._retention = RetentionClock(store, monotonic)
        self._unmatched = UnmatchedLabels(store)
        self._against = QualityReferences()
        self._stopping = threading.Event()
        self.ready = threading.Event()
        self._evaluation = self._thread("evaluation", self.evaluate_all, settings.evaluation_interval_seconds)
        self._threads = [
            self._evaluation,
            self._thread("registry", follower.poll, settings.mlflow_poll_interval_seconds),
        ]

    def start(self) -> None:
        """Serve what the store knows, then start to follow the registry."""
        self._follower.restore()
        self.evaluate_all()
        self.ready.set()
        self._follower.loader.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the evaluation; what may hang in a call of MLflow is left behind."""
        self._stopping.set()
        self._follower.loader.stop()
        self._evaluation.join(timeout=10)

    def alive(self) -> bool:
        """Whether the background runs."""
        return self._follower.loader.alive() and all(thread.is_alive() for thread in self._threads)

    def _thread(self, name: str, work: Callable[[], None], interval: float) -> threading.Thread:
        return threading.Thread(target=self._repeat, args=(name, work, interval), name=name, daemon=True)

    def _repeat(self, name: str, work: Callable[[], None], interval: float) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                work()
            except Exception:
                if not self._stopping.is_set():
                    log.exception("the %s loop failed and goes on", name)
            self._stopping.wait(max(0.0, interval - (time.monotonic() - started)))

    def evaluate_all(self) -> None:
        """Evaluate every version that has a reference; one that fails keeps its last figures for a while."""
        for version in self._fleet.versions.values():
            counts = version.counts
            if counts is None:
                continue
            started = time.monotonic()
            failures: list[str] = []
            work = partial(self._evaluate, version, counts, failures)
            self._attempt(version, "the evaluation", work, failures)
            version.failures = tuple(failures)
            self._telemetry.observe_evaluation(time.monotonic() - started)
        self._against.keep_only(set(self._fleet.versions.values()))
        try:
            self._writer.call(self._tidy).result()
        except ExporterError as error:
            log.error("tidying up failed: %s", error)

    def _attempt(self, version: Version, what: str, work: Callable[[], _T], failures: list[str]) -> _T | None:
        """Result of the work; None where it fails, which is logged and counted, and the rest goes on."""
        try:
            return work()
        except Exception as error:
            log.exception("%s version %s: %s failed", *version.names, what)
            self._telemetry.count_evaluation_error(*version.names, "evaluation")
            failures.append(f"{what} failed: {type(error).__name__}: {error}")
            return None

    def _evaluate(self, version: Version, counts: VersionCounts, failures: list[str]) -> None:
        now = self._clock()
        timeline = counts.timeline.snapshot(now)
        evaluation = evaluate(
            counts.reference,
            timeline,
            self._settings.windows,
            version.facts.thresholds,
            self._settings.drift_distances,
            now,
            version.evaluation,
        )
        quality = self._attempt(
            version,
            "the evaluation of its quality",
            lambda: self._evaluate_quality(version, counts, timeline, evaluation),
            failures,
        )
        segments = [
            self._attempt(
                version,
                f"the evaluation of segment {segment.name}",
                partial(self._evaluate_segment, version, counts, segment, evaluation),
                failures,
            )
            for segment in counts.reference.segments
        ]
        # Failed parts are left out: older figures must not look like those of this moment.
        version.findings = Findings(evaluation, quality or (), tuple(filter(None, segments)))

    def _evaluate_quality(
        self, version: Version, counts: VersionCounts, timeline: Timeline, evaluation: Evaluation
    ) -> tuple[QualityEvaluation, ...]:
        against = self._against.find(version, counts)
        if against is None:
            return ()
        return evaluate_quality(
            against,
            until(evaluation.at, counts.outcomes),
            timeline,
            self._settings.windows,
            quality_rules(version.facts.config),
            evaluation.at,
            thresholds=version.facts.thresholds,
            effects=prediction_effects(evaluation),
        )

    def _evaluate_segment(
        self, version: Version, counts: VersionCounts, segment: Segment, evaluation: Evaluation
    ) -> SegmentEvaluation:
        own = counts.segments[segment.name]
        return evaluate_segment(
            segment,
            own.timeline.snapshot(evaluation.at),
            until(evaluation.at, own.outcomes),
            evaluation,
            self._settings.windows,
            version.facts.thresholds,
            self._against.of_segments(version).get(segment.name),
            quality_rules(version.facts.config),
        )

    def _tidy(self) -> None:
        now = self._clock()
        kept = self._retention.advance(now)
        tidy(self._store, self._settings, self._fleet.versions.values(), kept, now)
        for model, labels in self._unmatched.sweep(now).items():
            self._telemetry.count_unmatched_labels(model, labels)
        size, limit = self._store.size_bytes(), self._settings.store_limit_bytes
        self._telemetry.store_bytes, self._telemetry.store_limit_bytes = size, limit
        if self._writer.full != (size >= limit):
            self._writer.full = size >= limit
            log.warning("the store has %d bytes of %d", size, limit)

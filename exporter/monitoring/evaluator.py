"""Periodic evaluation of all versions, and retention."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import TypeVar

from exporter.aggregates.state import VersionCounts
from exporter.aggregates.timeline import until
from exporter.audit.segments import Pruner
from exporter.errors import ExporterError
from exporter.evaluation.context import EvaluationContext, QualityRules
from exporter.evaluation.drift import evaluate
from exporter.evaluation.importance import weigh_drift
from exporter.evaluation.model_quality import evaluate_quality
from exporter.evaluation.quality_reference import QualityReferences, VersionQuality
from exporter.evaluation.segments import evaluate_segment
from exporter.exposition.telemetry import Telemetry
from exporter.fleet import Findings, Fleet, Version
from exporter.ingest.retention import RetentionClock
from exporter.ingest.writer import Writer
from exporter.monitoring.counting import Counting
from exporter.monitoring.habits import HabitWatch, widest_labelled
from exporter.monitoring.journal import Journal
from exporter.settings import Settings
from exporter.storage.store import Store

log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Evaluator:
    """Evaluates all versions and applies retention."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        fleet: Fleet,
        writer: Writer,
        counting: Counting,
        telemetry: Telemetry,
        journal: Journal,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._store = store
        self._fleet = fleet
        self._writer = writer
        self._counting = counting
        self._telemetry = telemetry
        self._journal = journal
        self._clock = clock
        self._retention = RetentionClock(store, monotonic)
        self._pruner = Pruner(store, settings.audit_retention_days)
        self._references = QualityReferences()
        self.habits = HabitWatch(fleet, counting.arrivals, telemetry)

    def evaluate_all(self) -> None:
        """Evaluate every version with a reference. One that fails keeps its last figures for a while."""
        try:
            self._writer.call(self._counting.refresh).result()
        except ExporterError as error:
            log.error("the counts are not up to date: %s", error)
        versions = self._fleet.versions.values()
        for version in versions:
            counts = version.counts
            if counts is None:
                continue
            started = time.monotonic()
            failures: list[str] = []
            work = partial(self._evaluate, version, counts, failures)
            self._attempt(version, "the evaluation", work, failures)
            version.failures = tuple(failures)
            self._telemetry.observe_evaluation(time.monotonic() - started)
        self._references.keep_only(self._fleet.versions.keys())
        self._fleet.habits = self.habits.judge(self._clock())
        self._record(versions)
        try:
            self._writer.call(self._tidy).result()
        except ExporterError as error:
            log.error("retention failed: %s", error)

    def _record(self, versions: Collection[Version]) -> None:
        try:
            self._journal.observe(versions)
        except ExporterError as error:
            log.error("what was found is not recorded yet: %s", error)
        except Exception:  # retention goes on
            log.exception("what was found could not be recorded")

    def _attempt(self, version: Version, what: str, work: Callable[[], _T], failures: list[str]) -> _T | None:
        """Result of the work; None if it fails, which is logged and counted."""
        try:
            return work()
        except Exception as error:
            log.exception("%s version %s: %s failed", *version.names, what)
            self._telemetry.count_evaluation_error(*version.names, "evaluation")
            failures.append(f"{what} failed: {type(error).__name__}: {error}")
            return None

    def _evaluate(self, version: Version, counts: VersionCounts, failures: list[str]) -> None:
        now, facts, reference = self._clock(), version.facts, counts.reference
        timeline = counts.timeline.snapshot(now)
        context = EvaluationContext(
            windows=self._settings.windows,
            now=now,
            thresholds=facts.thresholds,
            rules=QualityRules.of(facts.config),
            distances=self._settings.drift_distances,
            before=version.evaluation,
        ).with_effects(reference, timeline)
        evaluation = evaluate(reference, timeline, context)
        find_references = partial(
            self._references.find, version.names, counts, context.rules, version.run_metrics
        )
        of_quality = "the evaluation of its quality"
        against = self._attempt(version, of_quality, find_references, failures) or VersionQuality(None, {})
        outcomes = until(now, counts.outcomes)
        work = partial(evaluate_quality, against.whole, outcomes, timeline, context)
        quality = self._attempt(version, of_quality, work, failures) or ()
        segments = []
        for segment in reference.segments:
            own = counts.segments[segment.name]
            timeline, outcomes = own.timeline.snapshot(now), until(now, own.outcomes)
            own_against = against.segments.get(segment.name)
            work_on = partial(evaluate_segment, segment, timeline, outcomes, own_against, context)
            what = f"the evaluation of segment {segment.name}"
            segments.append(self._attempt(version, what, work_on, failures))
        # Failed parts are left out: older figures must not look current.
        importance = version.importance
        weighed = weigh_drift(importance, evaluation) if importance is not None else {}
        found = Findings(evaluation, quality, tuple(filter(None, segments)), weighed)
        version.findings = self._journal.dated(version, found)

    def _tidy(self) -> None:
        now = self._clock()
        kept = self._retention.advance(now)
        labelled = {version: widest_labelled(version) for version in self._fleet.versions.values()}
        coverages = {version: found.coverage for version, found in labelled.items() if found is not None}
        self._counting.tidy(kept, now, coverages)
        self._pruner.prune(kept, now)
        size, limit = self._store.size_bytes(), self._settings.store_limit_bytes
        self._telemetry.store_bytes, self._telemetry.store_limit_bytes = size, limit
        self._counting.watch(size)
        if self._writer.full != (size >= limit):
            self._writer.full = size >= limit
            log.warning("the store has %d bytes of %d", size, limit)

"""Reads or measures the importance of each version's columns, in a thread of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np

from exporter.aggregates.state import VersionCounts
from exporter.config.importance import PERMUTATION
from exporter.config.sampling import SampleConfig
from exporter.errors import ImportanceError, RegistryError, RequestError, StoreError
from exporter.evaluation.importance import AttributionDrift, Importance, ImportanceSource, make_importance
from exporter.exposition.telemetry import Telemetry
from exporter.fleet import Fleet, Version
from exporter.measures.importance import attribution_drift
from exporter.monitoring.attributions import Attributions
from exporter.reference.profile import Reference
from exporter.registry.importance import Declared
from exporter.registry.registry import Registry
from exporter.settings import DAY_SECONDS, HOUR_SECONDS
from exporter.storage.importances import StoredImportance, load_importance, save_importance
from exporter.storage.store import Store

RETRY_SECONDS = 300.0  # after MLflow or the store failed
RECHECK_SECONDS = float(HOUR_SECONDS)  # of what was declared, and of attributions
REMEASURE_SECONDS = float(DAY_SECONDS)  # after a failure

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Wanted:
    """Inputs of an importance: it is loaded again when one of them changes."""

    digest: str
    run_id: str
    tag: str
    setting: str
    sample: SampleConfig

    @property
    def measured(self) -> bool:
        return not self.tag and self.setting == PERMUTATION


@dataclass
class _Progress:
    """State of the loader for one version; `done` once its importance is measured for good."""

    wanted: _Wanted
    done: bool = False
    due: float = 0.0
    attribution_due: float = 0.0


class ImportanceLoader:
    """Keeps the importance of all versions up to date."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        telemetry: Telemetry,
        registry: Registry,
        attributions: Attributions,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._telemetry = telemetry
        self._registry = registry
        self._attributions = attributions
        self._clock = clock
        self._progress: dict[Version, _Progress] = {}

    def run(self) -> None:
        """Look after every version whose time has come, one after another."""
        versions = list(self._fleet.versions.values())
        self._progress = {v: progress for v, progress in self._progress.items() if v in set(versions)}
        for version in versions:
            counts = version.counts
            if counts is None:
                continue
            try:
                self._follow(version, counts)
            except RegistryError as error:  # it is asked again; what was known stays
                log.info("%s version %s: importance: %s", *version.names, error)
                self._progress[version].due = self._clock() + RETRY_SECONDS
            except StoreError as error:
                log.error("%s version %s: importance: %s", *version.names, error)
                self._telemetry.count_evaluation_error(*version.names, "store")
                self._progress[version].due = self._clock() + RETRY_SECONDS
            except Exception:
                log.exception("%s version %s: its importance failed", *version.names)
                self._telemetry.count_evaluation_error(*version.names, "importance")

    def _follow(self, version: Version, counts: VersionCounts) -> None:
        facts, config, now = version.facts, version.facts.config, self._clock()
        tag = facts.tags.get("monitoring.importance", "").strip()
        wanted = _Wanted(counts.reference.digest, facts.run_id, tag, config.importance, config.sample)
        progress = self._progress.get(version)
        if progress is None or progress.wanted != wanted:
            progress = self._progress[version] = _Progress(wanted)
            version.importance, version.importance_problem, version.attribution = None, "", None
            self._restore(version, counts.reference, progress, now)
        waits = now < progress.due <= now + REMEASURE_SECONDS  # unless the clock was put back
        if not progress.done and not waits:
            progress.due = now + RECHECK_SECONDS
            try:
                self._load(version, counts, progress, now)
            except (ImportanceError, RequestError) as error:
                self._fail(version, counts.reference, progress, str(error), now)
        importance = version.importance
        if importance is not None and importance.source == PERMUTATION and now >= progress.attribution_due:
            progress.attribution_due = now + RECHECK_SECONDS
            self._attribute(version, counts, importance, now)

    def _restore(self, version: Version, reference: Reference, progress: _Progress, now: float) -> None:
        """Use what is stored, so that a restart does not measure again and needs no MLflow."""
        with self._store.reading() as connection:
            stored = load_importance(connection, version.key, reference.digest)
        if stored is None or (stored.source == PERMUTATION) != progress.wanted.measured:
            return
        if stored.problem:
            version.importance_problem = stored.problem
        else:
            source = cast(ImportanceSource, stored.source)
            version.importance = make_importance(stored.weights, reference, source)
        if progress.wanted.measured:
            progress.done = version.importance is not None
            progress.due = stored.at + REMEASURE_SECONDS

    def _load(self, version: Version, counts: VersionCounts, progress: _Progress, now: float) -> None:
        """Read or measure, and keep what was found.

        Raises:
            ImportanceError: there is something, and it cannot be used.
            UnavailableError: no model can be run now.
        """
        wanted, reference = progress.wanted, counts.reference
        if wanted.measured:
            found: Declared | None = (self._attributions.of_reference(version, counts), "permutation")
            log.info("%s version %s: importance is measured", *version.names)
        else:
            found = self._registry.load_importance(wanted.run_id, wanted.tag, wanted.setting)
        importance = make_importance(found[0], reference, found[1]) if found is not None else None
        if found is not None and importance is None:
            raise ImportanceError("importance gives no feature of the reference a weight above 0")
        if importance != version.importance:
            stored = StoredImportance(found[1], now, found[0]) if found is not None else None
            with self._store.writing() as connection:
                save_importance(connection, version.key, reference.digest, stored)
            version.importance = importance
        version.importance_problem, progress.done = "", wanted.measured

    def _fail(
        self, version: Version, reference: Reference, progress: _Progress, problem: str, now: float
    ) -> None:
        log.warning("%s version %s: %s", *version.names, problem)
        self._telemetry.count_evaluation_error(*version.names, "importance")
        version.importance, version.importance_problem = None, problem
        if progress.wanted.measured:
            progress.due = now + REMEASURE_SECONDS
            with self._store.writing() as connection:
                failed = StoredImportance(PERMUTATION, now, {}, problem)
                save_importance(connection, version.key, reference.digest, failed)

    def _attribute(self, version: Version, counts: VersionCounts, importance: Importance, now: float) -> None:
        """Measure how far the attributions of recent live rows are from the reference's."""
        version.attribution = None
        try:
            measured = self._attributions.of_live_rows(version, counts, now)
        except (ImportanceError, RequestError) as error:
            log.warning("%s version %s: attribution drift: %s", *version.names, error)
            self._telemetry.count_evaluation_error(*version.names, "importance")
            version.importance_problem = f"attribution drift cannot be measured: {error}"
            return
        version.importance_problem = ""
        if measured is not None:
            weights, rows = measured
            reference = counts.reference
            found = make_importance(weights, reference, "permutation")
            if found is not None:
                live, before = (np.nan_to_num(each.of_columns(reference)) for each in (found, importance))
                value = attribution_drift(live, before)
                version.attribution = AttributionDrift(now, value, rows, found.shares)

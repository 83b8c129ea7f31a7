"""The background: follow the registry, load references, evaluate, tidy up.

Three kinds of threads, so that none waits for another: one polls MLflow, two load references (a broken or
slow artifact holds up at most one of them for a while), one evaluates. MLflow being down changes nothing for
the versions that are known already, after a restart neither: what is needed of them is in the store.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from exporter.config import Settings
from exporter.errors import ExporterError, ReferenceInvalidError, ReferenceNotFoundError, RegistryError
from exporter.evaluation import Thresholds, evaluate
from exporter.fleet import Facts, Fleet, Status, Version
from exporter.live_reference import live_reference
from exporter.profile import ReferenceData, build_reference
from exporter.registry import Registry
from exporter.store import AliasMove, Store
from exporter.telemetry import Telemetry
from exporter.versions import Registered, RegisteredVersion
from exporter.writer import Writer

REFERENCE_RETRY_SECONDS = 300.0
MAX_RUN_METRICS = 50  # of a source run, the first by name
_THRESHOLD_TAG = "monitoring.drift_threshold"

log = logging.getLogger(__name__)


class Monitor:
    """Keeps the fleet in step with the registry, and its evaluations fresh."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        fleet: Fleet,
        writer: Writer,
        telemetry: Telemetry,
        registry: Registry,
    ) -> None:
        self._settings = settings
        self._store = store
        self._fleet = fleet
        self._writer = writer
        self._telemetry = telemetry
        self._registry = registry
        self._stopping = threading.Event()
        self._loaders = ThreadPoolExecutor(2, thread_name_prefix="reference")
        self._loading: set[tuple[str, str]] = set()
        self._next_try: dict[tuple[str, str], float] = {}
        self._without_metrics: set[tuple[str, str]] = set()
        self._registered: dict[tuple[str, str], RegisteredVersion] = {}
        self.registry_error = "not asked yet"
        self.ready = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=args, name=args[0], daemon=True)
            for args in (
                ("registry", self.poll, settings.mlflow_poll_interval_seconds),
                ("evaluation", self.evaluate_all, settings.evaluation_interval_seconds),
            )
        ]

    def start(self) -> None:
        """Serve what the store knows, then start to follow the registry."""
        self._restore()
        self.evaluate_all()
        self.ready.set()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._loaders.shutdown(wait=False, cancel_futures=True)
        self._threads[1].join(timeout=10)  # the registry's thread may hang in a call, it is left behind

    def alive(self) -> bool:
        """Whether the background runs."""
        return all(thread.is_alive() for thread in self._threads)

    def _repeat(self, name: str, work: Callable[[], None], interval: float) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                work()
            except Exception:
                log.exception("the %s loop failed and goes on", name)
            self._stopping.wait(max(0.0, interval - (time.monotonic() - started)))

    # -- registry -------------------------------------------------------------------------------------------

    def _restore(self) -> None:
        moves = self._store.load_alias_moves()
        self._fleet.record(moves)
        aliases = self._fleet.current_aliases()
        now = time.time()
        recent = {(move.model, move.version) for move in moves if move.version}
        for model, number in recent:
            held = tuple(sorted(a for (m, a), v in aliases.items() if (m, v) == (model, number)))
            version = self._make(model, number)
            version.aliases = held
            if not held:
                ends = [move.since for move in moves if move.model == model and move.version != number]
                version.unaliased_since = max(ends, default=0.0)
            if held or not self._retired(version, now):
                self._fleet.add(version)
                self._load_stored(version)

    def poll(self) -> None:
        """Ask the registry once and follow what it says."""
        try:
            registered = self._registry.poll()
        except RegistryError as error:
            if self._telemetry.mlflow_up is not False:
                log.warning("MLflow: %s", error)
            self._telemetry.mlflow_up, self.registry_error = False, str(error)
            return
        self._telemetry.mlflow_up, self.registry_error = True, ""
        self._telemetry.mlflow_last_success = time.time()
        self._follow(registered, time.time())
        self._load_references(time.time())

    def _follow(self, registered: Registered, now: float) -> None:
        models = registered.models
        aliased = {(model.name, number) for model in models.values() for number in model.aliases.values()}
        named = {key for key in self._fleet.wanted if key[0] in models and key[1] in models[key[0]].versions}
        self._record_moves(registered, now)
        self._fleet.known = {model.name: frozenset(model.versions) for model in models.values()}
        for key in sorted((aliased | named) - self._fleet.versions.keys()):
            if len(self._fleet.versions) >= self._settings.max_versions:
                log.warning(
                    "%s version %s is not monitored: %d versions are", *key, self._settings.max_versions
                )
                break
            self._fleet.add(self._make(*key))
            log.info("%s version %s is monitored", *key)
        gone = []
        for key, version in self._fleet.versions.items():
            found = models[key[0]].versions.get(key[1]) if key[0] in models else None
            self._update(version, found)
            version.unaliased_since = None if version.aliases else version.unaliased_since or now
            if self._retired(version, now):
                gone.append(key)
        self._fleet.remove(gone)
        for key in gone:
            log.info("%s version %s is not monitored any more", *key)
            self._telemetry.forget_version(*key)
            self._registered.pop(key, None)

    def _update(self, version: Version, found: RegisteredVersion | None) -> None:
        """Take over what the registry says of a version; None where it has none such any more."""
        key = (version.model, version.version)
        version.aliases = tuple(sorted(found.aliases)) if found is not None else ()
        if found is None or self._registered.get(key) == found:
            return
        version.facts = replace(_facts(found, self._settings), run_metrics=version.facts.run_metrics)
        self._registered[key] = found
        self._next_try.pop(key, None)  # a tag may name another reference
        self._without_metrics.add(key)

    def _record_moves(self, registered: Registered, now: float) -> None:
        before = self._fleet.current_aliases()
        after = {
            (model.name, alias): number
            for model in registered.models.values()
            for alias, number in model.aliases.items()
        }
        moves = [AliasMove(*key, number, now) for key, number in after.items() if before.get(key) != number]
        moves += [AliasMove(*key, "", now) for key in before.keys() - after.keys()]
        if moves:
            self._store.add_alias_moves(moves)
            self._fleet.record(moves)

    def _make(self, model: str, number: str) -> Version:
        key = self._store.version_id(model, number)
        version = Version(key, model, number)
        version.last_prediction = self._store.last_prediction(key)
        return version

    def _retired(self, version: Version, now: float) -> bool:
        """Whether a version is long past its last alias and its last row."""
        if version.unaliased_since is None:
            return False
        last = max(version.unaliased_since, version.last_prediction or 0.0)
        return now - last > self._settings.retire_after_seconds

    # -- references -----------------------------------------------------------------------------------------

    def _load_references(self, now: float) -> None:
        for key, version in self._fleet.versions.items():
            due = self._next_try.get(key, 0.0) <= now
            if version.binning is None and key not in self._loading and due and key in self._registered:
                self._loading.add(key)
                self._next_try[key] = now + REFERENCE_RETRY_SECONDS
                self._loaders.submit(self._load, version, self._registered[key])
            if key in self._without_metrics:
                self._without_metrics.discard(key)
                self._loaders.submit(self._load_run_metrics, version, self._registered[key])

    def _load_run_metrics(self, version: Version, registered: RegisteredVersion) -> None:
        try:
            metrics = self._registry.load_run_metrics(registered)
        except RegistryError as error:
            log.warning("%s version %s: no metrics of its run: %s", version.model, version.version, error)
            self._without_metrics.add((version.model, version.version))
            return
        finite = sorted((name, value) for name, value in metrics.items() if math.isfinite(value))
        version.facts = replace(version.facts, run_metrics=dict(finite[:MAX_RUN_METRICS]))

    def _load(self, version: Version, registered: RegisteredVersion) -> None:
        key = (version.model, version.version)
        try:
            if not self._load_stored(version):
                self._activate(version, self._registry.load_reference(registered))
        except ReferenceNotFoundError as error:
            self._do_without(version, Status.NO_REFERENCE, str(error))
        except ReferenceInvalidError as error:
            log.warning("%s version %s: %s", *key, error)
            self._telemetry.count_evaluation_error(*key, "reference")
            self._do_without(version, Status.BROKEN, str(error))
        except RegistryError as error:
            version.detail = str(error)
            self._next_try.pop(key, None)  # MLflow's fault: again at the next poll
        except Exception as error:
            log.exception("%s version %s: the reference could not be loaded", *key)
            self._telemetry.count_evaluation_error(*key, "reference")
            version.status, version.detail = Status.BROKEN, f"internal error: {error}"
        finally:
            self._loading.discard(key)

    def _load_stored(self, version: Version) -> bool:
        """Give a version the reference that the store has of it."""
        stored = self._store.load_reference(version.key)
        if stored is None:
            return False
        self._writer.call(lambda: self._writer.activate(version, stored[1], stored[0])).result()
        return True

    def _activate(self, version: Version, data: ReferenceData) -> None:
        reference = build_reference(data, self._settings.windows, self._settings.max_columns)
        self._writer.call(lambda: self._writer.activate(version, reference, None)).result()
        log.info(
            "%s version %s: reference from %s, %d rows, %d columns",
            version.model, version.version, reference.source, reference.rows, len(reference.columns),
        )  # fmt: skip

    def _do_without(self, version: Version, status: Status, detail: str) -> None:
        wanted = self._settings.reference_live_rows
        if status is Status.NO_REFERENCE and wanted:
            version.status, version.detail = (
                Status.COLLECTING,
                f"{detail}; the first {wanted} live rows will be it",
            )
            if version.spooled_rows >= wanted:
                self._activate(
                    version, live_reference(self._store.load_spooled(version.key), wanted, self._settings)
                )
            else:
                self._next_try.pop((version.model, version.version), None)
            return
        version.status, version.detail = status, detail
        self._writer.call(lambda: self._writer.discard_spooled(version)).result()

    # -- evaluation -----------------------------------------------------------------------------------------

    def evaluate_all(self) -> None:
        """Evaluate every version that has a reference; one that fails keeps its last figures for a while."""
        for key, version in self._fleet.versions.items():
            binning = version.binning
            if binning is None:
                continue
            started = time.monotonic()
            try:
                version.evaluation = evaluate(
                    binning.reference,
                    binning.timeline.snapshot(),
                    self._settings.windows,
                    version.facts.thresholds,
                    self._settings.drift_distances,
                    time.time(),
                )
            except Exception:
                log.exception("%s version %s could not be evaluated", *key)
                self._telemetry.count_evaluation_error(*key, "evaluation")
            self._telemetry.observe_evaluation(time.monotonic() - started)
        try:
            self._writer.call(lambda: self._writer.tidy(time.time())).result()
        except ExporterError as error:
            log.error("tidying up failed: %s", error)


def _facts(found: RegisteredVersion, settings: Settings) -> Facts:
    default, by_column = settings.drift_threshold, {}
    for name, text in {**found.model_tags, **found.tags}.items():
        if name != _THRESHOLD_TAG and not name.startswith(f"{_THRESHOLD_TAG}."):
            continue
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < 1000:
            log.warning("%s version %s: tag %s is %r, no threshold", found.model, found.version, name, text)
        elif name == _THRESHOLD_TAG:
            default = value
        else:
            by_column[name.removeprefix(f"{_THRESHOLD_TAG}.")] = value
    return Facts(run_id=found.run_id, team=found.team, thresholds=Thresholds(default, by_column))

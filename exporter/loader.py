"""References of versions, made in threads of their own: a slow or broken artifact holds up no evaluation."""

from __future__ import annotations

import ctypes
import logging
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from queue import Queue

import pyarrow as pa

from exporter.config import Settings
from exporter.errors import (
    ExporterError,
    ReferenceInvalidError,
    ReferenceNotFoundError,
    RegistryError,
    StoreError,
)
from exporter.fleet import Status, Version
from exporter.live_reference import live_reference
from exporter.profile import ReferenceData, build_reference
from exporter.reference import Reference
from exporter.registry import Registry
from exporter.store import Store
from exporter.telemetry import Telemetry
from exporter.upkeep import activate, do_without, recount
from exporter.versions import RegisteredVersion
from exporter.writer import Writer

THREADS = 2
RETRY_SECONDS = 300.0
MAX_RUN_METRICS = 50  # of a source run, the first by name

log = logging.getLogger(__name__)


def release_memory() -> None:
    """Give back what was freed: a large reference would leave some hundred megabytes with glibc for good."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class ReferenceLoader:
    """Finds references and metrics of runs. One thread asks; two others, which may hang, do it."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        writer: Writer,
        telemetry: Telemetry,
        registry: Registry,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._store = store
        self._writer = writer
        self._telemetry = telemetry
        self._registry = registry
        self._clock = clock
        self._jobs: Queue[Callable[[], None] | None] = Queue()
        self._loading: set[Version] = set()
        self._next_try: dict[Version, float] = {}
        self._without_metrics: set[Version] = set()
        self._memory = threading.Lock()  # one reference at a time: each may take 400 MB
        # Daemons: a call of MLflow that hangs must not keep the process from ending.
        self._threads = [
            threading.Thread(target=self._run, name=f"reference {number}", daemon=True)
            for number in range(THREADS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the threads end when they have done what they are at."""
        for _ in self._threads:
            self._jobs.put(None)

    def alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def idle(self) -> bool:
        """Whether everything that was asked for is done."""
        return not self._jobs.unfinished_tasks

    def load_stored(self, version: Version) -> bool:
        """Give a version the reference that the store has of it; False where it has none."""
        stored = self._store.load_reference(version.key)
        if stored is None:
            return False
        reference_id, reference = stored
        self._give(version, reference, reference_id)
        return True

    def renew(self, version: Version) -> None:
        """Look again at the next call of `follow`: something about the version has changed."""
        self._next_try.pop(version, None)
        self._without_metrics.add(version)

    def forget(self, version: Version) -> None:
        self._next_try.pop(version, None)
        self._without_metrics.discard(version)

    def follow(self, version: Version, registered: RegisteredVersion, now: float) -> None:
        """Have made what a version lacks and what is due."""
        if version in self._without_metrics:
            self._without_metrics.discard(version)
            self._jobs.put(partial(self._load_run_metrics, version, registered))
        if version in self._loading:
            return
        if version.binning is not None:
            if version.binning.maturation_seconds != version.facts.config.maturation:
                self._loading.add(version)
                self._jobs.put(partial(self._recount, version))
            return
        if version.status is Status.COLLECTING and version.spooled_rows >= self._settings.reference_live_rows:
            self._submit(version, partial(self._collect, version))
        elif self._next_try.get(version, 0.0) <= now:
            self._next_try[version] = now + RETRY_SECONDS
            self._submit(version, partial(self._find, version, registered))

    def _submit(self, version: Version, work: Callable[[], None]) -> None:
        self._loading.add(version)
        self._jobs.put(partial(self._load, version, work))

    # -- in the threads -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:
                log.exception("a loader's job failed")
            finally:
                self._jobs.task_done()

    def _load(self, version: Version, work: Callable[[], None]) -> None:
        """Do the work, and say of a version what came in the way."""
        try:
            try:
                work()
            except ReferenceNotFoundError as error:
                self._do_without(version, str(error))
            except (RegistryError, StoreError):
                raise
            except Exception as error:
                if isinstance(error, ReferenceInvalidError):
                    log.warning("%s version %s: %s", *version.names, error)
                    detail = str(error)
                else:
                    log.exception("%s version %s: no reference could be made", *version.names)
                    detail = f"internal error: {error}"
                self._telemetry.count_evaluation_error(*version.names, "reference")
                self._say(version, Status.BROKEN, detail)
        except ExporterError as error:  # MLflow's fault or the store's: again at the next poll
            if isinstance(error, StoreError):
                log.error("%s version %s: %s", *version.names, error)
                self._telemetry.count_evaluation_error(*version.names, "store")
            if version.binning is None:
                version.detail = str(error)
            self._next_try.pop(version, None)
        finally:
            self._loading.discard(version)

    def _find(self, version: Version, registered: RegisteredVersion) -> None:
        if not self.load_stored(version):
            config = version.facts.config
            with self._registry.load_reference(registered, config, self._memory) as data:
                reference = self._build(data)
            del data
            release_memory()
            self._activate(version, reference)

    def _recount(self, version: Version) -> None:
        try:
            self._writer.call(lambda: recount(self._store, self._settings, version)).result()
        except StoreError as error:  # again at the next poll
            log.error("%s version %s: %s", *version.names, error)
            self._telemetry.count_evaluation_error(*version.names, "store")
        finally:
            self._loading.discard(version)

    def _collect(self, version: Version) -> None:
        rows = self._settings.reference_live_rows
        with self._memory:
            data = live_reference(self._store.load_spooled(version.key), rows, self._settings)
            said = version.facts.config.reference_fields() | {"split": data.split} | data.named
            reference = self._build(replace(data, **said))
        self._activate(version, reference)

    def _build(self, data: ReferenceData) -> Reference:
        return build_reference(data, self._settings.windows, self._settings.max_columns)

    def _activate(self, version: Version, reference: Reference) -> None:
        self._give(version, reference, None)
        if version.binning is None or version.binning.reference is not reference:
            return
        log.info(
            "%s version %s: reference from %s, %d rows, %d columns",
            *(*version.names, reference.source, reference.rows, len(reference.columns)),
        )
        for note in reference.notes:
            log.info("%s version %s: %s", *version.names, note)

    def _give(self, version: Version, reference: Reference, reference_id: int | None) -> None:
        """Give a version its reference, unless it was given one meanwhile, by hand."""

        def give() -> None:
            if version.binning is None:
                activate(self._store, self._settings, version, reference, reference_id, self._clock())

        self._writer.call(give).result()

    def _do_without(self, version: Version, detail: str) -> None:
        rows = self._settings.reference_live_rows
        if not rows:
            self._say(version, Status.NO_REFERENCE, detail)
            return
        self._say(version, Status.COLLECTING, f"{detail}; the first {rows} live rows will be it")
        self._next_try.pop(version, None)  # it may come until they are there

    def _say(self, version: Version, status: Status, detail: str) -> None:
        if (version.status, version.detail) != (status, detail):
            self._writer.call(lambda: do_without(self._store, version, status, detail)).result()

    def _load_run_metrics(self, version: Version, registered: RegisteredVersion) -> None:
        try:
            metrics = self._registry.load_run_metrics(registered)
        except RegistryError as error:
            log.warning("%s version %s: no metrics of its run: %s", *version.names, error)
            self._without_metrics.add(version)
            return
        finite = sorted((name, value) for name, value in metrics.items() if math.isfinite(value))
        version.run_metrics = dict(finite[:MAX_RUN_METRICS])

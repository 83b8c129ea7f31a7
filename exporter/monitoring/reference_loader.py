"""Loads references in threads of its own, so that a slow or broken artifact delays no evaluation."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from queue import Queue
from typing import TypeAlias

from exporter.config.sampling import SampleConfig
from exporter.errors import (
    ExporterError,
    ReferenceInvalidError,
    ReferenceNotFoundError,
    RegistryError,
    StoreError,
)
from exporter.exposition.telemetry import Telemetry
from exporter.fleet import Status, Version
from exporter.ingest.activation import set_detail
from exporter.ingest.writer import Writer
from exporter.monitoring.counting import Counting
from exporter.monitoring.entries import of_missing_reference, of_reference
from exporter.profiling.from_live_rows import live_reference
from exporter.profiling.isolated import Profiled, profile, renew_rows
from exporter.reference.profile import Reference
from exporter.registry.models import RegisteredVersion
from exporter.registry.registry import Registry
from exporter.registry.runs import finite_metrics
from exporter.sampling.reading import rows_to_keep
from exporter.settings import Settings
from exporter.storage.reference_rows import (
    delete_reference_rows,
    load_reference_rows,
    put_reference_rows,
    were_looked_for,
)
from exporter.storage.store import Store

THREADS = 2
REFERENCE_RETRY_SECONDS = 300.0
WITHOUT_SOURCE = ("live", "file")  # references that MLflow does not have

log = logging.getLogger(__name__)

_RowsOf: TypeAlias = tuple[int, SampleConfig]  # a reference, and how its rows are kept


@dataclass
class _Progress:
    """State of the loader for one version.

    `follow` sets `loading` and `metrics_loading`, and the job that it queues then clears them. `next_try` and
    `metrics_due` are requests, which any thread may set. `rows_of` is the reference whose rows were looked
    for last, and the configuration by which they are kept.
    """

    loading: bool = False
    next_try: float = 0.0
    rows_of: _RowsOf | None = None
    metrics_loading: bool = False
    metrics_due: bool = True


class ReferenceLoader:
    """Loads references and metrics of runs. One thread queues jobs; two others, which may hang, run them.

    A job that ends after its version was forgotten has no effect on other versions.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        writer: Writer,
        counting: Counting,
        telemetry: Telemetry,
        registry: Registry,
    ) -> None:
        self._settings = settings
        self._store = store
        self._writer = writer
        self._counting = counting
        self._telemetry = telemetry
        self._registry = registry
        self._jobs: Queue[Callable[[], None] | None] = Queue()
        self._progress: dict[Version, _Progress] = {}  # set and removed by the thread that queues jobs
        # Daemons: a call of MLflow that hangs must not keep the process from ending.
        self._threads = [
            threading.Thread(target=self._run, name=f"reference {number}", daemon=True)
            for number in range(THREADS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the threads end after their current jobs."""
        for _ in self._threads:
            self._jobs.put(None)

    def alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def idle(self) -> bool:
        """True when all queued jobs are done."""
        return not self._jobs.unfinished_tasks

    def load_stored(self, version: Version) -> bool:
        """Give a version its stored reference; False if there is none."""
        stored = self._store.load_reference(version.key)
        if stored is None:
            return False
        reference_id, reference = stored
        self._give(version, reference, reference_id)
        return True

    def renew(self, version: Version) -> None:
        """Look again at the next call of `follow`, because something about the version has changed."""
        progress = self._progress.get(version)
        if progress is not None:
            progress.next_try, progress.metrics_due = 0.0, True

    def forget(self, version: Version) -> None:
        self._progress.pop(version, None)

    def follow(self, version: Version, registered: RegisteredVersion, now: float) -> None:
        """Queue the jobs that are due for a version."""
        progress = self._progress.setdefault(version, _Progress())
        if progress.metrics_due and not progress.metrics_loading:
            progress.metrics_due, progress.metrics_loading = False, True
            self._jobs.put(partial(self._load_run_metrics, version, progress, registered))
        if progress.loading:
            return
        # or the clock was put back
        due = not now < progress.next_try <= now + REFERENCE_RETRY_SECONDS
        if version.counts is not None:
            if version.counts.maturation_seconds != version.facts.config.maturation:
                progress.loading = True
                self._jobs.put(partial(self._recount, version, progress))
            elif progress.rows_of != (rows_of := _rows_of(version, version.counts.reference_id)) and due:
                progress.next_try, progress.loading = now + REFERENCE_RETRY_SECONDS, True
                self._jobs.put(partial(self._find_rows, version, progress, registered, rows_of))
            return
        if version.status is Status.COLLECTING and version.waiting_rows >= self._settings.reference_live_rows:
            self._submit(version, progress, partial(self._collect, version))
        elif due:
            progress.next_try = now + REFERENCE_RETRY_SECONDS
            self._submit(version, progress, partial(self._find, version, registered))

    def _submit(self, version: Version, progress: _Progress, work: Callable[[], None]) -> None:
        progress.loading = True
        self._jobs.put(partial(self._load, version, progress, work))

    # -- in the threads -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:
                log.exception("a loader's job failed")
            finally:
                del job  # or its version would be kept until the next one
                self._jobs.task_done()

    def _load(self, version: Version, progress: _Progress, work: Callable[[], None]) -> None:
        """Do the work, and set the status of the version if it fails."""
        try:
            try:
                work()
            except ReferenceNotFoundError as error:
                self._do_without(version, progress, str(error))
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
        except ExporterError as error:  # of MLflow or the store: retried at the next poll
            if isinstance(error, StoreError):
                log.error("%s version %s: %s", *version.names, error)
                self._telemetry.count_evaluation_error(*version.names, "store")
            with suppress(StoreError):  # the service is stopping
                self._writer.call(partial(set_detail, version, str(error))).result()
            progress.next_try = 0.0
        finally:
            # MLflow's client ties each file that it downloads, and its threads, into a cycle.
            gc.collect()
            progress.loading = False

    def _find(self, version: Version, registered: RegisteredVersion) -> None:
        if not self.load_stored(version):
            self._activate(version, self._profile(version, registered))

    def _profile(self, version: Version, registered: RegisteredVersion) -> Profiled:
        config, settings = version.facts.config, self._settings
        keep = rows_to_keep(self._store, config.sample)
        return self._registry.load_reference(registered, config, lambda file: profile(file, settings, keep))

    def _find_rows(
        self,
        version: Version,
        progress: _Progress,
        registered: RegisteredVersion,
        rows_of: _RowsOf,
    ) -> None:
        """Have the rows of a reference stored as they are to be: read that of an older store once more."""
        try:
            reference_id, sample = rows_of
            with self._store.reading() as connection:
                known = were_looked_for(connection, reference_id)
            if known and not sample.rows:
                self._keep_rows(version, reference_id, None)
            elif sample.rows and not known:
                self._keep_rows(version, reference_id, self._read_again(version, registered))
            elif known and (sample.leave_out or sample.hash):
                self._treat_again(version, reference_id, sample)
            progress.rows_of = rows_of
        except (RegistryError, StoreError) as error:  # retried later
            log.warning("%s version %s: no rows of its reference: %s", *version.names, error)
        except Exception:
            log.exception("%s version %s: no rows of its reference", *version.names)
            progress.rows_of = rows_of
        finally:
            gc.collect()
            progress.loading = False

    def _read_again(self, version: Version, registered: RegisteredVersion) -> bytes:
        """Rows of a version's reference from where it was found; empty if another is there now, or none."""
        counts = version.counts
        if counts is None or counts.reference.source in WITHOUT_SOURCE:
            return b""
        try:
            found = self._profile(version, registered)
        except (ReferenceNotFoundError, ReferenceInvalidError) as error:
            log.info("%s version %s: no rows of its reference: %s", *version.names, error)
            return b""
        if found.reference.counts.tolist() == counts.reference.counts.tolist():
            return found.rows
        log.info("%s version %s: its reference is not where it was: reports lack it", *version.names)
        return b""

    def _treat_again(self, version: Version, reference_id: int, sample: SampleConfig) -> None:
        """Leave out and hash what the configuration names since the rows were stored."""
        keep = rows_to_keep(self._store, sample)
        with self._store.reading() as connection:
            stored = load_reference_rows(connection, reference_id)
        if stored and keep is not None and (renewed := renew_rows(stored, keep)) != stored:
            self._keep_rows(version, reference_id, renewed)

    def _keep_rows(self, version: Version, reference_id: int, rows: bytes | None) -> None:
        """Store rows of a reference, unless it was replaced meanwhile; None deletes them."""

        def keep() -> None:
            if version.counts is None or version.counts.reference_id != reference_id:
                return
            with self._store.begin() as transaction:
                if rows is None:
                    delete_reference_rows(transaction.connection, reference_id)
                else:
                    put_reference_rows(transaction.connection, reference_id, rows)

        self._writer.call(keep).result()

    def _recount(self, version: Version, progress: _Progress) -> None:
        try:
            self._writer.call(partial(self._counting.recount, version)).result()
        except StoreError as error:  # retried at the next poll
            log.error("%s version %s: %s", *version.names, error)
            self._telemetry.count_evaluation_error(*version.names, "store")
        finally:
            progress.loading = False

    def _collect(self, version: Version) -> None:
        rows = self._settings.reference_live_rows
        data = live_reference(self._counting.load_waiting(version), rows, self._settings)
        config = version.facts.config
        said = config.reference_fields() | {"split": data.split} | data.named
        keep = rows_to_keep(self._store, config.sample)
        self._activate(version, profile(replace(data, **said), self._settings, keep))

    def _activate(self, version: Version, profiled: Profiled) -> None:
        reference = profiled.reference
        self._give(version, reference, None, profiled.rows)
        if version.counts is None or version.counts.reference is not reference:
            return
        log.info(
            "%s version %s: reference from %s, %d rows, %d columns",
            *(*version.names, reference.source, reference.rows, len(reference.columns)),
        )
        for note in reference.remarks:
            log.info("%s version %s: %s", *version.names, note)

    def _give(
        self, version: Version, reference: Reference, reference_id: int | None, rows: bytes = b""
    ) -> None:
        """Give a version its reference, unless it was given one by hand meanwhile."""

        def give() -> None:
            if version.counts is None:
                entry = of_reference(version, reference) if reference_id is None else None
                self._counting.activate(version, reference, reference_id, entry, rows)

        self._writer.call(give).result()

    def _do_without(self, version: Version, progress: _Progress, detail: str) -> None:
        rows = self._settings.reference_live_rows
        if not rows:
            self._say(version, Status.NO_REFERENCE, detail)
            return
        self._say(version, Status.COLLECTING, f"{detail}; the first {rows} live rows will be it")
        progress.next_try = 0.0  # a reference may still appear

    def _say(self, version: Version, status: Status, detail: str) -> None:
        if (version.status, version.detail) != (status, detail):
            changed = version.status != status
            entries = [of_missing_reference(version, status, detail)] if changed else []
            self._writer.call(partial(self._counting.do_without, version, status, detail, entries)).result()

    def _load_run_metrics(self, version: Version, progress: _Progress, registered: RegisteredVersion) -> None:
        try:
            metrics = self._registry.load_run_metrics(registered)
            version.run_metrics = finite_metrics(metrics)
        except RegistryError as error:
            log.warning("%s version %s: no metrics of its run: %s", *version.names, error)
            progress.metrics_due = True
        finally:
            progress.metrics_loading = False


def _rows_of(version: Version, reference_id: int) -> _RowsOf:
    """Reference whose rows belong in the store, and how they are kept."""
    return reference_id, version.facts.config.sample

"""Replacing a version's reference on request, such as after a lasting and accepted change of its data."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from exporter.audit.record import Entry
from exporter.errors import MalformedError, ReferenceInvalidError, StoreError, UnavailableError
from exporter.fleet import Status, Version
from exporter.ingest.activation import activate
from exporter.ingest.recount import recount
from exporter.ingest.writer import Writer
from exporter.monitoring.entries import of_reference
from exporter.profiling.column_roles import USUAL_NAMES
from exporter.profiling.data import ReferenceFile
from exporter.profiling.from_recent_counts import recent_reference
from exporter.profiling.isolated import profile
from exporter.reference.profile import Reference
from exporter.settings import Settings, Window
from exporter.storage.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """Request to replace a reference: by whom, and the reason."""

    by: str
    reason: str


class Rebaseliner:
    """Replaces references. Counts in the old reference's bins stay stored; windows start empty."""

    def __init__(self, settings: Settings, store: Store, writer: Writer, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._store = store
        self._writer = writer
        self._clock = clock

    def from_live(self, version: Version, period: Window, order: Order) -> tuple[Entry, Reference]:
        """Replace the reference by the rows of the last `period`, in the same bins.

        Raises:
            MalformedError: the version has no reference, or too few rows.
            UnavailableError: the store failed; nothing has changed.
        """
        counts = version.counts
        if counts is None:
            raise MalformedError("the version has no reference whose bins could stay: send a file", "live")
        now = self._clock()
        try:
            reference = recent_reference(
                counts.reference,
                counts.timeline.snapshot(now),
                {name: part.timeline.snapshot(now) for name, part in counts.segments.items()},
                period,
                self._settings.windows,
                now,
            )
        except ReferenceInvalidError as error:
            raise MalformedError(str(error), "live") from error
        return self._replace(version, reference, order), reference

    def from_file(self, version: Version, parquet: bytes, order: Order) -> tuple[Entry, Reference]:
        """Replace the reference by a Parquet file, with new bins.

        Task, target and column roles are those of the configuration, or else of the reference before.

        Raises:
            MalformedError: the file cannot be a reference.
            UnavailableError: the version's first reference is still searched for, or the store failed.
        """
        if version.counts is None and version.status is Status.PENDING:
            raise UnavailableError("its first reference is still looked for", retry_after_seconds=30)
        said: dict[str, Any] = {}
        if version.counts is not None:
            before = version.counts.reference
            said = {
                "task": before.task,
                "target": before.target,
                "positive_class": before.positive_class,
                "inputs": dict.fromkeys(before.feature_names & USUAL_NAMES, ""),
                **before.named,
            }
        said |= version.facts.config.reference_fields()
        try:
            with TemporaryDirectory(prefix="mlflow-exporter-") as directory:
                path = Path(directory, "reference.parquet")
                path.write_bytes(parquet)
                reference = profile(ReferenceFile(path, "file", said), self._settings)
        except ReferenceInvalidError as error:
            raise MalformedError(str(error)) from error
        return self._replace(version, reference, order), reference

    def _replace(self, version: Version, reference: Reference, order: Order) -> Entry:
        done: list[Entry] = []

        def switch() -> None:
            entry = of_reference(version, reference, order.by, order.reason)
            activate(
                self._store,
                self._settings,
                self._writer.sampler,
                version,
                reference,
                None,
                self._clock(),
                entry,
            )
            done.append(entry)

        try:
            self._writer.call(switch).result()
        except StoreError as error:
            raise UnavailableError(str(error), retry_after_seconds=5) from error
        log.info("%s version %s: reference replaced by %s: %s", *version.names, order.by, order.reason)
        try:
            self._writer.call(lambda: recount(self._store, self._settings, version)).result()
        except StoreError as error:  # the reference loader repeats it
            log.error("%s version %s: %s", *version.names, error)
        return done[0]

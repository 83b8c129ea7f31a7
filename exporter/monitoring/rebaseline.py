"""Replacing a version's reference on request, such as after a lasting and accepted change of its data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from exporter.audit.record import Entry
from exporter.errors import MalformedError, ReferenceInvalidError, StoreError, UnavailableError
from exporter.fleet import Status, Version
from exporter.ingest.writer import Writer
from exporter.monitoring.counting import Counting
from exporter.monitoring.entries import of_reference
from exporter.profiling.column_roles import USUAL_NAMES
from exporter.profiling.data import ReferenceFile
from exporter.profiling.from_sampled_rows import LiveSample
from exporter.profiling.isolated import Profiled, profile
from exporter.reference.profile import Reference
from exporter.sampling.reading import SampleReader, rows_to_keep
from exporter.sampling.rows import Sample, SampledRow
from exporter.settings import Settings, Window
from exporter.storage.store import Store

MIN_ROWS = 1000  # with fewer, what chance did to the reference is taken for drift later
MAX_LIVE_ROWS = 50_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """Request to replace a reference: by whom, and the reason."""

    by: str
    reason: str


class Rebaseliner:
    """Replaces references. Counts in the old reference's bins stay stored; windows start empty."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        writer: Writer,
        counting: Counting,
        samples: SampleReader,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._store = store
        self._writer = writer
        self._counting = counting
        self._samples = samples
        self._clock = clock

    def from_live(self, version: Version, period: Window, order: Order) -> tuple[Entry, Reference]:
        """Replace the reference by the sampled rows of the last `period`, with new bins.

        Raises:
            MalformedError: the version has no reference, no sample, or too few rows.
            UnavailableError: the store failed; nothing has changed.
        """
        counts, config = version.counts, version.facts.config
        if counts is None:
            raise MalformedError("the version has no reference that names its columns: send a file", "live")
        if not config.sample.rows:
            raise MalformedError("no live rows are kept, since `sample.rows` is 0: send a file", "live")
        now, former = self._clock(), counts.reference
        try:
            sample = self._samples.load(
                version.key, now - period.seconds, now, MAX_LIVE_ROWS, config.maturation
            )
        except StoreError as error:
            raise UnavailableError(str(error), retry_after_seconds=5) from error
        _check_rows(sample, period)
        profiled = self._profile(
            version,
            LiveSample(
                rows=_with_mature_labels(sample.rows, now - config.maturation),
                former=former,
                hidden=frozenset((*config.sample.leave_out, *config.sample.hash)),
                minimums=config.minimums,
                said={"task": former.task, "positive_class": former.positive_class}
                | config.reference_fields(),
                notes=tuple(_notes(sample, period)),
            ),
            "live",
        )
        return self._replace(version, profiled, order), profiled.reference

    def from_file(self, version: Version, parquet: bytes, order: Order) -> tuple[Entry, Reference]:
        """Replace the reference by a Parquet file, with new bins.

        Task, target and column roles are those of the configuration, or else of the reference before.

        Raises:
            MalformedError: the file cannot be a reference.
            UnavailableError: the version's first reference is still searched for, or the store failed.
        """
        if version.counts is None and version.status is Status.PENDING:
            raise UnavailableError("its first reference is still looked for", retry_after_seconds=30)
        assumed: dict[str, Any] = {}
        if version.counts is not None:
            before = version.counts.reference
            assumed = {
                "task": before.task,
                "target": before.target,
                "positive_class": before.positive_class,
                "inputs": dict.fromkeys(before.feature_names & USUAL_NAMES, ""),
                **before.named,
            }
        said = version.facts.config.reference_fields()
        with TemporaryDirectory(prefix="mlflow-exporter-") as directory:
            path = Path(directory, "reference.parquet")
            path.write_bytes(parquet)
            profiled = self._profile(version, ReferenceFile(path, "file", said, assumed))
        return self._replace(version, profiled, order), profiled.reference

    def _profile(self, version: Version, data: ReferenceFile | LiveSample, where: str = "") -> Profiled:
        try:
            keep = rows_to_keep(self._store, version.facts.config.sample)
            return profile(data, self._settings, keep)
        except ReferenceInvalidError as error:
            raise MalformedError(str(error), where) from error
        except StoreError as error:
            raise UnavailableError(str(error), retry_after_seconds=5) from error

    def _replace(self, version: Version, profiled: Profiled, order: Order) -> Entry:
        done: list[Entry] = []
        reference, rows = profiled.reference, profiled.rows

        def switch() -> None:
            entry = of_reference(version, reference, order.by, order.reason)
            self._counting.activate(version, reference, None, entry, rows)
            done.append(entry)

        try:
            self._writer.call(switch).result()
        except StoreError as error:
            raise UnavailableError(str(error), retry_after_seconds=5) from error
        log.info("%s version %s: reference replaced by %s: %s", *version.names, order.by, order.reason)
        try:
            self._writer.call(lambda: self._counting.recount(version)).result()
        except StoreError as error:  # the reference loader repeats it
            log.error("%s version %s: %s", *version.names, error)
        return done[0]


def _check_rows(sample: Sample, period: Window) -> None:
    """
    Raises:
        MalformedError: too few rows for a reference.
    """
    if sample.counted < MIN_ROWS:
        detail = f"{sample.counted:,} rows came in the last {period.name}, a reference needs {MIN_ROWS:,}"
        raise MalformedError(detail, "live")
    if len(sample.rows) < MIN_ROWS:
        raise MalformedError(
            f"the sample has {len(sample.rows):,} of the {sample.counted:,} rows of the last {period.name}, "
            f"a reference needs {MIN_ROWS:,}: take a longer time, keep more rows (`sample.rows`), or send a "
            "file",
            "live",
        )


def _notes(sample: Sample, period: Window) -> Iterator[str]:
    yield (
        f"a uniform sample of {len(sample.rows):,} of the {sample.counted:,} live rows of the last "
        f"{period.name}: what was wrong with them is taken as normal"
    )
    if sample.covered < sample.counted:
        yield f"only {sample.covered:,} of them are from times at which rows were kept"


def _with_mature_labels(rows: tuple[SampledRow, ...], before: float) -> tuple[SampledRow, ...]:
    """Rows without the labels of the latest ones, of which only those that came quickly are known."""
    return tuple(row if row.at <= before else replace(row, label=None) for row in rows)

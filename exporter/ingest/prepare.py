"""A decoded batch by version, in the form in which it is counted and stored: times, bins, identities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from exporter.aggregates.counting import BatchCounts, Placed, count_rows, place_rows
from exporter.aggregates.segments import segments_of_rows
from exporter.aggregates.state import VersionCounts
from exporter.errors import UnavailableError
from exporter.exposition.telemetry import DropReason
from exporter.fleet import Fleet, Status, Version
from exporter.formats.batch import Batch, stored_texts
from exporter.formats.columns import Values, read_numbers
from exporter.formats.hashing import id_hashes, payload_hashes
from exporter.formats.predictions import decode_acknowledged
from exporter.reference.binning import bin_batch
from exporter.reference.classes import Outputs, read_outputs
from exporter.sampling.sampler import LiveRows
from exporter.settings import DAY_SECONDS, Settings
from exporter.storage.lsm.records import ID_BYTES, Records
from exporter.storage.rows import PREDICTIONS
from exporter.storage.schema import RawRows
from exporter.typing import Bools, Floats, Ints

MAX_WAITING_ROWS = 100_000  # of one version, while its reference is being loaded

_T = TypeVar("_T")
_NO_SEGMENTS: Sequence[str | None] = ()
_NO_COLUMNS: frozenset[str] = frozenset()
_NO_ID = bytes(ID_BYTES)


@dataclass(frozen=True)
class Part:
    """The rows of a batch that are for one version.

    `row_numbers` (rows,) are their numbers in the batch, `times` (rows,) in seconds since the epoch. `exact`
    (rows,) tells rows with a time of their own from rows with the time of their receipt, which another try
    would not get. `placed` are the rows in the bins of the version; None where it has no reference. `records`
    (rows,) is what is stored of them, `identified` the numbers of the ones with an id, `labels` (rows,) the
    labels that came along; `records` is None where no row has an id or a label.
    """

    version: Version
    row_numbers: Ints
    times: Floats
    exact: Bools
    latency: Floats | None
    placed: Placed | None
    records: Records | None
    identified: Ints
    labels: list[str | None]
    unknown_columns: frozenset[str]

    @property
    def rows(self) -> int:
        return len(self.times)

    @property
    def ids(self) -> list[bytes]:
        """Hashes of the ids that its rows have."""
        ids: list[bytes] = [] if self.records is None else self.records.numbers["id_hash"].tolist()
        return [ids[row] for row in self.identified.tolist()]

    @cached_property
    def days(self) -> dict[int, Ints]:
        """Numbers of the rows with an id, by the UTC day that they are from."""
        days = (self.times[self.identified] // DAY_SECONDS).astype(np.int64)
        return {int(day): self.identified[days == day] for day in np.unique(days)}


@dataclass(frozen=True)
class Prepared:
    """A batch by version; `lost` (rows,) tells by reason which rows cannot count, where there are any."""

    parts: list[Part]
    lost: dict[DropReason, Bools]


def prepare(
    batch: Batch, received_at: Floats | float, fleet: Fleet, settings: Settings, now: float
) -> Prepared:
    """Resolve times and versions, bin and hash.

    Args:
        batch: of one request or several.
        received_at: (rows,) the time of rows that have none of their own, in seconds since the epoch.
        fleet: the monitored versions.
        settings: which times are taken.
        now: the clock's time.

    Raises:
        UnknownModelError: what the batch names is not monitored.
        UnavailableError: the version was just discovered, or its reference takes long.
    """
    times = np.where(np.isnan(batch.timestamps), received_at, batch.timestamps)
    future = times > now + settings.max_future_seconds
    old = times < now - settings.max_age_seconds
    times = np.minimum(times, now)
    exact = times == batch.timestamps
    usable = np.flatnonzero(~(future | old))
    resolved = fleet.resolve(batch.target, times[usable] if len(usable) else times)
    versionless = np.zeros(batch.rows, np.bool_)
    versionless[usable] = True
    for chosen in resolved.values() if len(usable) else ():
        versionless[usable[chosen]] = False
    reasons: dict[DropReason, Bools] = {"future": future, "too_old": old, "no_version": versionless}
    lost = {reason: mask for reason, mask in reasons.items() if mask.any()}
    payloads = _payloads(batch)
    parts = []
    for version, chosen in resolved.items():
        if version.waiting_rows >= _max_waiting_rows(version, settings):
            detail = f"the reference of version {version.version} of {version.model!r} is still being made"
            raise UnavailableError(detail, retry_after_seconds=10)
        if len(usable):
            rows = usable[chosen]
            own = None if payloads is None else payloads[rows]
            parts.append(_part(_VersionRows(batch, version, rows, times[rows], own), exact[rows]))
    return Prepared(parts, lost)


def _payloads(batch: Batch) -> Ints | None:
    """(rows,) hash of each row's content; None if nothing of the batch is stored by id."""
    if batch.ids is None and batch.labels is None:
        return None
    return payload_hashes(batch).view(np.int64)


def _max_waiting_rows(version: Version, settings: Settings) -> float:
    if version.status is Status.PENDING:
        return MAX_WAITING_ROWS
    if version.status is Status.COLLECTING:
        return settings.reference_live_rows + MAX_WAITING_ROWS
    return math.inf


@dataclass(frozen=True)
class _VersionRows:
    """The rows of a batch that are for one version.

    `numbers` (rows,) are their numbers in the batch, `times` (rows,) in seconds since the epoch; `payloads`
    (rows,) are hashes of their contents, None if nothing of the batch is stored.
    """

    batch: Batch
    version: Version
    numbers: Ints
    times: Floats
    payloads: Ints | None

    @property
    def whole(self) -> bool:
        """True if these are all rows of the batch."""
        return len(self.numbers) == self.batch.rows

    def of(self, values: list[_T]) -> list[_T]:
        """(rows,) their values, of those of the batch."""
        return values if self.whole else [values[row] for row in self.numbers.tolist()]


def _part(rows: _VersionRows, exact: Bools) -> Part:
    batch, prediction, version_counts = rows.batch, rows.batch.prediction, rows.version.counts
    placed, segments, unknown = None, _NO_SEGMENTS, _NO_COLUMNS
    if version_counts is not None:
        outputs, placed = _place(version_counts, batch, rows.numbers, rows.times)
        prediction = outputs.prediction
        unknown = version_counts.reference.unknown_columns(batch.features)
        if rows.payloads is not None:
            segments = segments_of_rows(version_counts.reference, placed.binned)
    return Part(
        version=rows.version,
        row_numbers=rows.numbers,
        times=rows.times,
        exact=exact,
        latency=batch.latency[rows.numbers] if batch.latency is not None else None,
        placed=placed,
        records=_records(rows, prediction, segments),
        identified=np.flatnonzero([each is not None for each in rows.of(batch.ids)] if batch.ids else []),
        labels=rows.of(batch.labels) if batch.labels else [],
        unknown_columns=unknown,
    )


def _records(rows: _VersionRows, prediction: Values, segments: Sequence[str | None]) -> Records | None:
    """The rows as they are stored, with an id of zeros where they have none; None if none is stored."""
    if rows.payloads is None:
        return None
    batch, count = rows.batch, len(rows.numbers)
    nothing: list[str | None] = [None] * count
    score, scores = np.full(count, np.nan), nothing
    if batch.scores is not None:
        score = read_numbers(batch.scores.single)[0][rows.numbers]
        scores = rows.of([None if row is None else row.text for row in batch.scores.several_or_none])
    hashes = id_hashes(rows.version.model, rows.of(batch.ids)) if batch.ids is not None else []
    return PREDICTIONS.pack(
        id_hash=[hashed or _NO_ID for hashed in hashes] or [_NO_ID] * count,
        version_id=np.full(count, rows.version.key),
        payload=rows.payloads,
        at=rows.times,
        prediction=rows.of(stored_texts(prediction)),
        score=score,
        scores=scores,
        segments=segments or nothing,
    )


def count_raw_rows(
    raw: RawRows, version: Version, counts: VersionCounts, now: float, settings: Settings
) -> tuple[BatchCounts, LiveRows]:
    """Count rows from the request as it came, since they waited for the reference.

    Args:
        raw: the rows.
        version: that they are for.
        counts: which the version will have.
        now: the clock's time.
        settings: the lengths of blocks.

    Returns:
        Their counts, and the rows.
    """
    batch = decode_acknowledged(raw.body, raw.content_type, raw.query, settings)
    _, placed = _place(counts, batch, raw.row_numbers, raw.times)
    payloads = _payloads(batch)
    own = None if payloads is None else payloads[raw.row_numbers]
    rows = _VersionRows(batch, version, raw.row_numbers, raw.times, own)
    live = LiveRows(
        batch=batch,
        numbers=raw.row_numbers,
        times=raw.times,
        records=_records(rows, batch.prediction, _NO_SEGMENTS),
        labels=rows.of(batch.labels) if batch.labels else [],
        counted=np.arange(len(raw.times)),
    )
    return count_rows(counts, placed, raw.times, now, settings), live


def _place(counts: VersionCounts, batch: Batch, rows: Ints, times: Floats) -> tuple[Outputs, Placed]:
    """Outputs of a batch, and its given rows, in ascending order and with their times, in the bins."""
    outputs = read_outputs(counts.reference, batch)
    if len(rows) == batch.rows:
        binned = bin_batch(counts.reference, batch, outputs, times)
        return outputs, place_rows(counts, outputs, batch.latency, binned, None)
    scattered = np.full(batch.rows, np.nan)
    scattered[rows] = times
    binned = bin_batch(counts.reference, batch, outputs, scattered).take(rows)
    return outputs, place_rows(counts, outputs, batch.latency, binned, rows)

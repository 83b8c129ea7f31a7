"""Give a version its reference, or the reason why it has none; in the writer's thread."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from exporter.aggregates.outcome_layout import OutcomeLayout, outcome_layout
from exporter.aggregates.state import SegmentCounts, VersionCounts
from exporter.aggregates.timeline import Timeline
from exporter.audit.record import Entry
from exporter.audit.trail import append
from exporter.errors import RequestError
from exporter.fleet import Live, Status, Version
from exporter.ingest.changes import Changes
from exporter.ingest.prepare import count_raw_rows
from exporter.reference.profile import Reference
from exporter.sampling.sampler import SampledVersion, Sampler
from exporter.settings import Settings
from exporter.storage.store import Store

log = logging.getLogger(__name__)


def activate(
    store: Store,
    settings: Settings,
    sampler: Sampler,
    version: Version,
    reference: Reference,
    reference_id: int | None,
    now: float,
    entry: Entry | None = None,
    reference_rows: bytes = b"",
) -> None:
    """Give a version its reference, and count and sample the rows that waited for it.

    Args:
        store: where both are written, in one transaction.
        settings: the lengths of blocks.
        sampler: takes the sample of the rows.
        version: the version.
        reference: its reference.
        reference_id: of a stored reference; None if it is to be stored.
        now: the clock's time, in seconds since the epoch.
        entry: for the audit trail, if the reference is a new one.
        reference_rows: of a new reference, as Parquet, to be stored with it.
    """
    fine, coarse = store.load_blocks(reference_id) if reference_id is not None else ({}, {})
    layout = outcome_layout(reference)
    counted = store.load_outcomes(reference_id, layout) if reference_id is not None and layout else {}
    known_id = reference_id
    waited = np.zeros(reference.cells, np.int64)
    changes = Changes()
    with store.begin() as transaction:
        if reference_id is None:
            reference_id = transaction.save_reference(version.key, reference, now, reference_rows)
        if entry is not None:
            append(transaction.connection, [entry], now)
        timeline = Timeline(settings, fine, coarse)
        maturation = transaction.find_maturation(reference_id)
        segments = load_segments(store, settings, reference, known_id, layout)
        version_counts = VersionCounts(
            reference_id, reference, timeline, layout, counted, maturation, segments
        )
        draw = sampler.begin(transaction.connection)
        source = SampledVersion(version.key, version.facts.config.sample, reference)
        for waiting in store.load_waiting(version.key):  # deleted below, read beside the transaction
            try:
                counts, rows = count_raw_rows(waiting, version, version_counts, now, settings)
            except RequestError as error:  # damaged since it was accepted
                log.error(
                    "%s version %s: %d rows cannot be read any more: %s",
                    *(*version.names, len(waiting.times), error),
                )
                continue
            changes.add_counts(version, version_counts, counts, now)
            draw.take(source, rows, counts.starts, now)
            waited += np.sum([block.counts for block in counts.blocks.values()], axis=0, dtype=np.int64)
        # Rows were counted as they came; bins are counted from here on, in a partition since it exists.
        known = transaction.find_totals(version.key, reference_id)
        values = waited if known is None else waited + known.values
        changes.lives[version] = Live(version_counts, replace(version.live.totals, values=values))
        changes.waiting[version] = 0
        changes.write(transaction)
        draw.write()
        transaction.delete_waiting(version.key)
        transaction.set_status(version.key, "")
    with store.applying():
        changes.apply()
        draw.apply()
        version.status, version.detail = Status.READY, ""


def load_segments(
    store: Store,
    settings: Settings,
    reference: Reference,
    reference_id: int | None,
    layout: OutcomeLayout | None,
) -> dict[str, SegmentCounts]:
    """Stored counts of each segment, none of a reference that is not stored yet."""
    names = [segment.name for segment in reference.segments]
    if reference_id is None or not names:
        return {name: SegmentCounts(Timeline(settings)) for name in names}
    blocks = store.load_segment_blocks(reference_id)
    outcomes = store.load_segment_outcomes(reference_id, layout) if layout is not None else {}
    return {
        name: SegmentCounts(Timeline(settings, coarse=blocks.get(name)), outcomes.get(name, {}))
        for name in names
    }


def do_without(
    store: Store,
    version: Version,
    status: Status,
    detail: str,
    now: float,
    entries: Sequence[Entry],
) -> None:
    """Set why a version has no reference, and delete the waiting rows unless they are becoming one.

    Does nothing if the version was given a reference meanwhile. `entries` are for the audit trail.
    """
    if version.counts is not None:
        return
    collecting = status is Status.COLLECTING
    with store.begin() as transaction:
        append(transaction.connection, entries, now)
        transaction.set_status(version.key, status)
        if not collecting:
            transaction.delete_waiting(version.key)
            transaction.put_state(version.key, {"waiting_rows": 0})
    with store.applying():
        version.status, version.detail = status, detail
        version.waiting_rows = version.waiting_rows if collecting else 0


def set_detail(version: Version, detail: str) -> None:
    """Set the reason why a version has no reference, unless it was given one meanwhile."""
    if version.counts is None:
        version.detail = detail


def let_go(store: Store, version: Version, now: float, entries: Sequence[Entry]) -> None:
    """Delete the waiting rows of a version that is not monitored any more.

    Its labels are still stored, and are counted when it is monitored again.
    """
    with store.begin() as transaction:
        append(transaction.connection, entries, now)
        transaction.forget_recorded(version.key)
        if version.waiting_rows:
            transaction.delete_waiting(version.key)
            transaction.put_state(version.key, {"waiting_rows": 0})
        transaction.forget_maturations([version.key])
    with store.applying():
        version.waiting_rows = 0

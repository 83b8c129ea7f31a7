"""Jobs for the writer's thread besides taking rows: give a version its reference, keep the store tidy."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from exporter.aggregates.ageing import age
from exporter.aggregates.outcome_layout import OutcomeLayout, outcome_layout
from exporter.aggregates.outcomes import Outcomes, only_predictions
from exporter.aggregates.timeline import Aggregate, Timeline
from exporter.errors import RequestError
from exporter.fleet import Binning, Live, Slice, Status, Version
from exporter.ingest.changes import Commit
from exporter.ingest.join_counts import fold_pairs, pairs_by_segment
from exporter.ingest.pairs import Pairs
from exporter.ingest.prepare import count_spooled
from exporter.reference.profile import Reference
from exporter.settings import Settings
from exporter.storage.labels import LabelTables, count_unmatched
from exporter.storage.schema import COARSE, DAY_SECONDS, FINE, KEY_RETENTION_SECONDS, AuditEntry
from exporter.storage.store import Store

log = logging.getLogger(__name__)


def activate(
    store: Store,
    settings: Settings,
    version: Version,
    reference: Reference,
    reference_id: int | None,
    now: float,
    entry: AuditEntry | None = None,
) -> None:
    """Give a version its reference, stored already under an id or not, and count what waited for it.

    `entry` says who replaced one that it had.
    """
    fine, coarse = store.load_blocks(reference_id) if reference_id is not None else ({}, {})
    layout = outcome_layout(reference)
    counted = store.load_outcomes(reference_id, layout) if reference_id is not None and layout else {}
    known_id = reference_id
    waited = np.zeros(reference.cells, np.int64)
    commit = Commit()
    with store.begin() as transaction:
        if reference_id is None:
            reference_id = transaction.save_reference(version.key, reference, now)
        if entry is not None:
            transaction.add_audit(entry)
        timeline = Timeline(settings, fine, coarse)
        maturation = transaction.find_maturation(reference_id)
        slices = _load_slices(store, settings, reference, known_id, layout)
        binning = Binning(reference_id, reference, timeline, layout, counted, maturation, slices)
        for waiting in store.load_spooled(version.key):  # deleted below, read beside the transaction
            try:
                counts = count_spooled(waiting, binning, now, settings)
            except RequestError as error:  # what was taken can be read, unless it was damaged since
                log.error(
                    "%s version %s: %d rows cannot be read any more: %s",
                    *(*version.names, len(waiting.times), error),
                )
                continue
            commit.add_counts(version, binning, counts, now)
            waited += np.sum([block.counts for block in counts.blocks.values()], axis=0, dtype=np.int64)
        commit.write(transaction)
        transaction.delete_spooled(version.key)
        transaction.set_status(version.key, "")
        # Traffic was counted as it came; the bins count from here.
        live = Live(binning, replace(version.live.totals, values=waited))
    with store.applying():
        commit.apply()
        version.live = live
        version.spooled_rows, version.status, version.detail = 0, Status.READY, ""


def _load_slices(
    store: Store,
    settings: Settings,
    reference: Reference,
    reference_id: int | None,
    layout: OutcomeLayout | None,
) -> dict[str, Slice]:
    """What is stored of each segment; nothing of a reference that is not stored yet."""
    names = [segment.name for segment in reference.segments]
    if reference_id is None or not names:
        return {name: Slice(Timeline(settings)) for name in names}
    blocks = store.load_segment_blocks(reference_id)
    outcomes = store.load_segment_outcomes(reference_id, layout) if layout is not None else {}
    return {
        name: Slice(Timeline(settings, coarse=blocks.get(name)), outcomes.get(name, {})) for name in names
    }


def do_without(store: Store, version: Version, status: Status, detail: str) -> None:
    """Say why a version has no reference; unless its rows are becoming one, forget what waited for it.

    Where it was given one meanwhile there is nothing to say.
    """
    if version.binning is not None:
        return
    collecting = status is Status.COLLECTING
    with store.begin() as transaction:
        transaction.set_status(version.key, status)
        if not collecting:
            transaction.delete_spooled(version.key)
    with store.applying():
        version.status, version.detail = status, detail
        version.spooled_rows = version.spooled_rows if collecting else 0


def set_detail(version: Version, detail: str) -> None:
    """Set the reason why a version has no reference, unless it was given one meanwhile."""
    if version.binning is None:
        version.detail = detail


def let_go(store: Store, version: Version) -> None:
    """Forget what waits for the reference of a version that will not be followed any more.

    Labels go on to come for it, and are counted when it is followed again.
    """
    with store.begin() as transaction:
        if version.spooled_rows:
            transaction.delete_spooled(version.key)
        transaction.forget_maturations([version.key])
    with store.applying():
        version.spooled_rows = 0


def tidy(store: Store, settings: Settings, versions: Iterable[Version], retained: float, now: float) -> None:
    """Merge blocks that are too old to be fine, and delete data past their retention.

    Args:
        store: of all of it.
        settings: with the retention of each kind of data.
        versions: those that are monitored.
        retained: the time that retention has reached, at most `now`.
        now: the clock's time.
    """
    for version in versions:
        if version.binning is not None:
            _compact(store, settings, version, version.binning, retained)
        if (version.last_prediction or 0.0) > now + settings.max_future_seconds:
            _put_back(store, version, now)
    with store.begin() as transaction:
        transaction.forget(
            keys_before=retained - KEY_RETENTION_SECONDS,
            blocks_before=retained - settings.retention_seconds,
            outcomes_before=retained - settings.outcome_retention_seconds,
            days_before=oldest_day(settings, retained),
        )
        transaction.set_retention(retained)


def _put_back(store: Store, version: Version, now: float) -> None:
    """Set the last prediction to one before `now`: the clock was ahead when later ones came."""
    last = None
    if version.binning is not None:
        before = version.binning.timeline.snapshot(now)
        last = max((*before.fine, *before.coarse), default=None)
    with store.begin() as transaction:
        transaction.set_last_prediction(version.key, last)
    with store.applying():
        version.last_prediction = last


def oldest_day(settings: Settings, now: float) -> int:
    """The first day whose ids are kept."""
    return int(now // DAY_SECONDS) - settings.prediction_retention_days


def recount(store: Store, settings: Settings, version: Version) -> None:
    """Count the outcomes of a version anew, from the labels and predictions that are stored.

    Labels may have come before the version's reference, or the owner thinks otherwise of how long they take.
    """
    if version.binning is None:
        return
    maturation = version.facts.config.maturation
    binning = replace(version.binning, maturation_seconds=maturation)
    # Scores are counted as predictions come, whatever becomes of their labels.
    counted = {} if binning.layout is None else only_predictions(binning.layout, binning.outcomes)
    by_segment: dict[str, dict[int, Outcomes]] = {
        name: {} if binning.layout is None else only_predictions(binning.layout, found.outcomes)
        for name, found in binning.slices.items()
    }
    with store.begin() as transaction:
        tables = LabelTables(transaction)
        for labels in tables.all_labels(version.model):
            numbers, predictions = tables.find_latest(labels.ids)
            own = np.flatnonzero(predictions.numbers["version_id"] == version.key)
            pairs = Pairs(predictions.take(own), labels.take(numbers[own]))
            _add(counted, fold_pairs(binning, pairs, settings))
            for name, inside in pairs_by_segment(binning, pairs).items():
                _add(by_segment[name], fold_pairs(binning, inside, settings))
        transaction.delete_outcomes(binning.reference_id)
        if binning.layout is not None:
            transaction.put_outcomes(binning.reference_id, binning.layout, counted)
            for name, outcomes in by_segment.items():
                transaction.put_outcomes(binning.reference_id, binning.layout, outcomes, name)
        transaction.set_maturation(binning.reference_id, maturation)
        slices = {name: replace(binning.slices[name], outcomes=found) for name, found in by_segment.items()}
        live = replace(version.live, binning=replace(binning, outcomes=counted, slices=slices))
    with store.applying():
        version.live = live


def _add(hours: dict[int, Outcomes], more: dict[int, Outcomes]) -> None:
    for hour, outcomes in more.items():
        hours[hour] = hours[hour] + outcomes if hour in hours else outcomes


class UnmatchedLabels:
    """Counts the labels that met no prediction within a day after the one on which they came.

    Days that had passed when this process started were an earlier one's to count.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next: int | None = None

    def sweep(self, now: float) -> dict[str, int]:
        """Such labels since the last call, by model."""
        due = int(now // DAY_SECONDS) - 2
        if self._next is None:
            self._next = due + 1
        self._next = min(self._next, due + 1)  # the clock may have been put back
        found: dict[str, int] = {}
        with self._store.begin() as transaction:
            for day in [day for day in transaction.labels.days() if self._next <= day <= due]:
                for model, labels in count_unmatched(transaction, day).items():
                    found[model] = found.get(model, 0) + labels
        self._next = max(self._next, due + 1)
        return found


def _compact(store: Store, settings: Settings, version: Version, binning: Binning, now: float) -> None:
    timeline = binning.timeline
    horizon = timeline.horizon(now)
    old = sorted(start for start in timeline.fine if start < horizon)
    merged: dict[int, Aggregate] = {}
    for start in old:
        coarse = start // settings.coarse_seconds * settings.coarse_seconds
        block = merged.get(coarse) or timeline.coarse.get(coarse)
        merged[coarse] = block + timeline.fine[start] if block is not None else timeline.fine[start]
    fine = {start: block for start, block in timeline.fine.items() if start >= horizon}
    # A new timeline: who evaluates the old one must not see a block twice, or not at all.
    compacted = replace(binning, timeline=Timeline(settings, fine, timeline.coarse | merged))
    aged = age(compacted, settings, now, settled=bool(old))
    if not old and aged.binning is compacted:
        return
    live = replace(version.live, binning=aged.binning)
    with store.begin() as transaction:
        transaction.put_aggregates(binning.reference_id, COARSE, merged)
        transaction.delete_aggregates(binning.reference_id, FINE, old)
        # Together with what is moved, or a crash in between would count it twice.
        transaction.delete_aggregates(binning.reference_id, COARSE, aged.expired)
        if binning.layout is not None:
            for segment, outcomes in aged.moved.items():
                transaction.put_outcomes(binning.reference_id, binning.layout, outcomes, segment)
    with store.applying():
        version.live = live

"""Merging and expiry of stored data, in the writer's thread, and the clock by which they expire."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from exporter.aggregates.ageing import age
from exporter.aggregates.block import Block
from exporter.aggregates.state import VersionCounts
from exporter.aggregates.timeline import Timeline
from exporter.fleet import Version
from exporter.settings import DAY_SECONDS, Settings
from exporter.storage.alerts import ALERT_RETENTION_SECONDS
from exporter.storage.labels import count_unmatched
from exporter.storage.schema import COARSE, FINE, KEY_RETENTION_SECONDS
from exporter.storage.store import Store

# Times the speed of time. Data that expired while the exporter was off are deleted within as long again.
SPEED = 2.0


class RetentionClock:
    """Clock without jumps: it goes on from its last time, at most at twice the speed of time.

    A clock that is wrong for an hour would otherwise delete everything. Rows are no measure of it: most get
    their time from the same clock. Late expiry does no harm, since rows that are too old are refused by the
    clock itself.
    """

    def __init__(self, store: Store, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._passed = monotonic()
        self._at: float | None = None

    def advance(self, now: float) -> float:
        """Time up to which data may have expired, in seconds since the epoch; at most `now`, the clock's.

        Raises:
            StoreError: its last time cannot be read.
        """
        before = self._at if self._at is not None else self._store.load_retention(now)
        passed = self._monotonic()
        self._at, self._passed = min(now, before + SPEED * (passed - self._passed)), passed
        return self._at


def tidy(store: Store, settings: Settings, versions: Iterable[Version], retained: float, now: float) -> None:
    """Merge old fine blocks into coarse ones, and delete data past their retention.

    Args:
        settings: with the retention of each kind of data.
        versions: the monitored ones.
        retained: the time that retention has reached, at most `now`.
        now: the clock's time.
    """
    for version in versions:
        if version.counts is not None:
            _compact(store, settings, version, version.counts, retained)
        if (version.last_prediction or 0.0) > now + settings.max_future_seconds:
            _put_back(store, version, now)
    with store.begin() as transaction:
        transaction.expire(
            keys_before=retained - KEY_RETENTION_SECONDS,
            blocks_before=retained - settings.retention_seconds,
            outcomes_before=retained - settings.outcome_retention_seconds,
            alerts_before=retained - ALERT_RETENTION_SECONDS,
            # By then blocks of the last sequence are too old to be taken again.
            sources_before=retained - settings.max_age_seconds - settings.max_future_seconds,
            days_before=oldest_day(settings, retained),
        )
        transaction.sweep(retained)
        transaction.set_retention(retained)


def _put_back(store: Store, version: Version, now: float) -> None:
    """Set the time of the last prediction back before `now`: the clock was ahead when it came."""
    last = None
    if version.counts is not None:
        before = version.counts.timeline.snapshot(now)
        last = max((*before.fine, *before.coarse), default=None)
    with store.begin() as transaction:
        transaction.put_state(version.key, {"last_prediction": last})
    with store.applying():
        version.last_prediction = last


def oldest_day(settings: Settings, now: float) -> int:
    """First day whose ids are kept."""
    return int(now // DAY_SECONDS) - settings.prediction_retention_days


class UnmatchedLabels:
    """Counts labels that had no prediction by the end of the day after the one on which they came.

    Days before the start of this process are left out: an earlier process has counted them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next: int | None = None

    def sweep(self, now: float) -> dict[str, int]:
        """Newly counted labels, by model."""
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


def _compact(store: Store, settings: Settings, version: Version, counts: VersionCounts, now: float) -> None:
    timeline = counts.timeline
    horizon = timeline.horizon(now)
    old = sorted(start for start in timeline.fine if start < horizon)
    merged: dict[int, Block] = {}
    for start in old:
        coarse = start // settings.coarse_seconds * settings.coarse_seconds
        block = merged.get(coarse) or timeline.coarse.get(coarse)
        merged[coarse] = block + timeline.fine[start] if block is not None else timeline.fine[start]
    fine = {start: block for start, block in timeline.fine.items() if start >= horizon}
    # A new timeline: an evaluation that reads the old one must see each block once.
    compacted = replace(counts, timeline=Timeline(settings, fine, timeline.coarse | merged))
    aged = age(compacted, settings, now, settled=bool(old))
    if not old and aged.counts is compacted:
        return
    live = replace(version.live, counts=aged.counts)
    with store.begin() as transaction:
        transaction.put_aggregates(counts.reference_id, COARSE, merged)
        transaction.delete_aggregates(counts.reference_id, FINE, old)
        # Together with what is moved, or a crash in between would count it twice.
        transaction.delete_aggregates(counts.reference_id, COARSE, aged.expired)
        if counts.layout is not None:
            for segment, outcomes in aged.moved.items():
                transaction.put_outcomes(counts.reference_id, counts.layout, outcomes, segment)
    with store.applying():
        version.live = live

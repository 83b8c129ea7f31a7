"""The one thread that writes: batches share a commit, and are answered after it.

While a commit is on its way to the disk the next requests queue up; all that have queued are the next commit.
So the disk's latency is shared by as many requests as there are, and a row a request is not a commit a row.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from exporter.aggregate import Aggregate, Timeline, fold, latency_histogram
from exporter.arrays import Bools
from exporter.config import Settings
from exporter.errors import ExporterError, OverloadedError, RequestError, UnavailableError
from exporter.fleet import MAX_UNKNOWN_COLUMNS, Binning, Fleet, Live, Status, Totals, Version
from exporter.ingest import Part, Prepared, bin_spooled
from exporter.reference import Reference
from exporter.store import COARSE, DAY_SECONDS, FINE, PredictionRow, Store, Transaction
from exporter.telemetry import DropReason, Telemetry

MAX_GROUP_ROWS = 50_000  # of one commit: beyond, its requests wait longer than sharing saves
KEY_RETENTION_SECONDS = 86400.0
# A row without a time of its own that is retried just after midnight has its first try in yesterday's table.
RETRY_SECONDS = 900.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What became of the rows of a request."""

    accepted: int
    duplicates: int
    conflicts: int
    dropped: dict[DropReason, int]

    def to_json(self) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "conflicts": self.conflicts,
        }
        return answer | ({"dropped": self.dropped} if self.dropped else {})


@dataclass(frozen=True)
class _Entry:
    prepared: Prepared
    future: Future[Answer]


@dataclass
class _Commit:
    """What a transaction is about to make true; applied to memory once it is."""

    # The whole block after this commit and its reference's id, by version, family and start.
    blocks: dict[tuple[Version, int, int], tuple[Aggregate, int]] = field(default_factory=dict)
    totals: dict[Version, Totals] = field(default_factory=dict)
    last: dict[Version, float] = field(default_factory=dict)
    spooled: dict[Version, int] = field(default_factory=dict)
    unknown: dict[Version, frozenset[str]] = field(default_factory=dict)

    def add_block(self, version: Version, binning: Binning, start: int, block: Aggregate, now: float) -> None:
        family = COARSE if start < binning.timeline.horizon(now) else FINE
        known = self.blocks.get((version, family, start))
        before = known[0] if known is not None else _family(binning.timeline, family).get(start)
        after = before + block if before is not None else block
        self.blocks[version, family, start] = (after, binning.reference_id)

    def add_totals(self, version: Version, totals: Totals) -> None:
        before = self.totals.get(version)
        self.totals[version] = before + totals if before is not None else totals


class Writer:
    """Takes prepared requests and jobs, from any thread, and carries them out in order in its own."""

    def __init__(self, store: Store, fleet: Fleet, settings: Settings, telemetry: Telemetry) -> None:
        self._store = store
        self._fleet = fleet
        self._settings = settings
        self._telemetry = telemetry
        self._queue: deque[_Entry | Callable[[], None]] = deque()
        self._wake = threading.Condition()  # guards the four below and the queue
        self._queued_rows = 0
        self._closed = False
        self._full = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Commit what is queued, refuse what comes, and return."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def submit(self, prepared: Prepared) -> Future[Answer]:
        """Queue a request; the future is done when it is committed, or fails with a `RequestError`.

        Raises:
            OverloadedError: the queue is full; nothing was taken.
            UnavailableError: the service is stopping, or the store has reached its limit.
        """
        entry = _Entry(prepared, Future())
        with self._wake:
            if self._closed:
                raise UnavailableError("the service is stopping", retry_after_seconds=5)
            if self._full:
                raise UnavailableError("the store has reached its limit", retry_after_seconds=60)
            if self._queued_rows and self._queued_rows + prepared.rows > self._settings.max_queue_rows:
                raise OverloadedError(f"{self._queued_rows} rows are waiting", retry_after_seconds=1)
            self._queued_rows += prepared.rows
            self._telemetry.queue_rows = self._queued_rows
            self._queue.append(entry)
            self._wake.notify()
        return entry.future

    def call(self, job: Callable[[], None]) -> Future[None]:
        """Run a job in the writer's thread, after what is queued already."""
        future: Future[None] = Future()

        def run() -> None:
            try:
                job()
                future.set_result(None)
            except BaseException as error:  # noqa: BLE001 - it is the caller's, who waits for it
                future.set_exception(error)

        with self._wake:
            self._queue.append(run)
            self._wake.notify()
        return future

    # -- the thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return
                first = self._queue.popleft()
                group = self._gather(first) if isinstance(first, _Entry) else []
            if not isinstance(first, _Entry):
                first()
                continue
            self._take(group)
            with self._wake:
                self._queued_rows -= sum(entry.prepared.rows for entry in group)
                self._telemetry.queue_rows = self._queued_rows

    def _gather(self, first: _Entry) -> list[_Entry]:
        """What has queued up behind a request and may share its commit, up to the next job."""
        group, rows = [first], first.prepared.rows
        while self._queue and rows < MAX_GROUP_ROWS and isinstance(self._queue[0], _Entry):
            entry = self._queue.popleft()
            assert isinstance(entry, _Entry)
            group.append(entry)
            rows += entry.prepared.rows
        return group

    def _take(self, group: list[_Entry]) -> None:
        # From here on a client that hangs up cannot cancel what is being committed.
        group = [entry for entry in group if entry.future.set_running_or_notify_cancel()]
        outcomes: list[Answer | RequestError]
        try:
            outcomes = [*self._commit(group)]
        except ExporterError as error:
            log.error("a commit of %d requests failed: %s", len(group), error)
            outcomes = [UnavailableError(str(error), retry_after_seconds=5)] * len(group)
        except Exception:
            log.exception("a commit of %d requests failed", len(group))
            outcomes = [self._take_alone(entry) for entry in group]
        for entry, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, RequestError):
                entry.future.set_exception(outcome)
            else:
                entry.future.set_result(outcome)

    def _take_alone(self, entry: _Entry) -> Answer | RequestError:
        """Commit one request of a group that failed: the one at fault must not take the others down."""
        try:
            return self._commit([entry])[0]
        except Exception as error:
            log.exception("a request could not be committed")
            return UnavailableError(f"internal error: {type(error).__name__}")

    def _commit(self, group: list[_Entry]) -> list[Answer]:
        commit = _Commit()
        with self._store.begin() as transaction:
            now = time.time()
            repeated = _find_repeated(transaction, group)
            parts = [part for entry, again in zip(group, repeated, strict=True) if not again
                     for part in entry.prepared.parts]  # fmt: skip
            identities = dict(zip(map(id, parts), _identify(transaction, parts), strict=True))
            answers = []
            for entry, again in zip(group, repeated, strict=True):
                prepared = entry.prepared
                if again:
                    answers.append(Answer(0, prepared.rows, 0, {}))
                    continue
                found = [identities[id(part)] for part in prepared.parts]
                for part, identity in zip(prepared.parts, found, strict=True):
                    self._count(transaction, commit, part, identity.keep, now)
                duplicates, conflicts = sum(f.duplicates for f in found), sum(f.conflicts for f in found)
                accepted = sum(part.rows for part in prepared.parts) - duplicates - conflicts
                answers.append(Answer(accepted, duplicates, conflicts, prepared.dropped))
                if prepared.key is not None:
                    transaction.remember_key(prepared.key, now)
            _write(transaction, commit)
        _apply(commit)
        for answer in answers:
            self._count_answer(answer)
        return answers

    def _count(self, transaction: Transaction, commit: _Commit, part: Part, keep: Bools, now: float) -> None:
        """Add the rows of a part that count to what the commit will make true."""
        version, rows = part.version, int(keep.sum())
        if not rows:
            return
        commit.last[version] = max(commit.last.get(version, 0.0), float(part.times[keep].max()))
        commit.unknown[version] = commit.unknown.get(version, frozenset()) | part.unknown_columns
        binning = version.binning
        if binning is None:
            latency, latency_sum = latency_histogram(part.latency[keep] if part.latency is not None else None)
            commit.add_totals(version, Totals(rows, np.zeros(0, np.int64), latency, latency_sum))
            if version.status in (Status.PENDING, Status.COLLECTING):
                transaction.add_spooled(version.key, part.spooled(keep))
                commit.spooled[version] = commit.spooled.get(version, 0) + rows
            return
        binned = part.binned
        if binned is None or part.binning is not binning:
            binned = bin_spooled(
                part.spooled(np.ones(part.rows, np.bool_)), binning.reference, self._settings
            )[0]
        starts = binning.timeline.block_starts(part.times, now)
        for start, block in fold(binning.reference, binned, starts, part.latency, keep).items():
            commit.add_block(version, binning, start, block, now)
            commit.add_totals(
                version, Totals(block.rows, block.counts.astype(np.int64), block.latency, block.latency_sum)
            )

    def _count_answer(self, answer: Answer) -> None:
        self._telemetry.count_rows("prediction", "accepted", answer.accepted)
        self._telemetry.count_rows("prediction", "duplicate", answer.duplicates)
        self._telemetry.count_rows("prediction", "conflict", answer.conflicts)
        for reason, rows in answer.dropped.items():
            self._telemetry.count_dropped_rows(reason, rows)

    # -- jobs, called in the writer's thread through `call` -------------------------------------------------

    def activate(self, version: Version, reference: Reference, reference_id: int | None) -> None:
        """Give a version its reference, stored already or not, and count what waited for it."""
        now = time.time()
        # Read before the transaction begins: SQLite would let another connection wait for its end.
        spooled = self._store.load_spooled(version.key)
        fine, coarse = dict[int, Aggregate](), dict[int, Aggregate]()
        if reference_id is not None:
            fine, coarse = self._store.load_blocks(reference_id)
        waited = np.zeros(reference.cells, np.int64)
        commit = _Commit()
        with self._store.begin() as transaction:
            if reference_id is None:
                reference_id = transaction.save_reference(version.key, reference, now)
            binning = Binning(reference_id, reference, Timeline(self._settings, fine, coarse))
            for waiting in spooled:
                binned, latency = bin_spooled(waiting, reference, self._settings)
                starts = binning.timeline.block_starts(waiting.times, now)
                for start, block in fold(reference, binned, starts, latency).items():
                    commit.add_block(version, binning, start, block, now)
                    waited += block.counts
            _write(transaction, commit)
            transaction.delete_spooled(version.key)
        # Traffic was counted as it came; the bins count from here.
        version.spooled_rows = 0
        for (_, family, start), (block, _) in commit.blocks.items():
            _family(binning.timeline, family)[start] = block
        version.live = Live(binning, replace(version.live.totals, values=waited))
        version.status, version.detail = Status.READY, ""

    def discard_spooled(self, version: Version) -> None:
        """Forget what waited for a reference that will not come; it was counted as traffic."""
        with self._store.begin() as transaction:
            transaction.delete_spooled(version.key)
        version.spooled_rows = 0

    def tidy(self, now: float) -> None:
        """Merge blocks too old to be fine, forget what is past its retention, mind the store's limit."""
        for version in self._fleet.versions.values():
            if version.binning is not None:
                self._compact(version.binning, now)
        with self._store.begin() as transaction:
            oldest_day = int(now // DAY_SECONDS) - self._settings.prediction_retention_days
            transaction.forget(now - KEY_RETENTION_SECONDS, oldest_day)
        size = self._store.size_bytes()
        self._telemetry.store_bytes = size
        self._telemetry.store_limit_bytes = self._settings.store_limit_bytes
        if self._full != (size >= self._settings.store_limit_bytes):
            self._full = not self._full
            log.warning("the store has %d bytes of %d", size, self._settings.store_limit_bytes)

    def _compact(self, binning: Binning, now: float) -> None:
        timeline = binning.timeline
        horizon = timeline.horizon(now)
        old = sorted(start for start in timeline.fine if start < horizon)
        expired = [start for start in timeline.coarse if start < now - self._settings.retention_seconds]
        if not old and not expired:
            return
        merged: dict[int, Aggregate] = {}
        for start in old:
            coarse = start // self._settings.coarse_seconds * self._settings.coarse_seconds
            block = merged.get(coarse) or timeline.coarse.get(coarse)
            merged[coarse] = timeline.fine[start] + block if block is not None else timeline.fine[start]
        with self._store.begin() as transaction:
            transaction.put_aggregates(binning.reference_id, COARSE, merged)
            transaction.delete_aggregates(binning.reference_id, FINE, old)
            transaction.delete_aggregates(binning.reference_id, COARSE, expired)
        for start in old:
            del timeline.fine[start]
        timeline.coarse.update(merged)
        for start in expired:
            timeline.coarse.pop(start, None)


@dataclass(frozen=True)
class _Identity:
    """Which rows of a part count, and how many do not or came before with another payload."""

    keep: Bools
    duplicates: int
    conflicts: int


def _find_repeated(transaction: Transaction, group: list[_Entry]) -> list[bool]:
    """Which requests bring an idempotency key that was committed before, or comes twice in this group."""
    seen: set[bytes] = set()
    repeated = []
    for entry in group:
        key = entry.prepared.key
        repeated.append(key is not None and (key in seen or transaction.has_key(key)))
        if key is not None:
            seen.add(key)
    return repeated


def _identify(transaction: Transaction, parts: list[Part]) -> list[_Identity]:
    """Tell new rows from repeated ones by (id, version) and payload, and remember the new ones."""
    keeps = [np.ones(part.rows, np.bool_) for part in parts]
    conflicts = [0] * len(parts)
    days: dict[int, list[tuple[int, int, PredictionRow]]] = {}
    for number, part in enumerate(parts):
        for place, row in zip(part.prediction_rows.tolist(), part.predictions, strict=True):
            days.setdefault(int(row.at // DAY_SECONDS), []).append((number, place, row))
    for day, rows in days.items():
        first: dict[tuple[bytes, int], PredictionRow] = {}
        for _, _, row in rows:
            first.setdefault((row.id_hash, row.version_id), row)
        known = _yesterdays(transaction, day, rows, parts)
        known |= transaction.insert_predictions(day, [row for key, row in first.items() if key not in known])
        changed = {}
        for number, place, row in rows:
            key = (row.id_hash, row.version_id)
            if key not in known:
                known[key] = row.payload  # the first of its kind counts; later ones in this commit repeat it
            elif known[key] == row.payload:
                keeps[number][place] = False
            else:
                known[key] = row.payload
                changed[key] = row
                conflicts[number] += 1
        transaction.replace_predictions(day, list(changed.values()))
    return [
        _Identity(keep, int(len(keep) - keep.sum()), count)
        for keep, count in zip(keeps, conflicts, strict=True)
    ]


def _yesterdays(
    transaction: Transaction, day: int, rows: list[tuple[int, int, PredictionRow]], parts: list[Part]
) -> dict[tuple[bytes, int], int]:
    """What the day before knows of rows that got the time of their receipt shortly after midnight."""
    hashes = [
        row.id_hash
        for number, place, row in rows
        if row.at - day * DAY_SECONDS < RETRY_SECONDS and not parts[number].timed[place]
    ]
    return transaction.find_predictions(day - 1, hashes) if hashes else {}


def _write(transaction: Transaction, commit: _Commit) -> None:
    for (_, family, start), (block, reference_id) in commit.blocks.items():
        transaction.put_aggregates(reference_id, family, {start: block})
    for version, at in commit.last.items():
        if version.last_prediction is None or at > version.last_prediction:
            transaction.set_last_prediction(version.key, at)


def _apply(commit: _Commit) -> None:
    """Make memory say what the store says now."""
    for (version, family, start), (block, _) in commit.blocks.items():
        assert version.binning is not None
        _family(version.binning.timeline, family)[start] = block
    for version, totals in commit.totals.items():
        version.live = Live(version.binning, version.live.totals + totals)
    for version, at in commit.last.items():
        version.last_prediction = max(version.last_prediction or 0.0, at)
    for version, rows in commit.spooled.items():
        version.spooled_rows += rows
    for version, names in commit.unknown.items():
        if not names <= version.unknown_columns:
            version.unknown_columns = frozenset(sorted(version.unknown_columns | names)[:MAX_UNKNOWN_COLUMNS])


def _family(timeline: Timeline, family: int) -> dict[int, Aggregate]:
    return timeline.fine if family == FINE else timeline.coarse

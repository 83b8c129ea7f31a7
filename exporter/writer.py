"""The one thread that writes: batches share a commit, and are answered after it.

While a commit is on its way to the disk the next requests queue up; all that have queued are the next commit.
So the disk's latency is shared by as many requests as there are, and a row a request is not a commit a row.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy.exc import DBAPIError

from exporter.aggregate import fold, latency_histogram
from exporter.arrays import Bools
from exporter.commit import Commit
from exporter.config import Settings
from exporter.deduplication import find_repeated, identify
from exporter.errors import MalformedError, OverloadedError, RequestError, StoreError, UnavailableError
from exporter.fleet import Status, Totals
from exporter.ingest import Part, Prepared, bin_spooled
from exporter.store import Store
from exporter.telemetry import DropReason, Telemetry
from exporter.transaction import Transaction

MAX_GROUP_ROWS = 50_000  # of one commit: beyond, its requests wait longer than sharing saves

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


class Writer:
    """Takes prepared requests and jobs, from any thread, and carries them out in order in its own."""

    def __init__(
        self, store: Store, settings: Settings, telemetry: Telemetry, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._settings = settings
        self._telemetry = telemetry
        self._clock = clock
        self._queue: deque[_Entry | Callable[[], None]] = deque()
        self._wake = threading.Condition()  # guards the three around it
        self._queued_rows = 0
        self._closed = False
        self.full = False  # whether the store has reached its limit, set by who measures it
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
            refusal = self._refuse(prepared)
            if refusal is None:
                self._queued_rows += prepared.rows
                self._telemetry.queue_rows = self._queued_rows
                self._queue.append(entry)
                self._wake.notify()
                return entry.future
        self._telemetry.count_rows("prediction", "rejected", prepared.rows)
        raise refusal

    def _refuse(self, prepared: Prepared) -> RequestError | None:
        if self._closed:
            return UnavailableError("the service is stopping", retry_after_seconds=5)
        if self.full:
            return UnavailableError("the store has reached its limit", retry_after_seconds=60)
        # A batch that is larger than the queue is taken by an empty one.
        if self._queued_rows and self._queued_rows + prepared.rows > self._settings.max_queue_rows:
            return OverloadedError(f"{self._queued_rows} rows are waiting", retry_after_seconds=1)
        return None

    def call(self, job: Callable[[], None]) -> Future[None]:
        """Run a job in the writer's thread, after what is queued already.

        The future fails with what the job raises, or with `StoreError` where the writer has stopped.
        """
        future: Future[None] = Future()

        def run() -> None:
            try:
                job()
                future.set_result(None)
            except BaseException as error:  # noqa: BLE001 - it is the caller's, who waits for it
                future.set_exception(error)

        with self._wake:
            if self._closed:
                future.set_exception(StoreError("the service is stopping"))
            else:
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

    def _take(self, group: Sequence[_Entry]) -> None:
        # From here on a client that hangs up cannot cancel what is being committed.
        group = [entry for entry in group if entry.future.set_running_or_notify_cancel()]
        for entry, outcome in zip(group, self._outcomes([e.prepared for e in group]), strict=True):
            if isinstance(outcome, Answer):
                self._count_answer(entry.prepared, outcome)
                entry.future.set_result(outcome)
            else:
                self._telemetry.count_rows("prediction", "rejected", entry.prepared.rows)
                entry.future.set_exception(outcome)

    def _outcomes(self, requests: Sequence[Prepared]) -> Sequence[Answer | RequestError]:
        try:
            return self._commit(requests)
        except StoreError as error:
            log.error("a commit of %d requests failed: %s", len(requests), error)
            return [UnavailableError(str(error), retry_after_seconds=5)] * len(requests)
        except Exception as error:
            if len(requests) > 1:  # the one at fault must not take the others down
                return [self._outcomes([prepared])[0] for prepared in requests]
            log.exception("a request could not be committed")
            if isinstance(error, DBAPIError):
                return [MalformedError(f"the store does not take it: {error.orig}")]
            return [UnavailableError(f"internal error: {type(error).__name__}", retry_after_seconds=60)]

    def _commit(self, requests: Sequence[Prepared]) -> Sequence[Answer | RequestError]:
        commit = Commit()
        outcomes: list[Answer | RequestError] = []
        with self._store.begin() as transaction:
            now = self._clock()
            bodies = find_repeated(transaction, requests)
            parts = [part for prepared, body in zip(requests, bodies, strict=True) if body is None
                     for part in prepared.parts]  # fmt: skip
            identities = iter(identify(transaction, parts, self._settings))
            for prepared, body in zip(requests, bodies, strict=True):
                if body is not None:
                    outcomes.append(_answer_repeated(prepared, body))
                    continue
                found = [next(identities) for _ in prepared.parts]
                for part, identity in zip(prepared.parts, found, strict=True):
                    self._count(transaction, commit, part, identity.keep, now)
                duplicates, conflicts = sum(f.duplicates for f in found), sum(f.conflicts for f in found)
                accepted = sum(part.rows for part in prepared.parts) - duplicates - conflicts
                outcomes.append(Answer(accepted, duplicates, conflicts, prepared.dropped))
                if prepared.key is not None:
                    transaction.remember_key(prepared.key, prepared.body, now)
            commit.write(transaction)
        commit.apply()
        return outcomes

    def _count(self, transaction: Transaction, commit: Commit, part: Part, keep: Bools, now: float) -> None:
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
        if binned is None or part.binning is None or part.binning.reference_id != binning.reference_id:
            # The reference came after the request was prepared.
            everything = part.spooled(np.ones(part.rows, np.bool_))
            binned = bin_spooled(everything, binning.reference, self._settings)[0]
        starts = binning.timeline.block_starts(part.times, now)
        for start, block in fold(binning.reference, binned, starts, part.latency, keep).items():
            commit.add_block(version, binning, start, block, now)
            counts = block.counts.astype(np.int64)
            commit.add_totals(version, Totals(block.rows, counts, block.latency, block.latency_sum))

    def _count_answer(self, prepared: Prepared, answer: Answer) -> None:
        self._telemetry.count_rows("prediction", "accepted", answer.accepted)
        self._telemetry.count_rows("prediction", "duplicate", answer.duplicates)
        self._telemetry.count_rows("prediction", "conflict", answer.conflicts)
        for reason, rows in answer.dropped.items():
            self._telemetry.count_dropped_rows(reason, rows)
        self._telemetry.count_naive_timestamps(prepared.naive_timestamps)


def _answer_repeated(prepared: Prepared, body: bytes) -> Answer | RequestError:
    if body == prepared.body:
        return Answer(0, prepared.rows, 0, {})
    return MalformedError("this key came with another body before; nothing was taken", "Idempotency-Key")

"""The one thread that writes: batches share a commit, and are answered after it.

While a commit is on its way to the disk the next requests queue up; all that have queued are the next commit.
So the disk's latency is shared by as many requests as there are, and a row a request is not a commit a row.
Clients that post one request after the other come back together: a commit waits a moment for as many requests
as one of the last had, or most of them would just miss it. A client alone does not wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from exporter.errors import MalformedError, OverloadedError, RequestError, StoreError, UnavailableError
from exporter.exposition.telemetry import RowKind, Telemetry
from exporter.fleet import Fleet
from exporter.ingest.commit import Answer, GroupCommit, IngestRequest
from exporter.ingest.join import LabelAnswer, PreparedLabels
from exporter.settings import Settings
from exporter.storage.store import Store

MAX_GROUP_ROWS = 50_000  # of one commit: beyond, its requests wait longer than sharing saves
# A commit waits for others so long at most, or this part of what the last one took: of clients that were
# answered together one after the other is read and decoded.
GATHERING_SECONDS, GATHERING_PART, MAX_GATHERING_SECONDS = 0.01, 0.25, 0.05
REMEMBERED_COMMITS = 8
MAX_GROUP_BYTES = 64 * 2**20  # of one commit
MAX_QUEUED_BYTES = 256 * 2**20  # with 500 columns rows are a hundred times what they are with five

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Entry:
    request: IngestRequest
    future: Future[Answer]

    @property
    def size_bytes(self) -> int:
        return 0 if isinstance(self.request, PreparedLabels) else self.request.size_bytes


class Writer:
    """Takes prepared requests and jobs, from any thread, and carries them out in order in its own."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        settings: Settings,
        telemetry: Telemetry,
        clock: Callable[[], float],
    ) -> None:
        self.committer = GroupCommit(store, fleet, settings, clock)
        self._store = store
        self._settings = settings
        self._telemetry = telemetry
        self._queue: deque[_Entry | Callable[[], None]] = deque()
        self._wake = threading.Condition()  # guards those around it
        self._queued_rows = self._queued_bytes = 0
        self._expected = 1  # so many entries wake the thread
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

    def submit(self, request: IngestRequest) -> Future[Answer]:
        """Queue a request; the future is done when it is committed, or fails with a `RequestError`.

        Raises:
            OverloadedError: the queue is full; nothing was taken.
            UnavailableError: the service is stopping, or the store has reached its limit.
        """
        entry = _Entry(request, Future())
        with self._wake:
            refusal = self._refuse(entry)
            if refusal is None:
                self._queued_rows += request.rows
                self._queued_bytes += entry.size_bytes
                self._telemetry.queue_rows = self._queued_rows
                self._queue.append(entry)
                if len(self._queue) >= self._expected:
                    self._wake.notify()
                return entry.future
        self._telemetry.count_rows(_kind(request), "rejected", request.rows)
        raise refusal

    def _refuse(self, entry: _Entry) -> RequestError | None:
        if self._closed:
            return UnavailableError("the service is stopping", retry_after_seconds=5)
        if self.full:
            return UnavailableError("the store has reached its limit", retry_after_seconds=60)
        # A batch that is larger than the queue is taken by an empty one.
        too_many = self._queued_rows + entry.request.rows > self._settings.max_queue_rows
        too_large = self._queued_bytes + entry.size_bytes > MAX_QUEUED_BYTES
        if self._queued_rows and (too_many or too_large):
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
        sizes = deque([1], REMEMBERED_COMMITS)  # requests of the last commits
        took_seconds = 0.0
        while True:
            with self._wake:
                self._wait(1, None)
                patience = max(GATHERING_SECONDS, GATHERING_PART * took_seconds)
                self._wait(max(sizes), min(patience, MAX_GATHERING_SECONDS))
                if not self._queue:
                    return
                first = self._queue.popleft()
                group = self._gather(first) if isinstance(first, _Entry) else []
            if not isinstance(first, _Entry):
                first()
                del first  # or its objects would be kept until the next entry comes; so would a group's rows
                continue
            started = time.monotonic()
            self._take(group)
            sizes.append(len(group))
            took_seconds = time.monotonic() - started
            with self._wake:
                self._queued_rows -= sum(entry.request.rows for entry in group)
                self._queued_bytes -= sum(entry.size_bytes for entry in group)
                self._telemetry.queue_rows = self._queued_rows
            del first, group

    def _wait(self, entries: int, timeout_seconds: float | None) -> None:
        """Wait until so many have queued. A job among them is carried out at once."""
        self._expected = entries

        def enough() -> bool:
            return self._closed or len(self._queue) >= entries or self._urgent()

        self._wake.wait_for(enough, timeout_seconds)

    def _urgent(self) -> bool:
        """Whether a job has queued; whoever called waits for it, and requests behind it wait for both."""
        return bool(self._queue) and not isinstance(self._queue[-1], _Entry)

    def _gather(self, first: _Entry) -> list[_Entry]:
        """Requests that may share a commit with the first, up to the next job.

        An idempotency key comes once in a commit: whether the second is a repetition depends on what becomes
        of the first.
        """
        group, rows, size = [first], first.request.rows, first.size_bytes
        keys = {_key(first.request)}
        while self._queue and rows < MAX_GROUP_ROWS and size < MAX_GROUP_BYTES:
            entry = self._queue[0]
            if not isinstance(entry, _Entry) or (_key(entry.request) or b"") in keys:
                break
            self._queue.popleft()
            group.append(entry)
            rows += entry.request.rows
            size += entry.size_bytes
            keys.add(_key(entry.request))
        return group

    def _take(self, group: Sequence[_Entry]) -> None:
        # From here on a client that hangs up cannot cancel what is being committed.
        group = [entry for entry in group if entry.future.set_running_or_notify_cancel()]
        outcomes = self._outcomes([entry.request for entry in group])
        with self._store.applying():  # if it failed here, waiting requests would never get an answer
            for entry, outcome in zip(group, outcomes, strict=True):
                if not isinstance(outcome, RequestError):
                    self._count_answer(entry.request, outcome)
                    entry.future.set_result(outcome)
                else:
                    self._telemetry.count_rows(_kind(entry.request), "rejected", entry.request.rows)
                    entry.future.set_exception(outcome)

    def _outcomes(self, requests: Sequence[IngestRequest]) -> Sequence[Answer | RequestError]:
        try:
            return self.committer.commit(requests)
        except StoreError as error:
            log.error("a commit of %d requests failed: %s", len(requests), error)
            return [UnavailableError(str(error), retry_after_seconds=5)] * len(requests)
        except Exception as error:
            if len(requests) > 1:  # the one at fault must not take the others down
                return [self._outcomes([request])[0] for request in requests]
            log.exception("a request could not be committed")
            if isinstance(error, DBAPIError):
                return [MalformedError(f"the store does not take it: {error.orig}")]
            return [UnavailableError(f"internal error: {type(error).__name__}", retry_after_seconds=60)]

    def _count_answer(self, request: IngestRequest, answer: Answer) -> None:
        self._telemetry.count_naive_timestamps(request.naive_timestamps)
        if isinstance(answer, LabelAnswer):
            self._telemetry.count_rows("label", "accepted", answer.accepted)
            self._telemetry.count_rows("label", "unmatched", answer.unmatched)
            self._telemetry.count_rows("label", "correction", answer.corrections)
            self._telemetry.count_rows("label", "duplicate", answer.duplicates)
            return
        self._telemetry.count_rows("prediction", "accepted", answer.accepted)
        self._telemetry.count_rows("prediction", "duplicate", answer.duplicates)
        self._telemetry.count_rows("prediction", "conflict", answer.conflicts)
        for reason, rows in answer.dropped.items():
            self._telemetry.count_dropped_rows(reason, rows)


def _key(request: IngestRequest) -> bytes | None:
    return request.key.key if request.key is not None else None


def _kind(request: IngestRequest) -> RowKind:
    return "label" if isinstance(request, PreparedLabels) else "prediction"

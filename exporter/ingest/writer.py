"""The only thread that writes to the store.

Requests that queue up during a commit share the next one, so a row a request is not a commit a row. Clients
that post one request after the other come back together: a commit waits a moment for as many requests as one
of the last had, or most of them would just miss it. A client alone does not wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy.exc import DBAPIError

from exporter.errors import MalformedError, OverloadedError, RequestError, StoreError, UnavailableError
from exporter.exposition.telemetry import Telemetry
from exporter.ingest.answers import count_answers, kind_of, queued_bytes, queued_rows
from exporter.ingest.commit import Answer, IngestRequest
from exporter.settings import Settings
from exporter.storage.store import Store

MAX_GROUP_ROWS = 50_000  # of one commit: with more, its requests wait longer than sharing saves
MAX_GROUP_BYTES = 64 * 2**20
# Longest wait for further requests, or the same as a part of the duration of the last commit: requests of
# clients that were answered together are read and decoded one after the other.
GROUP_WAIT_SECONDS, GROUP_WAIT_PART, MAX_GROUP_WAIT_SECONDS = 0.01, 0.25, 0.05
REMEMBERED_COMMITS = 8
MAX_QUEUED_BYTES = 256 * 2**20  # rows of 500 columns are a hundred times as large as rows of five

log = logging.getLogger(__name__)

Commit: TypeAlias = Callable[[Sequence[IngestRequest]], Sequence[Answer | RequestError]]


@dataclass(frozen=True)
class _Entry:
    request: IngestRequest
    future: Future[Answer]

    @property
    def size_bytes(self) -> int:
        return queued_bytes(self.request)

    @property
    def rows(self) -> int:
        return queued_rows(self.request)


class Writer:
    """Carries out requests and jobs of any thread in its own, in their order.

    Args:
        store: that it writes.
        commit: commits all requests, or none where it raises; returns their outcomes in order.
        settings: with the limits of the queue.
        telemetry: counts rows.
    """

    def __init__(self, store: Store, commit: Commit, settings: Settings, telemetry: Telemetry) -> None:
        self.commit = commit
        self._store = store
        self._settings = settings
        self._telemetry = telemetry
        self._queue: deque[_Entry | Callable[[], None]] = deque()
        self._wake = threading.Condition()  # guards the queue and the counts below
        self._queued_rows = self._queued_bytes = 0
        self._expected = 1  # number of entries that wakes the thread
        self._closed = False
        self.full = False  # the store has reached its limit; set by the evaluator
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        store.call_when_unanswered(self._refuse_queued)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Refuse further requests, commit the queued ones, and end the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def submit(self, request: IngestRequest) -> Future[Answer]:
        """Queue a request; the future is done when it is committed, or fails with a `RequestError`.

        Raises:
            OverloadedError: the queue is full.
            UnavailableError: the service is stopping, or the store has reached its limit or does not answer.
        """
        entry = _Entry(request, Future())
        with self._wake:
            refusal = self._refuse(entry)
            if refusal is None:
                self._queued_rows += entry.rows
                self._queued_bytes += entry.size_bytes
                self._telemetry.queue_rows = self._queued_rows
                self._queue.append(entry)
                if len(self._queue) >= self._expected:
                    self._wake.notify()
                return entry.future
        self._telemetry.count_rows(kind_of(request), "rejected", request.rows)
        raise refusal

    def _refuse(self, entry: _Entry) -> RequestError | None:
        if self._closed:
            return UnavailableError("the service is stopping", retry_after_seconds=5)
        if self.full:
            return UnavailableError("the store has reached its limit", retry_after_seconds=60)
        if self._store.unanswered:
            return _unanswered()
        # An empty queue takes a request of any size.
        too_many = self._queued_rows + entry.rows > self._settings.max_queue_rows
        too_large = self._queued_bytes + entry.size_bytes > MAX_QUEUED_BYTES
        if self._queued_rows and (too_many or too_large):
            return OverloadedError(f"{self._queued_rows} rows are waiting", retry_after_seconds=1)
        return None

    def call(self, job: Callable[[], None]) -> Future[None]:
        """Run a job in the writer's thread, after the requests that are queued.

        The future fails with the job's error, or with `StoreError` where the writer has stopped.
        """
        future: Future[None] = Future()

        def run() -> None:
            try:
                job()
                future.set_result(None)
            except BaseException as error:  # noqa: BLE001 - the caller waits for it
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
                patience = max(GROUP_WAIT_SECONDS, GROUP_WAIT_PART * took_seconds)
                self._wait(max(sizes), min(patience, MAX_GROUP_WAIT_SECONDS))
                if not self._queue:
                    return
                first = self._queue.popleft()
                group = self._gather(first) if isinstance(first, _Entry) else []
            if not isinstance(first, _Entry):
                first()
                del first  # do not keep its objects until the next entry comes
                continue
            started = time.monotonic()
            self._take(group)
            sizes.append(len(group))
            took_seconds = time.monotonic() - started
            with self._wake:
                self._queued_rows -= sum(entry.rows for entry in group)
                self._queued_bytes -= sum(entry.size_bytes for entry in group)
                self._telemetry.queue_rows = self._queued_rows
            del first, group

    def _wait(self, entries: int, timeout_seconds: float | None) -> None:
        """Wait until the queue has that many entries, or a job, which is carried out at once."""
        self._expected = entries

        def enough() -> bool:
            return self._closed or len(self._queue) >= entries or self._urgent()

        self._wake.wait_for(enough, timeout_seconds)

    def _urgent(self) -> bool:
        """Return whether the last entry is a job: requests behind it would wait for it too."""
        return bool(self._queue) and not isinstance(self._queue[-1], _Entry)

    def _gather(self, first: _Entry) -> list[_Entry]:
        """Return the first request and the next ones that can share its commit, up to the next job.

        An idempotency key is in a commit once: the second request with it repeats the first unless that is
        refused.
        """
        group, rows, size = [first], first.rows, first.size_bytes
        keys = {_key(first.request)}
        while self._queue and rows < MAX_GROUP_ROWS and size < MAX_GROUP_BYTES:
            entry = self._queue[0]
            if not isinstance(entry, _Entry) or (_key(entry.request) or b"") in keys:
                break
            self._queue.popleft()
            group.append(entry)
            rows += entry.rows
            size += entry.size_bytes
            keys.add(_key(entry.request))
        return group

    def _take(self, group: Sequence[_Entry]) -> None:
        # A client that hangs up from here on does not cancel its request.
        group = [entry for entry in group if entry.future.set_running_or_notify_cancel()]
        outcomes = self._outcomes([entry.request for entry in group])
        with self._store.applying():  # an error here would leave requests without an answer
            count_answers(self._telemetry, zip((each.request for each in group), outcomes, strict=True))
            for entry, outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, RequestError):
                    entry.future.set_exception(outcome)
                else:
                    entry.future.set_result(outcome)

    def _refuse_queued(self) -> None:
        """Answer the requests that are queued, which would wait as long as the database does not answer."""
        with self._wake:
            refused = [entry for entry in self._queue if isinstance(entry, _Entry)]
            self._queue = deque(job for job in self._queue if not isinstance(job, _Entry))
            self._queued_rows -= sum(entry.rows for entry in refused)
            self._queued_bytes -= sum(entry.size_bytes for entry in refused)
            self._telemetry.queue_rows = self._queued_rows
        refused = [entry for entry in refused if entry.future.set_running_or_notify_cancel()]
        count_answers(self._telemetry, ((entry.request, _unanswered()) for entry in refused))
        for entry in refused:
            entry.future.set_exception(_unanswered())

    def _outcomes(self, requests: Sequence[IngestRequest]) -> Sequence[Answer | RequestError]:
        try:
            return self.commit(requests)
        except StoreError as error:
            log.error("a commit of %d requests failed: %s", len(requests), error)
            return [UnavailableError(str(error), retry_after_seconds=5)] * len(requests)
        except Exception as error:
            if len(requests) > 1:  # only the request at fault is to fail
                return [self._outcomes([request])[0] for request in requests]
            log.exception("a request could not be committed")
            if isinstance(error, DBAPIError):
                return [MalformedError(f"the store does not take it: {error.orig}")]
            return [UnavailableError(f"internal error: {type(error).__name__}", retry_after_seconds=60)]


def _unanswered() -> UnavailableError:
    return UnavailableError("the database does not answer", retry_after_seconds=5)


def _key(request: IngestRequest) -> bytes | None:
    return request.key.key if request.key is not None else None

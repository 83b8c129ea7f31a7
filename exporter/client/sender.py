"""Sends what is queued: batches, attempts, back-off, and the end of rows that the exporter does not take."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock

from exporter.client.connection import Answer, Connection
from exporter.client.counts import Counts, Reason, describe
from exporter.client.outbox import Outbox
from exporter.client.uploads import PATHS, Packer, Upload
from exporter.errors import UnreachableError

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
LONGEST_RETRY_AFTER_SECONDS = 300.0
# A token may be replaced and a version given its alias within minutes: until then rows wait.
REFUSED_AGE_SECONDS = 300.0
# Of a batch of which some rows are refused: enough to single out three of 500.
MAX_DIVISIONS = 30
_TAKEN = HTTPStatus.ACCEPTED
_DIVISIBLE = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)
_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_REASONS: dict[int, Reason] = {
    401: "unauthorized",
    403: "unauthorized",
    404: "unknown_model",
    421: "other_shard",
}


@dataclass
class _Batch:
    """Uploads of entries that were taken together, and the number of times that they may still be halved.

    `body` is that of the first.
    """

    uploads: deque[Upload]
    divisions: int = MAX_DIVISIONS
    body: bytes = b""


class Sender:
    """Sends the entries of an outbox, one request at a time.

    Args:
        batch_seconds: longest wait of a row for others to go with.
        max_age_seconds: of a row; older ones are dropped.
        now: the monotonic clock.
    """

    def __init__(
        self,
        outbox: Outbox,
        packer: Packer,
        connection: Connection,
        counts: Counts,
        *,
        batch_rows: int,
        batch_seconds: float,
        max_age_seconds: float,
        now: Callable[[], float],
    ) -> None:
        self._outbox = outbox
        self._packer = packer
        self._connection = connection
        self._counts = counts
        self._batch_rows = batch_rows
        self._batch_seconds = batch_seconds
        self._max_age_seconds = max_age_seconds
        self._now = now
        self._batch = _Batch(deque())
        self._lock = Lock()
        self._failures = 0
        self._retry_at = 0.0
        self._refusal: Reason | None = None  # why the exporter takes nothing at the moment
        self._detail = ""
        self.hurry_until = 0  # entries up to this number are sent without waiting for others
        self.done = 0  # number of the oldest entry of which something may be left

    def hurry(self) -> int:
        """Send what is queued now without waiting for more rows, or for the next attempt; return its mark,
        which `done` reaches when nothing of it is left."""
        self.hurry_until = self._outbox.entered
        self._retry_at = 0.0
        self._outbox.wake.set()
        return self.hurry_until

    def step(self) -> float | None:
        """Do what is due, and return the seconds until there is more to do, None if that depends on rows."""
        if not self._batch.uploads:
            wait = self._seconds_to_next_batch()
            if wait is None or wait > 0:
                return wait
            self._take()
        while self._batch.uploads and self._expired(self._batch.uploads[0].queued_at):
            self._counts.drop(self._refusal or "expired", self._next().rows, self._detail)
        if not self._batch.uploads:
            return 0.0
        if (wait := self._retry_at - self._now()) > 0:
            return wait
        self._attempt(self._batch.uploads[0])
        return 0.0

    def abandon(self, reason: Reason) -> None:
        """Drop all that is left."""
        while entries := self._outbox.take(self._batch_rows):
            self._counts.drop(reason, sum(entry.rows for entry in entries))
        with self._lock:
            uploads, self._batch = self._batch.uploads, _Batch(deque())
        for upload in uploads:
            self._counts.drop(reason, upload.rows)

    def _seconds_to_next_batch(self) -> float | None:
        self.done, queued_at = self._outbox.oldest
        if queued_at is None:
            return None
        if self._outbox.rows >= self._batch_rows or self.done < self.hurry_until:
            return 0.0
        return queued_at + self._batch_seconds - self._now()

    def _take(self) -> None:
        fresh = []
        for entry in self._outbox.take(self._batch_rows):
            if self._expired(entry.queued_at):
                self._counts.drop(self._refusal or "expired", entry.rows, self._detail)
            else:
                fresh.append(entry)
        try:
            self._batch = _Batch(deque(self._packer.pack(fresh) if fresh else ()))
        except Exception as error:  # noqa: BLE001 - none is known; rows would be lost without a count
            self._counts.drop("invalid", sum(entry.rows for entry in fresh), describe(error))

    def _expired(self, queued_at: float) -> bool:
        limit = self._max_age_seconds
        if self._refusal is not None:
            limit = min(limit, REFUSED_AGE_SECONDS)
        return self._now() - queued_at > limit

    def _next(self) -> Upload:
        """Go on to the next upload, and return the one that is over."""
        self._batch.body = b""
        return self._batch.uploads.popleft()

    def _attempt(self, upload: Upload) -> None:
        try:
            self._batch.body = self._batch.body or self._packer.body(upload)
        except Exception as error:  # noqa: BLE001 - as above, and it would be tried again and again
            self._counts.drop("invalid", self._next().rows, describe(error))
            return
        headers = {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Idempotency-Key": upload.key,
        }
        batch = self._batch
        try:
            answer = self._connection.request("POST", PATHS[upload.kind], None, batch.body, headers)
        except UnreachableError as error:
            self._retry(None, str(error))
            return
        with self._lock:
            if self._batch is batch:  # else it was abandoned, and is counted
                self._take_answer(upload, answer)

    def _take_answer(self, upload: Upload, answer: Answer) -> None:
        if answer.status == _TAKEN:
            self._settle()
            self._counts.send(upload.kind, upload.rows)
            return
        detail, where = answer.problem
        said = f"{answer.status} {detail}" + (f" ({where})" if where else "")
        if answer.status in _DIVISIBLE:
            self._settle()
            self._divide(upload, said)
        elif answer.status in _BUSY or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._retry(None, said, answer.retry_after_seconds)
        else:
            self._retry(_REASONS.get(answer.status, "unexpected_answer"), said, answer.retry_after_seconds)

    def _settle(self) -> None:
        self._next()
        self._failures, self._retry_at, self._refusal, self._detail = 0, 0.0, None, ""

    def _divide(self, upload: Upload, said: str) -> None:
        """Send both halves of a refused upload; a single row, or what was halved too often, is dropped."""
        if upload.rows == 1 or self._batch.divisions <= 0:
            self._counts.drop("refused", upload.rows, said)
            return
        self._batch.divisions -= 1
        self._batch.uploads.extendleft(reversed(self._packer.halves(upload)))

    def _retry(self, refusal: Reason | None, detail: str, retry_after: float = 0.0) -> None:
        """Wait before the next attempt: exponential back-off with jitter, or what the exporter asks for."""
        longest = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2**self._failures)
        delay = max(longest * (0.5 + random.random() / 2), min(retry_after, LONGEST_RETRY_AFTER_SECONDS))  # noqa: S311 - no secret
        self._failures = min(self._failures + 1, 30)
        self._refusal, self._detail = refusal, detail
        self._retry_at = self._now() + delay

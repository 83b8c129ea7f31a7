"""Sends batches to the exporter, several at once, and tries again while it cannot take them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from queue import SimpleQueue

from exporter.client.connection import Answer, Connection
from exporter.client.retrying import RETRY_SECONDS, ask_until_answered
from exporter.errors import ExporterError
from exporter.push.batches import Batch, Destination, Request
from exporter.push.outcome import Outcome, Refusal
from exporter.push.refusals import wrong_rows

IN_FLIGHT = 3
MAX_ROUNDS = 100  # of a batch whose rows are refused one after the other

ACCEPTED, TOO_LARGE, MALFORMED = 202, 413, 422

Post = Callable[[Request], Answer]


class StoppedError(ExporterError):
    """The user stopped it before this was done."""


def poster(connection: Connection, target: Destination) -> Post:
    """Function that posts a request to the exporter, and returns its answer, whatever that is."""

    def post(request: Request) -> Answer:
        headers = {"Content-Type": request.content_type, "Idempotency-Key": request.key}
        return connection.request("POST", target.path, request.query, request.body, headers)

    return post


class Sender:
    """Threads that send batches; what becomes of them is added to an outcome.

    Labels are sent one batch after the other, since the last of two for an id is the one that counts.
    """

    def __init__(
        self, post: Post, target: Destination, outcome: Outcome, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self._post = post
        self._target = target
        self._outcome = outcome
        self._retry_seconds = retry_seconds
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._room = threading.Semaphore(1)  # for a batch that waits; the ends of threads take none
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        count = 1 if target.labels else IN_FLIGHT
        # Daemons, so that a second Ctrl-C ends the process at once.
        # Not joined: a join that Ctrl-C interrupts takes the thread for ended from then on.
        self._ended = [threading.Event() for _ in range(count)]
        for ended in self._ended:
            threading.Thread(target=self._run, args=(ended,), daemon=True).start()

    def put(self, batch: Batch) -> None:
        """Queue a batch, and wait until there is room.

        Raises:
            ExporterError: an earlier batch could not be sent; nothing more will be.
        """
        self._room.acquire()
        self._check()
        self._queue.put(batch)

    def finish(self) -> None:
        """Wait until all batches are sent.

        Raises:
            ExporterError: one could not be sent.
        """
        self._end()
        self._check()

    def stop(self) -> None:
        """Give up what is queued, and wait for the requests that the exporter has."""
        self._stopping.set()
        self._end()

    def _end(self) -> None:
        for _ in self._ended:
            self._queue.put(None)
        for ended in self._ended:
            ended.wait()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self, ended: threading.Event) -> None:
        while (batch := self._queue.get()) is not None:
            self._room.release()
            if self._stopping.is_set():
                continue
            try:
                self._send(batch)
            except BaseException as error:  # noqa: BLE001 - raised in the thread that reads
                self._error = self._error or error
                self._stopping.set()
        ended.set()

    def _send(self, batch: Batch) -> None:
        """Send a batch, without the rows that are refused."""
        for _ in range(MAX_ROUNDS):
            if self._stopping.is_set():
                return
            answer = self._answer(batch.request(self._target))
            if answer.status == TOO_LARGE and len(batch) > 1:
                for half in batch.halves():
                    self._send(half)
                return
            if answer.status not in (TOO_LARGE, MALFORMED):
                self._outcome.add_answer(json.loads(answer.body))
                return
            detail, where = answer.problem
            wrong = wrong_rows(batch.rows.fields, self._target.labels, detail, where)
            wrong = {row: why for row, why in wrong.items() if row < len(batch)}
            if not wrong or answer.status == TOO_LARGE:
                break
            for row, why in wrong.items():
                number = batch.rows.numbers[row]
                self._outcome.refuse(Refusal(batch.file, number, number, why), 1)
            batch = batch.take([row for row in range(len(batch)) if row not in wrong])
            if not len(batch):
                return
        numbers = batch.rows.numbers
        problem = f"{where}: {detail}" if where else detail
        self._outcome.refuse(Refusal(batch.file, numbers[0], numbers[-1], problem), len(batch))

    def _answer(self, request: Request) -> Answer:
        """Answer that says what became of the rows, or why they are refused.

        Raises:
            UnreachableError, CallRefusedError: there is none, for longer than is waited, or never will be.
            StoppedError: the user stopped it.
        """

        def wait(problem: ExporterError, seconds: float) -> None:
            self._outcome.waits_for = str(problem)
            if self._stopping.wait(seconds):
                raise StoppedError(str(problem))
            self._outcome.waits_for = ""

        final = (ACCEPTED, TOO_LARGE, MALFORMED)
        return ask_until_answered(lambda: self._post(request), final, wait, self._retry_seconds)

"""Produces requests to the topic, in place of the writer of a store.

Three threads: one splits requests and hands their messages to the driver, one takes the driver's reports of
delivery, and one asks the brokers about the topic, whose number of partitions must not change.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from exporter.errors import (
    ConfigError,
    KafkaError,
    OverloadedError,
    RequestError,
    TooLargeError,
    UnavailableError,
)
from exporter.exposition.telemetry import Telemetry
from exporter.ingest.answers import kind_of, queued_bytes, queued_rows
from exporter.ingest.commit import Answer, IngestRequest, ProducedAnswer
from exporter.ingest.join import PreparedLabels
from exporter.kafka.configuration import (
    DELIVERY_SECONDS,
    MAX_MESSAGE_BYTES,
    make_admin,
    make_producer,
    read_properties,
)
from exporter.kafka.splitting import Layout, Outgoing, split
from exporter.kafka.topic import Topic, find_topic
from exporter.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka import KafkaError as DriverError

MAX_QUEUED_BYTES = 256 * 2**20
ASK_SECONDS, ASK_AGAIN_SECONDS, ASK_TIMEOUT_SECONDS = 60.0, 1.0, 5.0
RETRY_SECONDS = 5

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Entry:
    """A request on its way to the brokers; `left` of its messages are not delivered yet."""

    request: IngestRequest
    future: Future[Answer] = field(default_factory=Future)
    left: int = 0
    naive_timestamps: int = 0  # that nobody counts after us
    error: RequestError | None = None


class TopicWriter:
    """Writes requests of any thread to the topic; a request is taken once the brokers have all its messages.

    Args:
        stored_partitions: number of partitions that the store has, None while it has none.
        end: ends the process, for the given reason: after some errors the driver cannot produce any more.

    Raises:
        ConfigError: a property cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry,
        clock: Callable[[], float],
        stored_partitions: Callable[[], int | None] = lambda: None,
        end: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._clock = clock
        self._stored_partitions = stored_partitions
        self._end = end
        self._producer = make_producer(settings, self._note_error)
        self._admin = make_admin(settings)
        self._limit = int(read_properties(settings).get("message.max.bytes", MAX_MESSAGE_BYTES))
        self._queue: deque[_Entry] = deque()
        self._wake = threading.Condition()  # guards the queue, the counts below and entries
        self._rows = self._bytes = 0  # queued, or on their way to the brokers
        self._anonymous = count()
        self._topic: Topic | None = None
        self.refusal = "the brokers have not answered yet"  # why requests are refused, empty if they are not
        self._fault = ""
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for name, run in (
                ("produce", self._produce_all),
                ("delivery", self._poll),
                ("topic", self._watch),
            )
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Refuse further requests, deliver the queued ones, and end the threads."""
        with self._wake:
            self._closed.set()
            self._wake.notify_all()
        self._threads[0].join()
        self._producer.flush(DELIVERY_SECONDS + 5)
        for thread in self._threads[1:]:
            thread.join(ASK_TIMEOUT_SECONDS)

    def alive(self) -> bool:
        """Return whether the threads run and the driver can produce."""
        return not self._fault and all(thread.is_alive() for thread in self._threads)

    def submit(self, request: IngestRequest) -> Future[Answer]:
        """Queue a request; the future is done when the brokers have it, or fails with a `RequestError`.

        One that fails may be there in part: what has ids, or a key, counts once when it is sent again.

        Raises:
            OverloadedError: too much is queued.
            UnavailableError: the service is stopping, or the topic cannot be produced to.
        """
        entry = _Entry(request)
        with self._wake:
            refusal = self._refuse(entry)
            if refusal is None:
                self._count(entry, 1)
                self._queue.append(entry)
                self._wake.notify()
                return entry.future
        self._telemetry.count_rows(kind_of(request), "rejected", request.rows)
        raise refusal

    def _refuse(self, entry: _Entry) -> RequestError | None:
        if self._closed.is_set():
            return UnavailableError("the service is stopping", retry_after_seconds=RETRY_SECONDS)
        if self.refusal or self._fault:
            return UnavailableError(self._fault or self.refusal, retry_after_seconds=RETRY_SECONDS)
        # An empty queue takes a request of any size.
        too_many = self._rows + queued_rows(entry.request) > self._settings.max_queue_rows
        too_large = self._bytes + queued_bytes(entry.request) > MAX_QUEUED_BYTES
        if self._rows and (too_many or too_large):
            return OverloadedError(f"{self._rows} rows are waiting", retry_after_seconds=1)
        return None

    def _count(self, entry: _Entry, sign: int) -> None:
        self._rows += sign * queued_rows(entry.request)
        self._bytes += sign * queued_bytes(entry.request)
        self._telemetry.queue_rows = self._rows

    # -- the thread that produces ---------------------------------------------------------------------------

    def _produce_all(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: bool(self._queue) or self._closed.is_set())
                if not self._queue:
                    return
                entry = self._queue.popleft()
            # A client that hangs up from here on does not cancel its request.
            if entry.future.set_running_or_notify_cancel():
                self._produce(entry)
            else:
                with self._wake:
                    self._count(entry, -1)

    def _produce(self, entry: _Entry) -> None:
        try:
            messages = split(entry.request, self._layout())
        except RequestError as error:
            self._note(entry, 0, error)
            return
        except Exception as error:
            log.exception("a request could not be split by partitions")
            detail = f"internal error: {type(error).__name__}"
            self._note(entry, 0, UnavailableError(detail, retry_after_seconds=60))
            return
        entry.left = len(messages)
        entry.naive_timestamps = 0 if messages[0].whole else entry.request.naive_timestamps
        for number, message in enumerate(messages):
            try:
                self._hand_over(entry, message)
            except RequestError as error:
                self._note(entry, len(messages) - number, error)
                return

    def _layout(self) -> Layout:
        topic = self._topic
        assert topic is not None  # or the request was refused
        limit = min(self._limit, topic.max_message_bytes or self._limit)
        return Layout(topic.partitions, limit, next(self._anonymous) % topic.partitions)

    def _hand_over(self, entry: _Entry, message: Outgoing) -> None:
        """Hand a message to the driver; wait while its queue is full.

        Raises:
            RequestError: it does not take it.
        """
        from confluent_kafka import KafkaException

        deadline = time.monotonic() + DELIVERY_SECONDS
        request = entry.request
        at = self._clock() if isinstance(request, PreparedLabels) else request.received_at
        while True:
            try:
                self._producer.produce(
                    self._settings.kafka_topic,
                    message.value,
                    message.key,
                    message.partition,
                    on_delivery=lambda error, _: self._delivered(entry, error),
                    timestamp=int(1000 * at),
                    headers=message.headers,
                )
                return
            except BufferError:
                if time.monotonic() > deadline:
                    detail = "the brokers take messages too slowly"
                    raise OverloadedError(detail, retry_after_seconds=RETRY_SECONDS) from None
                time.sleep(0.01)
            except KafkaException as error:
                raise _refusal_of(error.args[0]) from None

    # -- the thread that takes reports ----------------------------------------------------------------------

    def _poll(self) -> None:
        while not self._closed.is_set():
            self._producer.poll(0.5)

    def _delivered(self, entry: _Entry, error: DriverError | None) -> None:
        self._note(entry, 1, None if error is None else _refusal_of(error))

    def _note(self, entry: _Entry, messages: int, error: RequestError | None) -> None:
        """Note the end of some messages of a request, and answer it after the last."""
        with self._wake:
            entry.left -= messages
            entry.error = entry.error or error
            if entry.left:
                return
            self._count(entry, -1)
        rows, kind = entry.request.rows, kind_of(entry.request)
        if entry.error is not None:
            self._telemetry.count_rows(kind, "rejected", rows)
            entry.future.set_exception(entry.error)
        else:
            self._telemetry.count_rows(kind, "produced", rows)
            self._telemetry.count_naive_timestamps(entry.naive_timestamps)
            entry.future.set_result(ProducedAnswer(kind, rows))

    def _note_error(self, error: DriverError) -> None:
        if error.fatal():
            self._fault = f"the producer cannot go on: {error.str()}"
            log.critical("%s", self._fault)
            self._end(self._fault)

    # -- the thread that asks about the topic ---------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            refusal = self._ask()
            if refusal and refusal != self.refusal:
                log.error("requests are refused: %s", refusal)
            self.refusal = refusal
            if self._closed.wait(ASK_AGAIN_SECONDS if refusal else ASK_SECONDS):
                return

    def _ask(self) -> str:
        """Ask the brokers about the topic; return why requests are refused, empty if they are taken."""
        try:
            topic = find_topic(self._admin, self._settings.kafka_topic, ASK_TIMEOUT_SECONDS)
        except KafkaError as error:
            # What is known stays in force: a request that cannot be delivered is told so.
            return "" if self._topic is not None and self.refusal == "" else str(error)
        except ConfigError as error:
            return str(error)
        known = self._topic.partitions if self._topic is not None else self._stored_partitions()
        if known not in (None, topic.partitions):
            return f"the topic {topic.name} has {topic.partitions} partitions now, and the store {known}"
        self._topic = topic
        return ""


def _refusal_of(error: DriverError) -> RequestError:
    """Answer to a request of which the driver or the brokers do not take a message."""
    from confluent_kafka import KafkaError as Driver

    if error.code() in (Driver.MSG_SIZE_TOO_LARGE, Driver.RECORD_LIST_TOO_LARGE):
        return TooLargeError("the topic does not take a message of this size: `max.message.bytes`")
    detail = f"the brokers did not take it ({error.str()}): send it again, what has ids counts once"
    return UnavailableError(detail, retry_after_seconds=RETRY_SECONDS)

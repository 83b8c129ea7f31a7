"""The worker process: reads the partitions that the group gives it, and commits them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from functools import partial

import numpy as np

from exporter.config_files import read_again
from exporter.errors import (
    ConfigError,
    ExporterError,
    KafkaError,
    MisdirectedError,
    StoreError,
    UnavailableError,
    UnknownModelError,
)
from exporter.exposition.telemetry import Telemetry
from exporter.ingest.commit import Answer, IngestRequest
from exporter.kafka.configuration import make_admin
from exporter.kafka.consumer import TopicConsumer
from exporter.kafka.dead_letters import DeadLetters
from exporter.kafka.topic import Topic, find_topic
from exporter.kafka.topic_writer import TopicWriter
from exporter.settings import Settings
from exporter.storage.partition import Partition
from exporter.storage.store import Store
from exporter.tokens import load_tokens
from exporter.worker.assignment import Assignment
from exporter.worker.partition import OwnedPartition
from exporter.worker.shared import SharedReader

READ_SECONDS = 0.2  # longest wait for a message
FOLLOW_SECONDS = 1.0  # between looks at the shared tables
MEASURE_SECONDS = 1.0
REPORT_SECONDS = 5.0
ASK_SECONDS = 20.0  # between questions to the brokers about the topic
ANSWER_SECONDS = 5.0
SLOW_SECONDS = 10.0  # of a turn, after which it is not ready

log = logging.getLogger(__name__)


class Worker:
    """All parts of a worker. `start`, `stop`, `reload` and the questions may be called from any thread.

    Raises:
        ConfigError: the configuration file, or that of Kafka, cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.tokens = load_tokens(settings.api_token_file, settings.api_tokens_file)
        self.telemetry = Telemetry(clock)
        self.group = self.telemetry.add_group()
        self._monotonic = monotonic
        self._random = np.random.default_rng()
        self._reader = SharedReader()
        self._read_at = float("-inf")  # of the shared tables, monotonic
        self._admin = make_admin(settings)
        self._dead_letters = DeadLetters(settings)
        # Of requests, which the group then gives to the worker that has their partition.
        self._topic_writer = (
            TopicWriter(settings, self.telemetry, clock, end=self._fail)
            if settings.ingest == "kafka"
            else None
        )
        self._consumer = TopicConsumer(settings, self._assign, self._revoke)
        self._topic: Topic | None = None
        self._assignments: dict[int, Assignment] = {}
        self._brokers = "the brokers were not asked yet"  # why they are away, empty while they answer
        self._turned_at = monotonic()  # end of the last turn of the thread
        self._stopping = threading.Event()
        self.failed = ""  # why the process has to end
        self.was_lost = threading.Event()  # set with it
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self.reload()

    def start(self) -> None:
        if self._topic_writer is not None:
            self._topic_writer.start()
        self._thread.start()

    def stop(self) -> None:
        """Commit what was read, leave the group, and close the stores."""
        if self._topic_writer is not None:
            self._topic_writer.stop()
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def reload(self) -> None:
        """Read the files of tokens and of the configuration again.

        Raises:
            ConfigError: one cannot be used; what was read before stays in force.
        """
        self.tokens, config = read_again(self.settings, self.telemetry)
        if config is not None:
            self._reader.configure(config)
            self.telemetry.config_successful, self.telemetry.config_last_success = True, self.clock()

    def require_model(self, model: str) -> None:
        """Check that a version of a model is monitored.

        Raises:
            UnavailableError: the shared tables were not read yet.
            UnknownModelError: it is not.
        """
        models = sorted({name for name, _ in self._reader.latest.versions})
        if not models:
            detail = "this worker does not know yet which models are monitored"
            raise UnavailableError(detail, retry_after_seconds=5)
        if model not in models:
            shown = ", ".join(models[:10])
            raise UnknownModelError(f"model {model!r} is not monitored; monitored are: {shown}")

    def submit(self, request: IngestRequest) -> Future[Answer]:
        """Produce a request; the future is done when the brokers have it.

        Raises:
            RequestError: it is not taken.
        """
        if self._topic_writer is None:
            raise MisdirectedError("a worker takes requests with EXPORTER_INGEST=kafka alone")
        return self._topic_writer.submit(request)

    def fault(self) -> str:
        """Return what is wrong with the process, empty while it works."""
        if self.failed:
            return self.failed
        alive = self._thread.is_alive() and (self._topic_writer is None or self._topic_writer.alive())
        return "" if alive else "a thread has died"

    def monitors(self, model: str, version: str) -> bool:
        """Return true if a version was monitored when the shared tables were last read."""
        return (model, version) in self._reader.latest.versions

    def unready(self) -> str:
        """Return why no messages are committed, empty while they are."""
        if self.fault() or self._brokers:
            return self.fault() or self._brokers
        if self._monotonic() - self._turned_at > SLOW_SECONDS:
            return "a commit takes long: PostgreSQL or the brokers do not answer"
        if not self._consumer.joined:
            return "the group has given no partitions yet"
        found = [each for each in self._assignments.copy().values() if each.problem]
        return f"partition {found[0].number}: {found[0].problem}" if found else ""

    # -- the thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._find_topics() and not self._stopping.wait(FOLLOW_SECONDS):
                pass
            if not self._stopping.is_set():
                self._consumer.join()
            due = dict.fromkeys((self._ask, self._report, self._measure), 0.0)
            every = {self._ask: ASK_SECONDS, self._report: REPORT_SECONDS, self._measure: MEASURE_SECONDS}
            while not self._stopping.is_set():
                self._turn()
                now = self._turned_at = self._monotonic()
                for work in [work for work, at in due.items() if at <= now]:
                    due[work] = now + every[work]
                    work()
        except Exception as error:
            log.critical("the worker ends: %s", error, exc_info=not isinstance(error, ExporterError))
            self._fail(str(error))
        finally:
            self._end()

    def _fail(self, reason: str) -> None:
        """Have the process end. Any thread may call it."""
        self.failed = self.failed or reason
        self.was_lost.set()

    def _end(self) -> None:
        if not self.failed:
            self._report()
        try:
            self._consumer.close()  # revokes what is assigned
        finally:
            self._revoke(list(self._assignments))

    def _turn(self) -> None:
        """Read messages and commit them, and do what else is due of each partition."""
        busy = any(each.is_due() for each in self._assignments.values())
        for message in self._consumer.read(0 if busy else READ_SECONDS):
            assignment = self._assignments.get(message.partition() or 0)
            if assignment is not None:
                assignment.take(message)
        for number in self._consumer.take_out_of_range() & self._assignments.keys():
            self._assignments[number].restart()
        self._follow()
        for assignment in list(self._assignments.values()):
            assignment.advance(self._reader.latest, self._read_at)

    def _follow(self) -> None:
        """Read the shared tables when it is time, or when a message waits for them."""
        now = self._monotonic()
        asked = any(each.wants_look for each in self._assignments.values())
        if now - self._read_at < FOLLOW_SECONDS and not asked:
            return
        for assignment in self._assignments.values():
            if assignment.partition is not None:
                before = self._reader.latest
                try:
                    self._reader.read(assignment.partition.store)
                except StoreError as error:
                    log.debug("the shared tables cannot be read: %s", error)
                    return
                self._read_at = now
                self._watch(before.versions.keys(), self._reader.latest.versions.keys())
                return

    def _watch(self, before: Collection[tuple[str, str]], after: Collection[tuple[str, str]]) -> None:
        """Have counters of the monitored versions alone."""
        for names in set(after) - set(before):
            self.telemetry.watch_version(*names)
        for names in set(before) - set(after):
            self.telemetry.forget_version(*names)

    def _assign(self, numbers: Collection[int]) -> None:
        assert self._topic is not None
        log.info("assigned are partitions %s", sorted(numbers))
        for number in numbers:
            self._assignments[number] = Assignment(
                Partition(number, self._topic.name, self._topic.partitions),
                self.settings,
                self._consumer,
                self._open,
                self.group,
                self.clock,
                self._monotonic,
            )

    def _revoke(self, numbers: Collection[int]) -> None:
        if numbers:
            log.info("given away are partitions %s", sorted(numbers))
        for number in numbers:
            assignment = self._assignments.pop(number, None)
            if assignment is not None:
                assignment.close()

    def _open(self, partition: Partition) -> OwnedPartition:
        if partition.number >= partition.count:
            self._find_topics()  # which finds that it has grown
        store = Store(self.settings.store, partition=partition, count_fault=self.telemetry.count_store_error)
        try:
            return OwnedPartition(
                partition.number,
                store,
                self.settings,
                self.telemetry,
                self.group,
                self._dead_letters,
                self.clock,
                self._monotonic,
                self._random,
            )
        except BaseException:
            store.close()
            raise

    # -- upkeep ---------------------------------------------------------------------------------------------

    def _find_topics(self) -> bool:
        """Find the topic and that of dead letters; False if the brokers do not answer.

        Raises:
            ConfigError: there is no such topic, or its number of partitions has changed.
        """
        ask = partial(find_topic, self._admin, timeout_seconds=ANSWER_SECONDS)
        try:
            found = ask(self.settings.kafka_topic)
            if self._topic is None:
                ask(self.settings.dead_letter_topic)
        except KafkaError as error:
            if self._brokers != str(error):
                log.error("%s", error)
            self._brokers = str(error)
            return False
        if self._topic is not None and found.partitions != self._topic.partitions:
            raise ConfigError(
                f"topic {found.name} has {found.partitions} partitions, and had {self._topic.partitions}: a "
                "label would be looked for in another partition than its prediction. Use a new topic with a "
                "new database"
            )
        self._topic, self._brokers, self.group.partitions = found, "", found.partitions
        return True

    def _ask(self) -> None:
        self._find_topics()

    def _report(self) -> None:
        offsets = {
            number: each.partition.next_offset
            for number, each in self._assignments.items()
            if each.partition is not None and each.partition.next_offset is not None
        }
        if offsets:
            self._consumer.report(offsets)

    def _measure(self) -> None:
        lags = {number: each.lag() for number, each in self._assignments.items()}
        self.group.lags = {number: lag for number, lag in lags.items() if lag is not None}
        self.group.waiting = sum(each.waiting for each in self._assignments.values())
        self.group.consuming = len(self._assignments) - self.group.waiting

"""A partition from its assignment until it is revoked: opened, read and committed, with pauses where
something that it needs is away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from exporter.errors import KafkaError, StoreError
from exporter.exposition.group import GroupTelemetry, Lag
from exporter.kafka.consumer import TopicConsumer
from exporter.settings import Settings
from exporter.storage.partition import Partition
from exporter.worker.entries import Entry, read_entry
from exporter.worker.partition import OwnedPartition, WaitingError
from exporter.worker.shared import Shared

if TYPE_CHECKING:
    from confluent_kafka import Message

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
LOOK_SECONDS = 1.0  # between looks for what a message waits for

log = logging.getLogger(__name__)


class Assignment:
    """Progress of one partition. One thread uses it.

    `problem` is why it stands still, empty while it goes on; `waiting` is true while it stands still for a
    reason that ends by itself. `partition` is None until its store is open. `wants_look` is true if a message
    waits for the shared tables to be read once more.

    Args:
        place: the partition in its topic.
        settings: with the limits of a message.
        consumer: reads the partition.
        open_partition: opens its store.
        group: counts messages.
        clock, monotonic: times in seconds.
    """

    def __init__(
        self,
        place: Partition,
        settings: Settings,
        consumer: TopicConsumer,
        open_partition: Callable[[Partition], OwnedPartition],
        group: GroupTelemetry,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self.number = place.number
        self.partition: OwnedPartition | None = None
        self.problem = "its store is not open yet"
        self.waiting = True
        self.wants_look = False
        self._place = place
        self._settings = settings
        self._consumer = consumer
        self._open_partition = open_partition
        self._group = group
        self._clock, self._monotonic = clock, monotonic
        self._entries: list[Entry] = []
        self._started = False  # the consumer reads it
        self._due = 0.0
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._tidied: float | None = None

    def close(self) -> None:
        """Close the store; what was read and not committed is left to the next owner."""
        if self.partition is not None:
            self.partition.close()

    def take(self, message: Message) -> None:
        """Take a message that was read; `advance` commits it."""
        if not self._started or self.partition is None:  # it was read before its offset was set
            return
        now = self._clock()
        entry = read_entry(message, self._settings, self._place, now, self._monotonic())
        after = self._entries[-1].offset + 1 if self._entries else self.partition.next_offset
        if after is None or entry.offset >= after:
            self._entries.append(entry)

    def restart(self) -> None:
        """Find the offset to go on from again: the brokers do not have the next one."""
        self._started = False

    def is_due(self) -> bool:
        return self._monotonic() >= self._due and (bool(self._entries) or not self._started)

    def advance(self, shared: Shared, read_at: float) -> None:
        """Open the store, find the offset, follow the shared tables and commit: what is due of it.

        Raises:
            ConfigError: the topic does not fit the store.
            StoreError: the store is lost, and the process has to end.
        """
        if self._monotonic() < self._due:
            return
        self.wants_look = False
        try:
            if self.partition is None:
                self.partition = self._open_partition(self._place)
            self.partition.follow(shared, read_at)
            if not self._started:
                self._start(self.partition)
            self._commit(self.partition)
            self._tidy(self.partition)
        except WaitingError as waiting:
            if not self.waiting:
                log.info("partition %d waits: %s", self.number, waiting)
            self.wants_look = not self.waiting
            self._stand_still("", 0 if self.wants_look else LOOK_SECONDS)
        except (StoreError, KafkaError) as error:
            if self.partition is not None and self.partition.store.lost:
                raise
            if self.problem != str(error):
                log.error("partition %d stands still: %s", self.number, error)
            self._stand_still(str(error), self._pause_seconds)
            self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
        else:
            if self.problem:
                log.info("partition %d goes on", self.number)
            if self.waiting:
                self._consumer.resume(self.number)
            self.problem, self.waiting, self._pause_seconds = "", False, FIRST_PAUSE_SECONDS

    def _stand_still(self, problem: str, seconds: float) -> None:
        self._consumer.pause(self.number)
        self.problem, self.waiting = problem, True
        self._due = self._monotonic() + seconds

    def _start(self, partition: OwnedPartition) -> None:
        """Go on from the offset in the store."""
        first, end = self._consumer.bounds(self.number)
        after = partition.next_offset
        if after is not None and after > end:
            raise KafkaError(
                f"partition {self.number} of the topic ends at offset {end}, its store goes on at {after}: "
                "the topic was made anew, or has lost messages. To read it from its beginning, set "
                f"next_offset in partition_{self.number}.meta to {first}"
            )
        if after is not None and after < first:
            log.error(
                "partition %d: %d messages were deleted by the brokers before they were read",
                *(self.number, first - after),
            )
            self._group.count_messages("expired", first - after)
        after = first if after is None else max(after, first)
        self._entries.clear()
        self._consumer.start(self.number, after)
        self._started, partition.next_offset = True, after
        log.info("partition %d goes on from offset %d", self.number, after)

    def _commit(self, partition: OwnedPartition) -> None:
        if not self._entries:
            return
        try:
            partition.commit(self._entries)
        finally:
            after = partition.next_offset or 0
            self._entries = [entry for entry in self._entries if entry.offset >= after]
            partition.name_wanted()

    def _tidy(self, partition: OwnedPartition) -> None:
        now = self._monotonic()
        if self._tidied is not None and now - self._tidied < self._settings.evaluation_interval_seconds:
            return
        self._tidied = now
        size, limit = partition.tidy(), self._settings.store_limit_bytes
        if size >= limit:
            raise StoreError(f"the database has {size} bytes of {limit}")

    def lag(self) -> Lag | None:
        """Messages that wait in the partition, None while its offset is not known."""
        if self.partition is None or not self._started:
            return None
        done = self.partition.next_offset or 0
        if not self._entries:
            done = max(done, self._consumer.read_end(self.number))
        behind = self._consumer.known_end(self.number) - done
        messages = max(behind, len(self._entries), 0)
        return Lag(messages, max(self._clock() - self.partition.committed_at, 0.0) if messages else 0.0)

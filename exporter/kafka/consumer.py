"""Reads the partitions of the topic that the group gives to this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from exporter.errors import KafkaError
from exporter.kafka.configuration import make_consumer
from exporter.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka import Message, TopicPartition

# Of one `read`: what it takes in memory until it is committed is a multiple of its bytes.
MAX_MESSAGES, MAX_BYTES = 5_000, 16 * 2**20
_AT_A_TIME = 64
ASK_SECONDS = 5.0

log = logging.getLogger(__name__)


class TopicConsumer:
    """Member of the group. One thread uses it, in which `read` calls the functions that it is given.

    A partition that is assigned is paused until `start` is called with the offset to go on from.

    Args:
        settings: brokers, topic and group.
        assigned: called with partitions that this process has from now on.
        revoked: called with partitions that it is about to give away, or has lost.
    """

    def __init__(
        self,
        settings: Settings,
        assigned: Callable[[Collection[int]], None],
        revoked: Callable[[Collection[int]], None],
    ) -> None:
        self._topic = settings.kafka_topic
        self._assigned, self._revoked = assigned, revoked
        self._consumer = make_consumer(settings)
        self._out_of_range: set[int] = set()
        self._read_ends: dict[int, int] = {}
        self.joined = False  # the group has given it its share, which may be none

    def join(self) -> None:
        """Ask the group for partitions, which are assigned by the next calls of `read`."""
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def close(self) -> None:
        """Give all partitions away and leave the group, which does not have to wait for a timeout then."""
        self._consumer.close()

    def _on_assign(self, _: object, partitions: list[TopicPartition]) -> None:
        # A number: the answer to a question for the beginning could come after `start`, and undo its offset.
        # The lowest one, so that what could be read before is not beyond it.
        for partition in partitions:
            partition.offset = 0
        self._consumer.incremental_assign(partitions)
        self._consumer.pause(partitions)
        self.joined = True
        self._assigned([partition.partition for partition in partitions])

    def _on_revoke(self, _: object, partitions: list[TopicPartition]) -> None:
        self._revoked([partition.partition for partition in partitions])
        self._consumer.incremental_unassign(partitions)

    def _on_lost(self, _: object, partitions: list[TopicPartition]) -> None:
        log.warning("the group has given away %d partitions: no heartbeat came in time", len(partitions))
        self._on_revoke(None, partitions)

    def read(self, timeout_seconds: float) -> list[Message]:
        """Messages of the partitions that are not paused, in order; waits for the first one only.

        Raises:
            KafkaError: the group cannot go on, or the topic is gone.
        """
        first = self._consumer.poll(timeout_seconds)
        found, size = [], 0
        chunk = [first] if first is not None else []
        while chunk:
            for message in chunk:
                if message.error() is not None:
                    self._take_error(message)
                else:
                    found.append(message)
                    size += len(message)
            if len(found) >= MAX_MESSAGES or size >= MAX_BYTES:
                break
            chunk = self._consumer.consume(_AT_A_TIME, 0)
        return found

    def _take_error(self, message: Message) -> None:
        from confluent_kafka import KafkaError as Code

        error, partition = message.error(), message.partition()
        assert error is not None
        if error.code() == Code._AUTO_OFFSET_RESET and partition is not None:
            self._out_of_range.add(partition)
        elif error.code() == Code._PARTITION_EOF and partition is not None:
            self._read_ends[partition] = message.offset() or 0
        elif error.fatal() or error.code() in (
            Code.UNKNOWN_TOPIC_OR_PART,
            Code.TOPIC_AUTHORIZATION_FAILED,
            Code.GROUP_AUTHORIZATION_FAILED,
        ):
            raise KafkaError(f"topic {self._topic}: {error.str()}")
        else:  # it goes on by itself
            log.warning("topic %s: %s", self._topic, error.str())

    def take_out_of_range(self) -> set[int]:
        """Partitions whose next offset the brokers do not have, since the last call: to be started anew."""
        found, self._out_of_range = self._out_of_range, set()
        return found

    def start(self, partition: int, offset: int) -> None:
        """Read a partition from an offset on, whatever was read of it before."""
        # Not by `seek`: the driver refuses it for good once an offset was one that the brokers do not have.
        self._consumer.incremental_unassign([self._at(partition)])
        self._consumer.incremental_assign([self._at(partition, offset)])
        self._out_of_range.discard(partition)
        self._read_ends.pop(partition, None)
        self.resume(partition)

    def pause(self, partition: int) -> None:
        self._consumer.pause([self._at(partition)])

    def resume(self, partition: int) -> None:
        self._consumer.resume([self._at(partition)])

    def bounds(self, partition: int) -> tuple[int, int]:
        """First offset that the brokers still have, and the one after the last.

        Raises:
            KafkaError: they do not answer.
        """
        from confluent_kafka import KafkaException

        try:
            found = self._consumer.get_watermark_offsets(self._at(partition), timeout=ASK_SECONDS)
        except KafkaException as error:
            raise KafkaError(f"the brokers do not answer: {error.args[0].str()}") from None
        if found is None:
            raise KafkaError("the brokers do not answer in time")
        return found

    def known_end(self, partition: int) -> int:
        """Offset after the last message, as of the last answer of the brokers; negative before the first."""
        found = self._consumer.get_watermark_offsets(self._at(partition), cached=True)
        return -1 if found is None else found[1]

    def read_end(self, partition: int) -> int:
        """End of the partition when all before it was read, 0 before the first time since `start`.

        Offsets before it may be of no message: those of a transaction's end, or of what was compacted.
        """
        return self._read_ends.get(partition, 0)

    def report(self, offsets: Mapping[int, int]) -> None:
        """Tell the brokers the next offsets, for tools that show the lag; nothing reads them here."""
        from confluent_kafka import KafkaException

        try:
            self._consumer.commit(
                offsets=[self._at(partition, offset) for partition, offset in offsets.items()],
                asynchronous=True,
            )
        except KafkaException as error:
            log.debug("offsets are not reported: %s", error)

    def _at(self, partition: int, offset: int = -1001) -> TopicPartition:
        from confluent_kafka import TopicPartition

        return TopicPartition(self._topic, partition, offset)

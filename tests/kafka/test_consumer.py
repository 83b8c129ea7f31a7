"""Reading the partitions of a group."""

from __future__ import annotations

import pytest
from confluent_kafka import Message, Producer

import exporter.kafka.consumer
from exporter.kafka.consumer import TopicConsumer
from exporter.settings import Settings
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.kafka import KafkaBroker
from tests.support.rig import eventually

pytestmark = pytest.mark.needs("kafka")


def test_a_partition_is_read_from_its_offset_on_in_parts_of_bounded_size(
    kafka_broker: KafkaBroker, kafka_topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter.kafka.consumer, "MAX_BYTES", 100_000)
    monkeypatch.setattr(exporter.kafka.consumer, "_AT_A_TIME", 2)
    producer = Producer({"bootstrap.servers": kafka_broker.address, "acks": "all"})
    for number in range(60):
        producer.produce(kafka_topic, bytes([number]) * 20_000, partition=2)
    producer.flush(TIMEOUT_SECONDS)
    settings = Settings(
        kafka_brokers=(kafka_broker.address,), kafka_topic=kafka_topic, kafka_group=kafka_topic
    )
    given: list[int] = []
    consumer = TopicConsumer(settings, given.extend, lambda _: None)
    consumer.join()
    try:
        before: list[Message] = []

        def assigned() -> bool:
            before.extend(consumer.read(0.1))
            return len(given) == 4

        eventually(assigned)
        assert before == []  # what is assigned is paused
        eventually(lambda: consumer.start(2, 10) or consumer.read(0.05))
        parts: list[list[Message]] = []

        def complete() -> bool:
            parts.append(consumer.read(0.1))
            return sum(len(part) for part in parts) >= 50

        eventually(complete)
        assert [message.offset() for part in parts for message in part] == list(range(10, 60))
        assert max(sum(len(message) for message in part) for part in parts) <= 100_000 + 2 * 20_000
        assert consumer.bounds(2) == (0, 60)
        eventually(lambda: consumer.read(0.05) or consumer.known_end(2) == 60)
    finally:
        consumer.close()

"""Reading the partitions of a group."""

from __future__ import annotations

import pytest
from confluent_kafka import Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

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
        consumer.start(2, 10)
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


def test_a_partition_goes_on_after_an_offset_that_the_brokers_do_not_have(
    kafka_broker: KafkaBroker, kafka_topic: str
) -> None:
    producer = Producer({"bootstrap.servers": kafka_broker.address, "acks": "all"})
    for number in range(20):
        producer.produce(kafka_topic, bytes([number]), partition=2)
    producer.flush(TIMEOUT_SECONDS)
    admin = AdminClient({"bootstrap.servers": kafka_broker.address})
    for deleted in admin.delete_records([TopicPartition(kafka_topic, 2, 10)]).values():
        deleted.result(TIMEOUT_SECONDS)
    settings = Settings(
        kafka_brokers=(kafka_broker.address,), kafka_topic=kafka_topic, kafka_group=kafka_topic
    )
    given: list[int] = []
    consumer = TopicConsumer(settings, given.extend, lambda _: None)
    consumer.join()
    try:
        eventually(lambda: consumer.read(0.1) or len(given) == 4)
        for _ in range(2):  # at the assignment, and later
            consumer.start(2, 5)
            eventually(lambda: consumer.read(0.1) or consumer.take_out_of_range() == {2})
            consumer.start(2, 15)
            found: list[int | None] = []

            def complete(found: list[int | None] = found) -> bool:
                found += [message.offset() for message in consumer.read(0.1)]
                return len(found) >= 5

            eventually(complete)
            assert found == [15, 16, 17, 18, 19]
    finally:
        consumer.close()

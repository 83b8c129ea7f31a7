"""The broker of the tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, Message, Producer

from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.kafka import running_broker

pytestmark = pytest.mark.needs("kafka")


def test_what_a_broker_acknowledged_survives_that_it_is_killed(
    free_ports: Callable[[int], list[int]],
) -> None:
    with running_broker(free_ports(2)) as broker:
        broker.create_topic("events", 2)
        acknowledged = []
        producer = Producer({"bootstrap.servers": broker.address, "acks": "all"})
        producer.produce("events", b"before", on_delivery=lambda _, message: acknowledged.append(message))
        producer.flush(TIMEOUT_SECONDS)
        broker.kill()
        broker.start()
        producer.produce("events", b"after", on_delivery=lambda _, message: acknowledged.append(message))
        producer.flush(TIMEOUT_SECONDS)
        assert [message.value() for message in acknowledged] == [b"before", b"after"]
        found: list[Message] = []
        consumer = Consumer(
            {"bootstrap.servers": broker.address, "group.id": "g", "auto.offset.reset": "earliest"}
        )
        consumer.subscribe(["events"])
        while len(found) < 2:
            found += consumer.consume(2, TIMEOUT_SECONDS)
        consumer.close()
    assert sorted(bytes(message.value() or b"") for message in found) == [b"after", b"before"]

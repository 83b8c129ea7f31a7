"""Messages that cannot be taken are kept with the reason."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from exporter.errors import KafkaError
from exporter.kafka.dead_letters import DeadLetters
from exporter.settings import Settings
from tests.kafka.test_topic_writer import consume, settings_for_file
from tests.support.kafka import KafkaBroker

pytestmark = pytest.mark.needs("kafka")


def test_a_dead_letter_has_the_message_and_why_and_one_that_is_too_large_its_headers(
    kafka_broker: KafkaBroker, kafka_topic: str
) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": kafka_broker.address})
    producer.produce(kafka_topic, b"{", b"fraud\0a", 2, headers={"kind": b"labels"})
    assert producer.flush(30) == 0
    (message,) = consume(kafka_broker, kafka_topic)
    settings = Settings(kafka_brokers=(kafka_broker.address,), kafka_topic=kafka_topic)
    large = _Large(message)

    letters = DeadLetters(settings)
    letters.flush()
    letters.send(message, "undecodable", "not JSON: é\ud800")
    letters.send(large, "too_large", "large")  # type: ignore[arg-type]
    letters.flush()

    first, second = consume(kafka_broker, f"{kafka_topic}.dead-letter", 1)
    assert (first.value(), first.key()) == (b"{", b"fraud\0a")
    assert dict(first.headers() or []) == {
        "kind": b"labels",
        "dead-letter-reason": b"undecodable",
        "dead-letter-detail": "not JSON: é?".encode(),
        "dead-letter-topic": kafka_topic.encode(),
        "dead-letter-partition": b"2",
        "dead-letter-offset": b"0",
    }
    assert second.value() is None
    assert dict(second.headers() or [])["dead-letter-value-bytes"] == b"2000000"


def test_dead_letters_that_are_not_taken_are_told(
    kafka_broker: KafkaBroker, kafka_topic: str, tmp_path: Path
) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": kafka_broker.address})
    producer.produce(kafka_topic, b"{")
    assert producer.flush(30) == 0
    (message,) = consume(kafka_broker, kafka_topic)

    settings = Settings(kafka_brokers=(kafka_broker.address,), kafka_topic="nowhere")
    letters = DeadLetters(settings_for_file(settings, tmp_path, "delivery.timeout.ms=1000"))
    letters.send(message, "undecodable", "")
    with pytest.raises(KafkaError, match=r"^dead letters are not taken by nowhere\.dead-letter: "):
        letters.flush()


def test_a_dead_letter_whose_headers_are_too_large_has_the_reason_alone(
    kafka_broker: KafkaBroker, kafka_topic: str
) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": kafka_broker.address, "message.max.bytes": 2_000_000})
    producer.produce(kafka_topic, None, b"k", headers={"large": Random(1).randbytes(1_048_300)})
    assert producer.flush(30) == 0
    (message,) = consume(kafka_broker, kafka_topic)

    letters = DeadLetters(Settings(kafka_brokers=(kafka_broker.address,), kafka_topic=kafka_topic))
    letters.send(message, "undecodable", Random(2).randbytes(500).hex())
    letters.flush()

    (found,) = consume(kafka_broker, f"{kafka_topic}.dead-letter", 1)
    assert (found.key(), found.value()) == (None, None)
    assert [name for name, _ in found.headers() or []] == [
        *("dead-letter-reason", "dead-letter-detail", "dead-letter-topic"),
        *("dead-letter-partition", "dead-letter-offset"),
    ]


class _Large:
    """A message with a value that the topic does not take."""

    def __init__(self, message: object) -> None:
        self._message = message

    def __getattr__(self, name: str) -> object:
        return getattr(self._message, name)

    def value(self) -> bytes:
        return Random(1).randbytes(2_000_000)  # which no compression makes smaller

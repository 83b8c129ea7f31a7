"""Requests that are produced to a real broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from confluent_kafka import KafkaError

from exporter.errors import OverloadedError, TooLargeError, UnavailableError
from exporter.exposition.telemetry import Telemetry
from exporter.formats.labels import decode_labels
from exporter.formats.predictions import read_predictions
from exporter.formats.raw import JSON_TYPE, RawRequest
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.commit import IngestRequest, ProducedAnswer
from exporter.ingest.join import PreparedLabels, prepare_labels
from exporter.kafka.messages import Received, decode
from exporter.kafka.topic_writer import TopicWriter
from exporter.settings import Settings
from exporter.storage.partition import Partition
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.kafka import KafkaBroker
from tests.support.rig import eventually

if TYPE_CHECKING:
    from confluent_kafka import Message

pytestmark = pytest.mark.needs("kafka")

AT = 1_700_000_000.25


def settings_for(broker: KafkaBroker, topic: str, **own: Any) -> Settings:
    return Settings(
        role="worker",
        ingest="kafka",
        store="postgresql://nowhere/db",
        kafka_brokers=(broker.address,),
        kafka_topic=topic,
        **own,
    )


def settings_for_file(settings: Settings, directory: Path, *lines: str) -> Settings:
    file = directory / "kafka.properties"
    file.write_text("\n".join(lines))
    return replace(settings, kafka_config_file=str(file))


@contextmanager
def writing(settings: Settings, stored: int | None = None, *, wait: bool = True) -> Iterator[TopicWriter]:
    writer = TopicWriter(settings, Telemetry(time.time), lambda: AT, lambda: stored)
    writer.start()
    try:
        if wait:
            eventually(lambda: not writer.refusal)
        yield writer
    finally:
        writer.stop()


def predictions(rows: int, size: int = 1, first: int = 0) -> PredictionRequest:
    columns = {
        "id": [f"i{number}" for number in range(first, first + rows)],
        "features": {"text": ["x" * size] * rows},
        "prediction": [1] * rows,
    }
    body = orjson.dumps({"model": "fraud", "version": "1", "columns": columns})
    decoded = read_predictions(body, JSON_TYPE, {}, Settings())
    return PredictionRequest(RawRequest(JSON_TYPE, {}, body), decoded, AT)


def labels(rows: int) -> PreparedLabels:
    columns = {"id": [f"i{number}" for number in range(rows)], "label": [1] * rows}
    body = orjson.dumps({"model": "fraud", "columns": columns})
    return prepare_labels(decode_labels(body, JSON_TYPE, {}, Settings()), AT)


def consume(broker: KafkaBroker, topic: str, partitions: int = 4) -> list[Message]:
    """All messages of a topic."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "any", "log_level": 0})
    found: list[Message] = []
    try:
        ends = {n: consumer.get_watermark_offsets(TopicPartition(topic, n), 10)[1] for n in range(partitions)}
        consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
        while len(found) < sum(ends.values()):
            found += consumer.consume(100, 0.2)
    finally:
        consumer.close()
    return found


def read(messages: list[Message]) -> list[IngestRequest]:
    return [
        decode(Received.of(message, time.time()), Settings(), Partition(message.partition() or 0, "t", 4))
        for message in messages
    ]


def test_rows_and_labels_of_an_id_come_to_one_partition_with_the_time_of_their_receipt(
    kafka_broker: KafkaBroker, kafka_topic: str
) -> None:
    with writing(settings_for(kafka_broker, kafka_topic)) as writer:
        answers = [
            writer.submit(request).result(TIMEOUT_SECONDS) for request in (predictions(50), labels(50))
        ]

    assert answers == [ProducedAnswer("prediction", 50), ProducedAnswer("label", 50)]
    messages = consume(kafka_broker, kafka_topic)
    assert len(messages) == 8
    places: dict[bytes, int] = {}
    for message, request in zip(messages, read(messages), strict=True):
        ids = request.decoded.ids if request.decoded is not None else None
        for row_id in ids or []:
            assert places.setdefault(str(row_id).encode(), message.partition() or 0) == message.partition()
        times = request.at if isinstance(request, PreparedLabels) else [request.received_at]
        assert set(times) == {AT}
    assert len(places) == 50


def test_the_key_and_the_partitioner_are_those_of_other_producers(
    kafka_broker: KafkaBroker, kafka_topic: str
) -> None:
    from confluent_kafka import Producer

    with writing(settings_for(kafka_broker, kafka_topic)) as writer:
        requests = [predictions(1, first=number) for number in range(30)]
        for future in [writer.submit(request) for request in requests]:
            future.result(TIMEOUT_SECONDS)
    other = Producer({"bootstrap.servers": kafka_broker.address, "partitioner": "murmur2_random"})
    for number in range(30):
        other.produce(kafka_topic, requests[number].raw.body, f"fraud\0i{number}")
    assert other.flush(TIMEOUT_SECONDS) == 0

    messages = consume(kafka_broker, kafka_topic)

    assert len(messages) == 60
    assert len({(message.key(), message.partition()) for message in messages}) == 30
    assert len(read(messages)) == 60


def test_a_request_that_is_larger_than_a_message_is_split_by_rows_and_a_row_that_is_larger_is_refused(
    kafka_broker: KafkaBroker, kafka_topic: str
) -> None:
    with writing(settings_for(kafka_broker, kafka_topic)) as writer:
        answer = writer.submit(predictions(6, size=600_000)).result(TIMEOUT_SECONDS)
        refused = writer.submit(predictions(2, size=1_100_000))
        with pytest.raises(TooLargeError, match=r"^row \d takes 1100\d+ bytes, the topic takes"):
            refused.result(TIMEOUT_SECONDS)

    assert answer == ProducedAnswer("prediction", 6)
    found = read(consume(kafka_broker, kafka_topic))
    assert [request.rows for request in found] == [1] * 6  # nothing of the other one


def test_the_limit_is_the_topics_and_a_message_that_it_refuses_later_is_told(
    kafka_broker: KafkaBroker, kafka_topic: str, tmp_path: Path
) -> None:
    from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

    lower = ConfigEntry("max.message.bytes", "4000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource("topic", kafka_topic, incremental_configs=[lower])
    admin = AdminClient({"bootstrap.servers": kafka_broker.address})
    settings = settings_for(kafka_broker, kafka_topic)
    with writing(settings_for_file(settings, tmp_path, "compression.type=none")) as writer:
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(TIMEOUT_SECONDS)
        refused = writer.submit(predictions(1, size=5000))
        with pytest.raises(TooLargeError, match=r"`max\.message\.bytes`"):
            refused.result(TIMEOUT_SECONDS)
    with writing(settings_for(kafka_broker, kafka_topic)) as writer:
        assert writer.submit(predictions(30, size=400)).result(TIMEOUT_SECONDS).accepted == 30


def test_what_cannot_be_produced_to_is_told_and_nothing_is_taken(
    kafka_broker: KafkaBroker, kafka_topic: str
) -> None:
    with (
        writing(settings_for(kafka_broker, "none"), wait=False) as missing,
        writing(settings_for(kafka_broker, kafka_topic), stored=8, wait=False) as other,
    ):
        eventually(lambda: "no topic 'none'" in missing.refusal)
        eventually(lambda: "has 4 partitions now, and the store 8" in other.refusal)
        for writer in (missing, other):
            with pytest.raises(UnavailableError) as error:
                writer.submit(predictions(1))
            assert error.value.retry_after_seconds


def test_rows_are_counted_once_the_brokers_have_them(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    telemetry = Telemetry(time.time)
    writer = TopicWriter(settings_for(kafka_broker, kafka_topic), telemetry, lambda: AT)
    with pytest.raises(UnavailableError):
        writer.submit(predictions(2))
    writer.start()
    eventually(lambda: not writer.refusal)
    for request in (predictions(8), labels(3)):
        writer.submit(request).result(TIMEOUT_SECONDS)
    writer.stop()

    found = {
        (sample.labels["kind"], sample.labels["outcome"]): sample.value
        for _, family in telemetry.families()
        for sample in family.samples
        if sample.name == "mlflow_exporter_ingest_rows_total" and sample.value
    }
    assert found == {
        ("prediction", "rejected"): 2,
        ("prediction", "produced"): 8,
        ("label", "produced"): 3,
    }


def test_an_error_after_which_nothing_can_be_produced_ends_the_process(kafka_broker: KafkaBroker) -> None:
    reasons = list[str]()
    settings = settings_for(kafka_broker, "none")
    writer = TopicWriter(settings, Telemetry(time.time), lambda: AT, end=reasons.append)
    writer._note_error(KafkaError(KafkaError._TRANSPORT, "away"))
    assert not reasons

    writer._note_error(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "a sequence was lost", fatal=True))

    assert reasons == ["the producer cannot go on: a sequence was lost"]
    with pytest.raises(UnavailableError, match="cannot go on"):
        writer.submit(predictions(1))


def test_the_queue_is_bounded_and_a_stop_delivers_it(
    kafka_broker: KafkaBroker, kafka_topic: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka_broker, kafka_topic, max_queue_rows=30)
    slow = settings_for_file(settings, tmp_path, "linger.ms=60000", "delivery.timeout.ms=120000")
    with writing(slow) as writer:
        first = writer.submit(predictions(30))
        with pytest.raises(OverloadedError, match=r"^30 rows are waiting$"):
            writer.submit(predictions(1))
        assert not first.done()

    assert first.result(0) == ProducedAnswer("prediction", 30)
    with pytest.raises(UnavailableError, match="stopping"):
        writer.submit(predictions(1))
    assert sum(request.rows for request in read(consume(kafka_broker, kafka_topic))) == 30


def test_without_an_answer_of_the_brokers_a_request_fails_within_a_bound_and_may_be_sent_again(
    kafka_broker: KafkaBroker, kafka_topic: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka_broker, kafka_topic)
    soon = ("# soon", "delivery.timeout.ms = 1500", "request.timeout.ms=1000")
    with writing(settings_for_file(settings, tmp_path, *soon)) as writer:
        assert writer.submit(predictions(8)).result(TIMEOUT_SECONDS).accepted == 8
        with kafka_broker.frozen():
            lost = writer.submit(predictions(8, first=8))
            with pytest.raises(UnavailableError, match="send it again") as error:
                lost.result(TIMEOUT_SECONDS)
        assert error.value.retry_after_seconds
        eventually(lambda: taken(writer, predictions(8, first=8)))
    found = read(consume(kafka_broker, kafka_topic))
    ids = {row_id for request in found for row_id in request.decoded.ids or []}
    assert ids == {f"i{number}" for number in range(16)}


def taken(writer: TopicWriter, request: PredictionRequest) -> bool:
    try:
        return writer.submit(request).result(TIMEOUT_SECONDS).accepted == request.rows
    except UnavailableError:
        return False

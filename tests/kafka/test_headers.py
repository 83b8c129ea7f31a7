"""Headers of foreign producers."""

from __future__ import annotations

import ctypes
from pathlib import Path

import confluent_kafka
import pytest

from exporter.kafka.headers import headers_of
from tests.kafka.test_topic_writer import consume
from tests.support.kafka import KafkaBroker

pytestmark = pytest.mark.needs("kafka")


def _produce(address: str, topic: str, names: list[bytes]) -> None:
    """Produce a message with headers of any names, which the driver for Python does not."""
    directory = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs")
    found = sorted(directory.glob("librdkafka*"))
    if not found:
        pytest.skip("the driver was not installed with its library")
    library, error = ctypes.CDLL(str(found[0])), ctypes.create_string_buffer(512)
    for maker in (library.rd_kafka_conf_new, library.rd_kafka_new, library.rd_kafka_headers_new):
        maker.restype = ctypes.c_void_p
    conf = ctypes.c_void_p(library.rd_kafka_conf_new())
    assert not library.rd_kafka_conf_set(conf, b"bootstrap.servers", address.encode(), error, 512)
    client = ctypes.c_void_p(library.rd_kafka_new(0, conf, error, 512))
    headers = ctypes.c_void_p(library.rd_kafka_headers_new(len(names)))
    for name in names:
        sizes = ctypes.c_ssize_t(len(name)), ctypes.c_ssize_t(1)
        assert not library.rd_kafka_header_add(headers, name, sizes[0], b"x", sizes[1])
    value = 4, b"{}", ctypes.c_size_t(2)  # 4, 1, 10 and 0 are RD_KAFKA_VTYPE_VALUE, _TOPIC, _HEADERS and _END
    assert not library.rd_kafka_producev(client, 1, topic.encode(), *value, 10, headers, 0)
    assert not library.rd_kafka_flush(client, 30_000)
    library.rd_kafka_destroy(client)


def test_a_header_whose_name_is_no_text_is_left_out(kafka_broker: KafkaBroker, kafka_topic: str) -> None:
    _produce(kafka_broker.address, kafka_topic, [b"kind", b"\xff\xfe", b"model"])
    (message,) = consume(kafka_broker, kafka_topic)

    for _ in range(20):  # a call that is made often takes another way through the interpreter
        assert headers_of(message) == [("kind", b"x"), ("model", b"x")]

"""The producer of the page is run, and its messages are read."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from exporter.ingest.batching import PredictionRequest
from exporter.ingest.join import PreparedLabels
from exporter.kafka.messages import Received, decode
from exporter.settings import Settings
from exporter.storage.partition import Partition
from tests.kafka.test_topic_writer import consume
from tests.support.kafka import KafkaBroker

README = Path(__file__).parents[2] / "exporter" / "kafka" / "README.md"


@pytest.mark.needs("kafka")
def test_the_producer_of_the_page_sends_what_a_worker_reads(
    kafka_broker: KafkaBroker, kafka_topic: str
) -> None:
    found = re.search(r"<!-- python producer -->\n```python\n(.*?)```", README.read_text(), re.S)
    assert found
    code = (
        found[1].replace("kafka:9092", kafka_broker.address).replace('"mlflow-exporter"', f'"{kafka_topic}"')
    )

    exec(compile(code, str(README), "exec"), {})

    messages = consume(kafka_broker, kafka_topic)
    assert len({message.partition() for message in messages}) == 1
    row, labels = [
        decode(Received.of(each, time.time()), Settings(), Partition(each.partition() or 0, "t", 4))
        for each in messages
    ]
    assert isinstance(row, PredictionRequest)
    assert (row.decoded.ids, row.decoded.target.version) == (["a1"], "3")
    assert isinstance(labels, PreparedLabels)
    assert labels.labels == ["0"]

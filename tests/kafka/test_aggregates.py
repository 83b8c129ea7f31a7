"""Partial aggregates as a message: the body as it is, in the partition of its source."""

from __future__ import annotations

import pytest

from exporter.errors import MalformedError, TooLargeError
from exporter.ingest.aggregates_body import AggregatesRequest, read_aggregates
from exporter.kafka.messages import Received, decode
from exporter.kafka.partitioner import partitions_of, row_key
from exporter.kafka.splitting import Layout, split
from exporter.settings import Settings
from exporter.storage.partition import Partition
from tests.support.folded import make_body, make_folding_reference, make_live_table
from tests.support.rig import NOON

SETTINGS = Settings()


@pytest.fixture(scope="module")
def request_of_counts() -> AggregatesRequest:
    table = make_live_table("binary", 50, span_seconds=600)
    return read_aggregates(make_body(make_folding_reference("binary"), table, "job", 7), NOON)


def test_counts_are_one_message_in_the_partition_of_their_source(
    request_of_counts: AggregatesRequest,
) -> None:
    (message,) = split(request_of_counts, Layout(64, 10**6, anonymous=0))
    key = row_key("fraud", "job")
    assert (message.key, message.partition) == (key, partitions_of([key], 64)[0])
    assert (message.value, message.rows, message.whole) == (request_of_counts.body, 50, True)
    headers = {name: bytes(value) for name, value in message.headers if isinstance(value, bytes)}
    received = Received(message.value, headers, NOON)
    found = decode(received, SETTINGS, Partition(message.partition, "t", 64))
    assert isinstance(found, AggregatesRequest)
    assert (found.document, found.received_at) == (request_of_counts.document, NOON)


def test_counts_in_another_partition_than_that_of_their_source_are_refused(
    request_of_counts: AggregatesRequest,
) -> None:
    partition = int(partitions_of([row_key("fraud", "job")], 64)[0])
    received = Received(request_of_counts.body, {"kind": b"aggregates"}, NOON)
    with pytest.raises(MalformedError, match="belongs to partition"):
        decode(received, SETTINGS, Partition((partition + 1) % 64, "t", 64))


def test_counts_that_are_larger_than_a_message_are_refused(request_of_counts: AggregatesRequest) -> None:
    with pytest.raises(TooLargeError, match="the topic takes"):
        split(request_of_counts, Layout(64, 1000, anonymous=0))

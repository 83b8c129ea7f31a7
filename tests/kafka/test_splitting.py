"""Messages of a request hold the same values as the request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import TooLargeError
from exporter.formats.batch import Batch, assemble, stored_texts
from exporter.formats.hashing import payload_hashes
from exporter.formats.labels import decode_labels
from exporter.formats.predictions import read_predictions
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE, PARQUET_TYPE, RawRequest
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.deduplication import IdempotencyKey
from exporter.ingest.join import PreparedLabels, prepare_labels
from exporter.ingest.parquet import parquet_to_arrow
from exporter.kafka.messages import Received, decode
from exporter.kafka.splitting import Layout, Outgoing, split
from exporter.settings import Settings
from exporter.storage.partition import Partition
from tests.formats.test_categories import JSON
from tests.support.documents import layout_of, predictions
from tests.support.wire import FORMATS, QUERY, Predictions, bin_decoded, encode, to_stream, type_of

AT, PARTITIONS = 1_700_000_000.5, 3
LAYOUT = Layout(PARTITIONS, 1_000_000, 1)
KEY = IdempotencyKey.of("fraud", "batch", body=b"{}")


def request_of(
    body: bytes, content_type: str = JSON_TYPE, key: IdempotencyKey | None = None
) -> PredictionRequest:
    raw = RawRequest(content_type, {} if content_type == JSON_TYPE else QUERY, body)
    if content_type == PARQUET_TYPE:
        raw = parquet_to_arrow(raw, Settings())
    decoded = read_predictions(raw.body, raw.content_type, raw.query, Settings())
    return PredictionRequest(raw, decoded, AT, key)


def received(message: Outgoing) -> Received:
    return Received(message.value, dict(message.headers), AT)


def read(message: Outgoing) -> PredictionRequest:
    request = decode(received(message), Settings(), Partition(message.partition, "t", PARTITIONS))
    assert isinstance(request, PredictionRequest)
    return request


def row_details(batch: Batch) -> list[str]:
    """Everything that is counted or stored of each row, but for its time of receipt."""
    cells = [
        bin_decoded(layout_of(dict.fromkeys(batch.features, kind)), batch, np.zeros(batch.rows)).cells.T
        for kind in ("category", "number")
    ]
    none, scores = [None] * batch.rows, batch.scores
    columns: list[Sequence[Any]] = [
        batch.ids or none,
        payload_hashes(batch).tolist(),
        batch.timestamps.tolist(),
        batch.labels or none,
        none if batch.latency is None else batch.latency.tolist(),
        *(kind.tolist() for kind in cells),
        stored_texts(batch.prediction),
        none if scores is None else stored_texts(scores.single),
        none if scores is None else [each and each.text for each in scores.several_or_none],
    ]
    return [repr(row) for row in zip(*columns, strict=True)]


def check_same_rows(request: PredictionRequest, messages: Sequence[Outgoing]) -> None:
    whole = row_details(assemble([request.decoded]))
    found = [row for message in messages for row in row_details(assemble([read(message).decoded]))]
    assert sorted(found) == sorted(whole)
    assert sum(message.rows for message in messages) == request.rows


@given(st.sampled_from(FORMATS), predictions())
def test_rows_are_the_same_in_messages_as_in_a_request_of_any_form(
    form: str, predictions: Predictions
) -> None:
    request = request_of(encode(form, predictions), type_of(form))

    check_same_rows(request, split(request, LAYOUT))


@given(
    st.lists(
        st.fixed_dictionaries(
            {"features": st.dictionaries(st.sampled_from("ab"), JSON, min_size=1), "prediction": JSON},
            optional={
                "id": st.none() | st.integers(-(2**63), 2**64 - 1) | st.text(min_size=1, max_size=2),
                "score": JSON,
                "label": JSON,
                "latency_seconds": st.none() | st.floats(),
                "timestamp": st.none() | st.floats() | st.sampled_from(["2026-11-23T10:00", "2026-11-23"]),
            },
        ),
        min_size=1,
        max_size=6,
    )
)
def test_odd_values_of_json_are_the_same_in_messages(rows: list[dict[str, Any]]) -> None:
    body = json.dumps({"model": "fraud", "alias": "champion", "predictions": rows}).encode()
    request = request_of(body)

    messages = split(request, LAYOUT)

    check_same_rows(request, messages)
    assert {str(read(message).decoded.target) for message in messages} == {str(request.decoded.target)}


KINDS = [
    pa.array([1, None, 2**62, 3], pa.int64()),
    pa.array(["a", None, "b", "a"], pa.string_view()),
    pa.array(["a", None, "b", "a"], pa.large_string()),
    pa.array([0, None, 10**15, 3], pa.timestamp("ns")),
    pa.array([0, None, 2**60, 3], pa.timestamp("us", tz="America/New_York")),
    pa.array([1, None, 2, 3], pa.date32()),
    pa.array([[1], None, [], [2]], pa.list_view(pa.int8())),
    pa.array([{"x": "a"}, None, {"x": None}, {"x": "b"}], pa.struct([("x", pa.string_view())])),
    pa.array([b"a", None, b"b", b"a"], pa.binary_view()),
    pa.array([1, None, 0, 1], pa.bool8()),
    pa.DictionaryArray.from_arrays(pa.array([3, None, 0, 3], pa.uint8()), ["a", "b", None, "d", "e", "f"]),
    pa.RunEndEncodedArray.from_arrays(pa.array([2, 4], pa.int32()), pa.array([1.0, None])),
    pa.nulls(4),
]


@pytest.mark.parametrize("column", KINDS, ids=lambda column: str(column.type)[:40])
def test_arrow_columns_of_any_type_are_the_same_in_messages(column: pa.Array) -> None:
    table = pa.table(
        {
            "id": pa.array([1, 2, 3, 4], pa.uint64()),
            "timestamp": pa.array([1, 2, None, 4], pa.timestamp("s")),
            "features": pa.array([0.5, None, float("nan"), float("inf")]),  # a feature that is called so
            "odd": column,
            "prediction": column,
            "label": column,
            "score": pa.array([[0.5], None, [0.1, 0.9], [None]]),
        }
    )
    request = request_of(to_stream(table), ARROW_TYPE)

    messages = split(request, LAYOUT)

    assert len(messages) > 1
    check_same_rows(request, messages)


def test_a_request_of_one_partition_is_sent_as_it_came() -> None:
    body = (
        b'{"model": "fraud", "version": 3, "predictions": [{"id": 7, "features": {"a": 1}, "prediction": 1}]}'
    )

    (message,) = split(request_of(body), LAYOUT)

    assert message.value == body
    assert message.key == b"fraud\x007"
    assert dict(message.headers) == {"kind": b"predictions", "content-type": JSON_TYPE.encode()}


def test_rows_without_ids_share_a_message_which_an_idempotency_key_places() -> None:
    rows = [{"features": {"a": number}, "prediction": 1} for number in range(20)]
    body = json.dumps({"model": "fraud", "version": 3, "predictions": rows}).encode()

    (spread,) = split(request_of(body), LAYOUT)
    placed = [split(request_of(body, key=KEY), Layout(PARTITIONS, 1_000_000, n))[0] for n in range(3)]

    assert (spread.partition, spread.key) == (1, None)
    assert len({message.partition for message in placed}) == 1
    assert placed[0].key is not None


def test_parts_of_a_request_with_a_key_count_each_and_once() -> None:
    rows = [{"id": n, "features": {"a": "x" * 900}, "prediction": 1} for n in range(60)]
    body = json.dumps({"model": "fraud", "version": 3, "predictions": rows}).encode()
    narrow = Layout(PARTITIONS, 16_384, 0)

    first, again = (split(request_of(body, key=KEY), narrow) for _ in range(2))

    keys = [read(message).key for message in first]
    assert keys == [read(message).key for message in again]
    assert len(
        {(message.partition, key.key) for message, key in zip(first, keys, strict=True) if key}
    ) == len(keys)
    assert len(keys) > PARTITIONS
    assert {key.body for key in keys if key} == {IdempotencyKey.of("", body=KEY.body).body}


def test_large_requests_become_messages_that_the_topic_takes() -> None:
    rows = [{"id": n, "features": {"a": "x" * (n * 40)}, "prediction": 1} for n in range(200)]
    body = json.dumps({"model": "fraud", "version": 3, "predictions": rows}).encode()
    request = request_of(body)
    narrow = Layout(PARTITIONS, 20_000, 0)

    messages = split(request, narrow)

    assert max(len(message.value) for message in messages) <= narrow.max_value_bytes
    check_same_rows(request, messages)
    with pytest.raises(TooLargeError, match=r"^row 1\d\d takes \d+ bytes, the topic takes 5000 "):
        split(request, Layout(PARTITIONS, 10_000, 0))


def test_labels_are_the_same_in_messages() -> None:
    document = {
        "model": "fraud",
        "columns": {
            "id": ["a", 2, "\ud800", "null"] * 5,
            "label": [1.0, "null", True, "x" * 300] * 5,
            "timestamp": [None, "2026-11-23T10:00", 5, 1e300] * 5,
        },
    }
    batch = decode_labels(json.dumps(document).encode(), JSON_TYPE, {}, Settings())
    labels = prepare_labels(batch, AT, KEY)

    found = [
        decode(received(m), Settings(), Partition(m.partition, "t", PARTITIONS))
        for m in split(labels, LAYOUT)
    ]

    rows = [row for each in found if isinstance(each, PreparedLabels) for row in label_rows(each)]
    assert sorted(rows) == sorted(label_rows(labels))
    assert all(each.key is not None for each in found)


def label_rows(labels: PreparedLabels) -> list[tuple[bytes, str, float]]:
    return list(zip(labels.hashes, labels.labels, labels.at, strict=True))

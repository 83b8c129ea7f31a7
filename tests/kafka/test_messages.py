"""Messages are read as the bodies of requests, and bad ones are refused with the reason."""

from __future__ import annotations

import re
import time

import pyarrow as pa
import pytest

from exporter.errors import RequestError
from exporter.formats.raw import ARROW_TYPE, PARQUET_TYPE
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.join import PreparedLabels
from exporter.kafka.messages import Received, decode
from exporter.kafka.partitioner import partitions_of, row_key
from exporter.settings import Settings
from exporter.storage.partition import Partition
from tests.support.wire import to_stream

AT = 1_700_000_000.0
ROWS = (
    b'{"model": "fraud", "version": 1, "predictions": [{"id": "a", "features": {"x": 1}, "prediction": 0}]}'
)
LABELS = b'{"model": "fraud", "labels": [{"id": "a", "label": 1}]}'


def test_a_message_without_headers_has_predictions_in_json() -> None:
    request = decode(Received(ROWS, {"traceparent": b"00-1"}, AT), Settings())

    assert isinstance(request, PredictionRequest)
    assert (request.decoded.ids, request.received_at, request.key) == (["a"], AT, None)
    assert request.raw.body == ROWS


def test_the_target_of_arrow_is_in_the_headers() -> None:
    body = to_stream(pa.table({"x": [1.0], "prediction": [1]}))
    headers = {"content-type": ARROW_TYPE.encode(), "model": "fräud".encode(), "alias": b"champion"}

    request = decode(Received(body, headers, AT), Settings())

    assert isinstance(request, PredictionRequest)
    assert (request.decoded.target.model, request.decoded.target.alias) == ("fräud", "champion")


def test_labels_become_known_when_the_message_came() -> None:
    labels = decode(Received(LABELS, {"kind": b"labels", "idempotency-key": b"k"}, AT), Settings())

    assert isinstance(labels, PreparedLabels)
    assert labels.at == [AT]
    assert labels.key is not None


@pytest.mark.parametrize(
    ("value", "headers", "status", "reason"),
    [
        (b"", {}, 422, "a message without a value"),
        (b"{", {}, 422, "not JSON"),
        (
            b"\xff" * 9,
            {"content-type": ARROW_TYPE.encode(), "model": b"m", "version": b"1"},
            422,
            "no.* Arrow",
        ),
        (ROWS, {"kind": b"rows"}, 415, r"headers\.kind: kind 'rows', taken are predictions, labels"),
        (ROWS, {"kind": b"\xff"}, 422, r"headers\.kind: not in UTF-8"),
        (ROWS, {"content-type": PARQUET_TYPE.encode()}, 415, "taken are application/json and"),
        (ROWS, {"content-encoding": b"gzip"}, 415, r"set `compression\.type`"),
        (LABELS, {}, 422, "`version` or `alias` is required"),
        (b" " * 2000, {}, 413, "2000 bytes, at most 1000 are taken"),
    ],
    ids=["empty", "JSON", "Arrow", "kind", "UTF-8", "Parquet", "gzip", "other kind", "size"],
)
def test_a_message_that_cannot_be_read_is_refused(
    value: bytes, headers: dict[str, bytes], status: int, reason: str
) -> None:
    with pytest.raises(RequestError) as error:
        decode(Received(value, headers, AT), Settings(max_body_bytes=1000))

    assert error.value.status == status
    assert re.search(reason, error.value.located)


@pytest.mark.parametrize(("value", "kind"), [(ROWS, b"predictions"), (LABELS, b"labels")])
def test_an_id_in_a_partition_that_is_not_its_own_is_refused(value: bytes, kind: bytes) -> None:
    own = int(partitions_of([row_key("fraud", "a")], 8)[0])
    received = Received(value, {"kind": kind}, AT)

    decode(received, Settings(), Partition(own, "t", 8))
    with pytest.raises(
        RequestError, match=f"^id 'a' belongs to partition {own}, .* and the partitioner murmur2$"
    ):
        decode(received, Settings(), Partition((own + 1) % 8, "t", 8))


def test_a_message_of_the_future_came_now() -> None:
    class Stamped:
        def __init__(self, kind: int, at: int) -> None:
            self._stamp = (kind, at)

        def timestamp(self) -> tuple[int, int]:
            return self._stamp

        def headers(self) -> None:
            return None

        def value(self) -> bytes:
            return b"x"

    now = time.time()
    times = [Received.of(Stamped(*each), now).received_at for each in [(1, 5500), (0, -1), (1, 2**53)]]  # type: ignore[arg-type]

    assert times == [5.5, now, now]

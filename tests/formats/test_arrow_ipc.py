"""Arrow streams are read as far as they are sound, and hold no more than their body."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest

from exporter.errors import MalformedError, RequestError, TooLargeError
from exporter.formats.batch import Batch
from exporter.formats.labels import decode_labels
from exporter.formats.raw import ARROW_TYPE
from exporter.settings import Settings
from tests.fuzz_bodies import make_growing_stream
from tests.support.wire import QUERY, decode, to_stream

TEXT = "x" * 10_000


def decode_stream(body: bytes, settings: Settings | None = None) -> Batch:
    return decode(body, settings, ARROW_TYPE, **QUERY)


def table_of(array: pa.Array) -> pa.Table:
    return pa.table({"x": array, "prediction": pa.nulls(len(array))})


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_compressed_stream_is_refused_before_it_unpacks(codec: str) -> None:
    numbers = table_of(pa.array(np.zeros(10_000)))
    with pytest.raises(MalformedError, match="uncompressed or as Parquet"):
        decode_stream(to_stream(numbers, compression=codec))


def test_a_dictionary_that_is_compressed_is_refused_as_well() -> None:
    table = table_of(pa.DictionaryArray.from_arrays([0], pa.array([TEXT])))
    reader = pa.ipc.open_stream(to_stream(table, compression="zstd"))
    messages = list(pa.ipc.MessageReader.open_stream(to_stream(table, compression="zstd")))
    assert [message.type for message in messages] == ["schema", "dictionary", "record batch"]
    plain = list(pa.ipc.MessageReader.open_stream(to_stream(table)))
    mixed = b"".join(message.serialize().to_pybytes() for message in (messages[0], messages[1], plain[2]))
    assert reader.schema == table.schema

    with pytest.raises(MalformedError, match="uncompressed or as Parquet"):
        decode_stream(mixed)


def test_a_stream_may_come_in_parts_some_of_them_empty() -> None:
    table = pa.table({"x": [1.0, 2.0], "prediction": [0, 1]})
    parts = pa.concat_tables([table, table.slice(2), table.slice(1)])

    assert decode_stream(to_stream(parts)).rows == 3


@pytest.mark.parametrize("body", [b"", b"PAR1", b"\xff\xff\xff\xff\x00\x00\x00\x00", b"{}", b"\0" * 100])
def test_what_is_no_stream_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_stream(body)


def test_a_stream_without_batches_has_no_rows() -> None:
    with pytest.raises(MalformedError, match="no rows"):
        decode_stream(to_stream(pa.table({"x": [1], "prediction": [1]}).slice(1)))


def test_a_stream_that_is_cut_short_is_refused_or_gives_whole_batches() -> None:
    table = pa.table({"x": ["a", None, "b"], "prediction": [0, 1, 1]})
    body = to_stream(pa.concat_tables([table, table]))
    rows = set()
    for length in range(len(body)):
        try:
            rows.add(decode_stream(body[:length]).rows)
        except RequestError:
            rows.add(0)

    assert rows == {0, 3, 6}


def integers(*values: int) -> bytes:
    return np.array(values, np.int32).tobytes()


@pytest.mark.parametrize(
    ("sound", "damaged"),
    [
        pytest.param(b"onetwos", b"on\xff\xfewos", id="no UTF-8"),
        pytest.param(integers(0, 3, 7), integers(0, 3, 2**30), id="beyond its buffer"),
        pytest.param(integers(0, 3, 7), integers(0, 8, 7), id="backwards"),
        pytest.param(integers(0, 3, 7), integers(-9, 3, 7), id="before its buffer"),
        pytest.param(integers(2, 1, 0), integers(2, 1, 9), id="no such entry"),
        pytest.param(integers(2, 1, 0), integers(2, 1, -9), id="a negative entry"),
    ],
)
def test_what_would_be_read_beyond_its_buffers_is_refused(sound: bytes, damaged: bytes) -> None:
    entries = pa.DictionaryArray.from_arrays(pa.array([2, 1, 0, 0], pa.int32()), pa.array(["a", "b", "c"]))
    texts = pa.array(["one", "twos", None, None])
    body = to_stream(pa.table({"x": entries, "y": texts, "prediction": pa.nulls(4)}))
    assert body.count(sound) == 1
    assert decode_stream(body).rows == 4

    with pytest.raises(MalformedError, match="not an Arrow IPC stream"):
        decode_stream(body.replace(sound, damaged))


def test_a_text_that_many_rows_refer_to_counts_as_often() -> None:
    small = Settings(max_body_bytes=100_000)
    entry = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100, np.int8)), pa.array([TEXT]))
    view = pa.array([TEXT], pa.string_view())
    views = pa.Array.from_buffers(
        pa.string_view(), 100, [None, pa.py_buffer(view.buffers()[1].to_pybytes() * 100), *view.buffers()[2:]]
    )
    assert views.to_pylist() == [TEXT] * 100

    for array in (entry, views, entry.cast(pa.dictionary(pa.int8(), pa.large_string()))):
        body = to_stream(table_of(array))
        assert len(body) < small.max_body_bytes
        with pytest.raises(TooLargeError, match="unpacks to 10"):
            decode_stream(body, small)
        assert decode_stream(body).rows == 100


def test_entries_of_a_dictionary_that_no_row_refers_to_are_not_read() -> None:
    words = pa.array([f"word {k}" for k in range(100_000)])
    some = pa.DictionaryArray.from_arrays(pa.array([99_999, None, 7]), words)
    values = decode_stream(to_stream(table_of(some))).features["x"]

    assert values.rows() == ["word 99999", None, "word 7"]  # type: ignore[union-attr]
    assert len(values.texts) == 2  # type: ignore[union-attr]


def with_first_message_of_type(kind: int, body: bytes) -> bytes:
    """A stream whose first message says that it is something else than a schema (MessageHeader)."""
    metadata = next(iter(pa.ipc.MessageReader.open_stream(body))).metadata.to_pybytes()
    message = int.from_bytes(metadata[:4], "little")
    vtable = message - int.from_bytes(metadata[message : message + 4], "little", signed=True)
    place = message + int.from_bytes(metadata[vtable + 6 : vtable + 8], "little")
    assert metadata[place] == 1
    damaged = bytearray(body)
    damaged[body.index(metadata) + place] = kind
    return bytes(damaged)


@pytest.mark.parametrize("kind", [0, 2, 3, 4, 5, 6, 255])
def test_a_stream_begins_with_a_schema(kind: int) -> None:
    # Of an unknown type pyarrow verifies nothing, and what is taken for a schema leads anywhere in memory.
    body = to_stream(pa.table({"id": ["a"], "prediction": [1], "x": [1.0]}))
    labels, query = to_stream(pa.table({"id": ["a"], "label": [1]})), {"model": "fraud"}

    assert decode_stream(body).rows == decode_labels(labels, ARROW_TYPE, query, Settings()).rows == 1
    with pytest.raises(MalformedError, match="not an Arrow IPC stream"):
        decode_stream(with_first_message_of_type(kind, body))
    with pytest.raises(MalformedError, match="not an Arrow IPC stream"):
        decode_labels(with_first_message_of_type(kind, labels), ARROW_TYPE, query, Settings())


def test_a_dictionary_may_grow_from_batch_to_batch() -> None:
    body = make_growing_stream()
    kinds = [message.type for message in pa.ipc.MessageReader.open_stream(body)]
    values = decode_stream(body).features["x"]

    assert kinds == ["schema", *["dictionary", "record batch"] * 4]
    assert values.rows() == [text for text in "abcd" for _ in range(20)]  # type: ignore[union-attr]


def test_dictionaries_that_grow_count_as_often_as_they_are_made_anew() -> None:
    sink, texts = io.BytesIO(), list[str]()
    schema = pa.schema([("x", pa.dictionary(pa.int8(), pa.string())), ("prediction", pa.int8())])
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)) as out:
        for number in range(100):
            texts.append(f"{number:05}" * 100)
            entries = pa.DictionaryArray.from_arrays(pa.array([number], pa.int8()), texts)
            out.write_batch(pa.record_batch([entries, pa.array([1], pa.int8())], schema=schema))
    body = sink.getvalue()

    assert len(body) < 100_000
    assert decode_stream(body).rows == 100
    with pytest.raises(TooLargeError, match="unpacks to"):  # 100 * 101 / 2 texts
        decode_stream(body, Settings(max_body_bytes=100_000))

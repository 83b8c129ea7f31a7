"""Parquet is read from whatever writes it, and unpacks to no more than is taken."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from exporter.errors import MalformedError, RequestError, TooLargeError
from exporter.formats.columns import Mixed
from exporter.formats.parquet import FILE_BOUNDS, ColumnFile
from exporter.formats.parquet_pages import FileBytes, read_groups, read_pages
from exporter.formats.predictions import Batch
from exporter.formats.raw import PARQUET_TYPE
from exporter.settings import Settings
from tests.support.wire import QUERY, decode, to_parquet

SMALL = Settings(max_body_bytes=100_000)  # of which eight times as much may be unpacked


def decode_file(body: bytes, settings: Settings | None = None) -> Batch:
    return decode(body, settings, PARQUET_TYPE, **QUERY)


def table_of(array: pa.Array) -> pa.Table:
    return pa.table({"x": array, "prediction": pa.nulls(len(array))})


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "none"},
        {"compression": "snappy"},
        {"compression": "gzip"},
        {"compression": "zstd"},
        {"compression": "brotli"},
        {"compression": "lz4"},
        {"version": "1.0", "coerce_timestamps": "ms"},
        {"data_page_version": "2.0"},
        {"row_group_size": 7},
        {"data_page_size": 1},
        {"write_page_index": True, "write_page_checksum": True},
        {"write_statistics": False, "store_schema": False},
        {"use_dictionary": False},
        {"use_dictionary": False, "column_encoding": {"text": "DELTA_LENGTH_BYTE_ARRAY"}},
        {
            "use_dictionary": False,
            "column_encoding": {"number": "BYTE_STREAM_SPLIT", "count": "DELTA_BINARY_PACKED"},
        },
        {"dictionary_pagesize_limit": 1},
        {"use_deprecated_int96_timestamps": True},
    ],
    ids=str,
)
def test_files_of_every_kind_say_the_same(options: dict[str, Any]) -> None:
    table = pa.table(
        {
            "number": [k / 7 if k % 3 else None for k in range(50)],
            "count": list(range(50)),
            "text": [f"word {k % 5}" if k % 4 else None for k in range(50)],
            "time": pa.array([1_800_000_000 + k for k in range(50)], pa.timestamp("s")),
            "list": [["x"] * (k % 3) for k in range(50)],
            "structure": [{"a": "x", "b": k} for k in range(50)],
            "prediction": [k % 2 == 0 for k in range(50)],
        }
    )
    batch = decode_file(to_parquet(table, **options))

    np.testing.assert_array_equal(batch.features["number"], table["number"].to_numpy())
    np.testing.assert_array_equal(batch.features["count"], np.arange(50.0))
    assert batch.features["text"].rows() == table["text"].to_pylist()  # type: ignore[union-attr]
    np.testing.assert_array_equal(batch.features["time"].seconds, 1.8e9 + np.arange(50))  # type: ignore[union-attr]
    assert isinstance(batch.features["list"], Mixed)
    assert isinstance(batch.features["structure"], Mixed)
    np.testing.assert_array_equal(batch.prediction, 1.0 - np.arange(50) % 2)


def test_structures_may_hold_texts_in_several_row_groups() -> None:
    features = pa.array([{"x": f"word {k}"} for k in range(9)])
    batch = decode_file(to_parquet(pa.table({"features": features, "prediction": [1] * 9}), row_group_size=2))

    assert batch.features["x"].rows() == [f"word {k}" for k in range(9)]  # type: ignore[union-attr]


def test_what_compresses_well_counts_by_what_it_unpacks_to() -> None:
    body = to_parquet(table_of(pa.array([f"{k}" * 10_000 for k in range(100)])), compression="zstd")

    assert len(body) < SMALL.max_body_bytes
    with pytest.raises(TooLargeError, match="unpacks to"):
        decode_file(body, SMALL)
    assert decode_file(body).rows == 100


@pytest.mark.parametrize(
    "array", [pa.array([b"x" * 10_000] * 100), pa.array([["x" * 10_000] * 100] * 10)], ids=str
)
def test_a_value_that_many_rows_repeat_is_not_repeated(array: pa.Array) -> None:
    body = to_parquet(table_of(array))

    assert len(body) < SMALL.max_body_bytes
    assert decode_file(body, SMALL).rows == len(array)


@pytest.mark.parametrize("kind", [pa.string(), pa.binary(10_000)], ids=str)
def test_a_value_that_would_be_repeated_counts_as_often(kind: pa.DataType) -> None:
    body = to_parquet(table_of(pa.array([b"x" * 10_000] * 100).cast(kind)))

    assert len(body) < SMALL.max_body_bytes
    with pytest.raises(TooLargeError, match="unpacks to"):
        decode_file(body, SMALL)


def test_a_list_may_not_hold_millions() -> None:
    body = to_parquet(table_of(pa.array([np.zeros(10_000_001, np.int8)])))

    assert len(body) < 100_000
    with pytest.raises(TooLargeError, match="values"):
        decode_file(body)


def test_an_encoding_that_repeats_prefixes_without_bound_is_not_taken() -> None:
    body = to_parquet(
        table_of(pa.array(["a", "ab"])), use_dictionary=False, column_encoding={"x": "DELTA_BYTE_ARRAY"}
    )
    with pytest.raises(MalformedError, match="DELTA_BYTE_ARRAY"):
        decode_file(body)


def test_more_parts_than_anybody_needs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = table_of(pa.array(np.arange(100.0)))
    many_groups = to_parquet(rows, row_group_size=1)
    many_pages = to_parquet(rows, data_page_size=1, write_batch_size=1, use_dictionary=False)
    assert decode_file(many_groups).rows == decode_file(many_pages).rows == 100

    monkeypatch.setattr("exporter.formats.parquet.MAX_COLUMN_CHUNKS", 199)
    with pytest.raises(MalformedError, match="199 column chunks"):
        decode_file(many_groups)
    monkeypatch.setattr("exporter.formats.parquet.MAX_PAGES", 100)
    with pytest.raises(MalformedError, match="100 pages"):
        decode_file(many_pages)


@pytest.mark.parametrize(
    "body", [b"", b"PAR1", b"PAR1" * 3, b"PAR1\0\0\0\0PAR1", b"PARE" * 20, b"{}", b"\0" * 99]
)
def test_what_is_no_parquet_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError, match="not Parquet"):
        decode_file(body)


def test_a_file_that_is_cut_short_is_refused() -> None:
    body = to_parquet(pa.table({"x": ["a", None, "b"], "prediction": [0, 1, 1]}))
    for length in range(len(body)):
        with pytest.raises(MalformedError):
            decode_file(body[:length])


def file_with_footer(footer: bytes) -> bytes:
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


@pytest.mark.parametrize(
    "footer",
    [
        b"\x1c" * 10_000,  # structures in structures
        b"\x19" * 10_000,  # lists in lists
        b"\x19\xf1\xff\xff\xff\xff\x0f" + b"\x11" * 100,  # a list of four billion switches
        b"\x19\xf3\xff\xff\xff\xff\x0f" + b"\0" * 100,  # and of as many bytes
        b"\x18\xff\xff\xff\xff\x0f",  # a text as long
        b"\x16" + b"\xff" * 20,  # a number without end
        b"\x1d\0",  # a type that there is not
        b"",
        b"\0",
    ],
)
def test_a_footer_of_nonsense_is_refused_at_once(footer: bytes) -> None:
    started = time.process_time()
    with pytest.raises(RequestError):
        decode_file(file_with_footer(footer))
    assert time.process_time() - started < 1


def test_a_footer_that_is_all_there_is_is_too_long() -> None:
    with pytest.raises(MalformedError, match="the footer has"):
        decode_file(file_with_footer(bytes(3_000_000)))


def nested(depth: int) -> bytes:
    array = pa.array([1.0])
    for _ in range(depth):
        array = pa.StructArray.from_arrays([array], ["a"])
    return to_parquet(table_of(array))


def test_columns_that_are_nested_too_deeply_are_refused(tmp_path: Path) -> None:
    # 30,000 levels are too many for the stack of pyarrow, which ends the process.
    assert decode_file(nested(64)).rows == 1
    with pytest.raises(MalformedError, match="64 levels"):
        decode_file(nested(65))
    file = tmp_path / "reference.parquet"
    file.write_bytes(nested(65))
    with pytest.raises(MalformedError, match="64 levels"):
        ColumnFile(file)


def with_schema(columns: int, elements: bytes = b"") -> bytes:
    """A file of two columns whose schema says that it has so many, the first of them `elements` (Thrift)."""
    body = to_parquet(pa.table({"prediction": [1.0], "x": [1.0]}))
    size = int.from_bytes(body[-8:-4], "little")
    footer, root, order = body[-8 - size : -8], b"\x35\x00\x18\x06schema\x15", b"\x1c\x00\x00"
    schema, orders = b"\x19\x3c" + root + b"\x04\x00", b"\x19\x2c" + 2 * order
    assert footer.count(schema) == footer.count(orders) == 1
    of_elements = bytes([0x3C + (0x10 if elements else 0)])
    footer = footer.replace(schema, b"\x19" + of_elements + root + bytes([2 * columns, 0]) + elements)
    footer = footer.replace(orders, b"\x19" + bytes([16 * columns + 12]) + columns * order)
    return body[: -8 - size] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def test_row_groups_have_the_columns_of_the_schema(tmp_path: Path) -> None:
    assert decode_file(with_schema(2)).rows == 1
    fewer, more = with_schema(1), with_schema(3, b"\x15\x0a\x25\x02\x18\x01y\x00")
    for damaged in fewer, more:
        with pytest.raises(MalformedError, match="other columns than its schema"):
            decode_file(damaged)
        file = tmp_path / "reference.parquet"
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match="other columns than its schema"):
            ColumnFile(file)


def test_a_file_that_becomes_shorter_while_it_is_read_is_refused(tmp_path: Path) -> None:
    # Others write it. Where it was mapped into memory this ended the process.
    file = tmp_path / "reference.parquet"
    file.write_bytes(to_parquet(table_of(pa.array(np.random.default_rng(1).random(100_000)))))
    with file.open("rb", buffering=0) as stream:
        body = FileBytes(stream)
        groups = read_groups(body, FILE_BOUNDS)
        assert read_pages(body, groups, FILE_BOUNDS)
        os.truncate(file, 1000)
        with pytest.raises(ValueError, match="shorter"):
            read_pages(body, groups, FILE_BOUNDS)

"""Parquet bodies are read from whatever writes them, and unpack to no more than is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from exporter.errors import MalformedError, TooLargeError
from exporter.formats.batch import Batch
from exporter.formats.columns import Mixed
from exporter.formats.parquet import column_leaves, without_unused
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
        {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}},
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


def test_columns_are_found_by_the_numbers_of_their_leaves() -> None:
    schema = pa.schema(
        {
            "a": pa.int8(),
            "b": pa.struct({"c": pa.string(), "d": pa.struct({"e": pa.int8(), "f": pa.int8()})}),
            "g": pa.list_(pa.map_(pa.string(), pa.int8())),
            "h": pa.null(),
        }
    )
    found = {field.name: list(leaves) for field, leaves in column_leaves(schema)}
    assert found == {"a": [0], "b": [1, 2, 3], "g": [4, 5], "h": [6]}


def test_entries_of_a_dictionary_that_are_not_in_use_are_dropped() -> None:
    array = pa.array(["a", "b", None, "c", "b"]).dictionary_encode().take(pa.array([4, 2, 3]))
    found = without_unused(array)
    assert found.to_pylist() == ["b", None, "c"]
    assert sorted(found.dictionary.to_pylist()) == ["b", "c"]

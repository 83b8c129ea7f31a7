"""Columns of every Arrow type."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.formats.arrow_columns import from_arrow, text_bytes
from exporter.formats.columns import (
    OPAQUE,
    Texts,
    Times,
)
from exporter.formats.raw import ARROW_TYPE, PARQUET_TYPE
from tests.support.documents import decode_table, table_with
from tests.support.wire import listed

INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


DECIMALS = [pa.decimal32(5, 2), pa.decimal64(10, 2), pa.decimal128(20, 2), pa.decimal256(50, 2)]


@pytest.mark.parametrize("kind", [*INTEGERS, *DECIMALS, pa.float16(), pa.float32(), pa.float64()], ids=str)
def test_numbers_of_any_width_are_numbers(kind: pa.DataType) -> None:
    sevens = (
        pa.array([Decimal(7), None], kind) if pa.types.is_decimal(kind) else pa.array([7, None]).cast(kind)
    )
    batch = decode_table(table_with(x=sevens))

    assert listed(batch.features["x"]) == [7.0, None]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_texts_in_any_layout_are_texts(kind: pa.DataType) -> None:
    texts = pa.array(["a", None]).cast(kind)
    words = pa.array(["unused", None, "a", "b"]).cast(kind)
    encoded = pa.DictionaryArray.from_arrays(pa.array([2, 1], pa.uint8()), words)
    batch = decode_table(table_with(x=texts, y=encoded))

    assert listed(batch.features["x"]) == ["a", None]
    assert listed(batch.features["y"]) == ["a", None]


def test_a_dictionary_of_numbers_is_numbers() -> None:
    numbers = pa.DictionaryArray.from_arrays(pa.array([1, None]), pa.array([2.5, 7.5]))

    assert listed(decode_table(table_with(x=numbers)).features["x"]) == [7.5, None]


def test_a_column_of_nulls_is_missing_everywhere() -> None:
    assert listed(decode_table(table_with(x=pa.nulls(2))).features["x"]) == [None, None]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([[1], None]),
        pa.array([{"a": 1}, None]),
        pa.array([b"bytes", None]),
        pa.array([b"four", None], pa.binary(4)),
        pa.array([b"bytes", None], pa.binary_view()),
        pa.array([[(1, 2)], None], pa.map_(pa.int8(), pa.int8())),
        pa.array([1, None], pa.duration("s")),
        pa.array([1, None], pa.time32("s")),
        pa.DictionaryArray.from_arrays(pa.array([0, None]), pa.array([b"bytes"])),
    ],
    ids=lambda array: str(array.type),
)
@pytest.mark.parametrize("content_type", [ARROW_TYPE, PARQUET_TYPE])
def test_what_is_neither_number_nor_text_nor_date_is_not_looked_into(
    array: pa.Array, content_type: str
) -> None:
    values = decode_table(table_with(x=array), content_type).features["x"]

    assert listed(values) == [OPAQUE, None]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York", "Mars/Olympus"])
def test_times_of_any_unit_and_zone_are_times(unit: str, zone: str | None) -> None:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    half = 1_800_000_000 * per_second + per_second // 2
    times = pa.array([half, None], pa.timestamp(unit, zone))
    batch = decode_table(table_with(seen=times, timestamp=times))

    seen = batch.features["seen"]
    assert isinstance(seen, Times)
    fraction = 0.0 if unit == "s" else 0.5
    for seconds in (seen.seconds, batch.timestamps):
        assert seconds[0] == 1_800_000_000 + fraction
        assert math.isnan(seconds[1])
    assert batch.naive_timestamps == (zone is None)


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()], ids=str)
def test_a_date_is_its_midnight(kind: pa.DataType) -> None:
    batch = decode_table(table_with(timestamp=pa.array([date(2026, 11, 23), None], kind)))

    assert batch.timestamps[0] == datetime(2026, 11, 23, tzinfo=UTC).timestamp()
    assert batch.naive_timestamps == 1


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_as_far_as_arrow_goes_are_times(unit: str) -> None:
    batch = decode_table(table_with(timestamp=pa.array([2**63 - 1, -(2**63) + 1], pa.timestamp(unit))))

    assert (np.sign(batch.timestamps) == [1, -1]).all()


def test_parts_of_a_stream_may_have_dictionaries_of_their_own() -> None:
    parts = [table_with(x=pa.array(words).dictionary_encode()) for words in (["a", "b"], ["b", "c"])]
    batch = decode_table(pa.concat_tables(parts))

    assert listed(batch.features["x"]) == ["a", "b", "b", "c"]


def test_a_list_in_another_layout_is_not_looked_into() -> None:
    lists = pa.array([[1], None], pa.list_view(pa.int8()))  # which Parquet cannot hold

    assert listed(decode_table(table_with(x=lists)).features["x"]) == [OPAQUE, None]


@given(
    st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=3), min_size=1), st.data()
)
def test_arrow_texts_say_the_same_in_every_layout(rows: list[str | None], data: st.DataObject) -> None:
    plain = pa.array(rows, pa.string())
    start = data.draw(st.integers(0, len(rows) - 1))
    for array in (
        plain,
        plain.cast(pa.large_string()),
        plain.cast(pa.string_view()),
        plain.dictionary_encode(),
        plain.dictionary_encode(null_encoding="encode"),
        pa.chunked_array([plain.slice(0, start), plain.slice(start)]),
        pa.chunked_array([plain.slice(0, start).dictionary_encode(), plain.slice(start).dictionary_encode()]),
    ):
        found = from_arrow(array)
        assert isinstance(found, Texts)
        assert found.rows() == rows
        sliced = from_arrow(array.slice(start))
        assert isinstance(sliced, Texts)
        assert sliced.rows() == rows[start:]


@given(
    st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)), st.integers(0, 3)
)
def test_bytes_of_texts_are_counted_as_often_as_they_are_referred_to(
    rows: list[str | None], start: int
) -> None:
    plain = pa.array(rows, pa.string())
    wanted = sum(len((text or "").encode()) for text in rows[start:])

    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        assert text_bytes(pa.chunked_array([plain.cast(kind).slice(start)])) == wanted
    encoded = plain.dictionary_encode()
    entries = sum(len(text.encode()) for text in encoded.dictionary.to_pylist())
    assert text_bytes(pa.chunked_array([encoded.slice(start)])) == wanted + entries
    assert text_bytes(pa.chunked_array([[1, 2]])) == 0


def test_what_is_nested_is_not_looked_into_however_many_parts_it_has() -> None:
    parts = [pa.array([["a"], None]).cast(pa.list_(pa.dictionary(pa.int8(), pa.string()))) for _ in range(2)]

    assert listed(from_arrow(pa.chunked_array(parts))) == [OPAQUE, None, OPAQUE, None]

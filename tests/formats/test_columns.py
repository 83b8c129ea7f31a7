"""Columns in their normal form: what can be done with them without knowing where they came from."""

from __future__ import annotations

import math

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
    Values,
    encode_texts,
    from_python,
    read_numbers,
    read_times,
    take_rows,
)
from tests.support.wire import listed


@given(st.lists(st.none() | st.text(max_size=3)))
def test_texts_are_kept_once_and_told_row_by_row(rows: list[str | None]) -> None:
    texts = encode_texts(rows)

    assert texts.rows() == rows
    assert len(texts) == len(rows)
    assert len(texts.texts) == len(set(rows) - {None})


@given(st.lists(st.none() | st.sampled_from("abc"), min_size=1), st.data())
def test_taken_rows_bring_only_the_texts_that_they_use(rows: list[str | None], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1)))
    taken = take_rows(encode_texts(rows), np.array(chosen, np.int64))

    assert isinstance(taken, Texts)
    assert taken.rows() == [rows[k] for k in chosen]
    assert set(taken.texts) == {rows[k] for k in chosen} - {None}


def test_rows_can_be_taken_from_every_form() -> None:
    rows = np.array([2, 0])
    numbers = take_rows(np.array([1.0, 2.0, 3.0]), rows)
    times = take_rows(Times(np.array([1.0, 2.0, 3.0]), naive=True), rows)

    assert isinstance(numbers, np.ndarray)
    assert numbers.tolist() == [3.0, 1.0]
    assert isinstance(times, Times)
    assert (times.seconds.tolist(), times.naive) == ([3.0, 1.0], True)
    assert listed(take_rows(from_python([1, "a", None]), rows)) == [None, 1]


@pytest.mark.parametrize(
    ("values", "numbers", "wrong"),
    [
        (np.array([1.0, math.nan]), [1.0, math.nan], []),
        (encode_texts(["a", None]), [math.nan, math.nan], [0]),
        (Times(np.array([1.0, math.nan])), [math.nan, math.nan], [0]),
        (
            from_python([1, "1", None, True, 2**63, -math.inf, []]),
            [1, math.nan, math.nan, 1, 2.0**63, -math.inf, math.nan],
            [1, 6],
        ),
    ],
    ids=["numbers", "texts", "times", "mixed"],
)
def test_numbers_are_read_and_what_is_none_is_told(
    values: Values, numbers: list[float], wrong: list[int]
) -> None:
    found, mismatched = read_numbers(values)

    np.testing.assert_array_equal(found, numbers)
    assert mismatched.tolist() == wrong


def test_times_are_read_and_what_is_none_is_told() -> None:
    moments = read_times(
        encode_texts(["1970-01-01T00:01Z", "soon", None, "1970-01-01T00:02", "1970-01-01T00:02"])
    )

    np.testing.assert_array_equal(moments.seconds, [60.0, math.nan, math.nan, 120.0, 120.0])
    assert (moments.naive, moments.wrong.tolist()) == (2, [1])

    moments = read_times(from_python([60, "1970-01-01T00:02Z", None, [], "soon", "1970-01-01", "60"]))
    np.testing.assert_array_equal(moments.seconds, [60.0, 120.0, *[math.nan] * 3, 0.0, math.nan])
    assert (moments.naive, moments.wrong.tolist()) == (1, [3, 4, 6])


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


def test_no_rows_are_no_values_of_any_form() -> None:
    for kind in (pa.int64(), pa.string(), pa.timestamp("s"), pa.null(), pa.list_(pa.int8())):
        assert len(from_arrow(pa.chunked_array([], kind))) == 0
    assert len(from_python([])) == 0

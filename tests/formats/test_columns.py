"""Columns in their normal form: what can be done with them without knowing where they came from."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.formats.arrow_columns import from_arrow
from exporter.formats.columns import (
    Texts,
    Times,
    Values,
    canonical_texts,
    encode_texts,
    from_python,
    read_numbers,
    read_times,
    take_rows,
    text_hash,
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


def test_no_rows_are_no_values_of_any_form() -> None:
    for kind in (pa.int64(), pa.string(), pa.timestamp("s"), pa.null(), pa.list_(pa.int8())):
        assert len(from_arrow(pa.chunked_array([], kind))) == 0
    assert len(from_python([])) == 0


def test_texts_of_rows_are_none_where_there_is_no_scalar() -> None:
    assert canonical_texts(from_python(["a", None])).rows() == ["a", None]
    assert canonical_texts(from_python([1, True, None, 0.5])).rows() == ["1", "1", None, "0.5"]
    assert canonical_texts(from_python(["a", 1, [1], None])).rows() == ["a", "1", None, None]
    assert canonical_texts(Times(np.array([1.0, np.nan]))).rows() == [None, None]


def test_a_hash_is_the_same_in_every_process() -> None:
    assert text_hash("DE") == 9959812178581712345
    assert text_hash("\ud800") != text_hash("\udc00")

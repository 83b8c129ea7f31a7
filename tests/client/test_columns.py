"""Columns of rows, and what is hashed of them."""

from __future__ import annotations

import pytest

from exporter.client import hash_value
from exporter.client.columns import ColumnRules, Columns

FIRST = Columns(2, {"prediction": [1, 0], "id": ["a", "b"]}, {"age": [40, 41]})
SECOND = Columns(1, {"prediction": [1]}, {"age": [42], "country": ["FR"]})


def test_columns_are_joined_with_missing_values() -> None:
    joined = Columns.join([FIRST, SECOND])
    assert joined.rows == 3
    assert joined.own == {"prediction": [1, 0, 1], "id": ["a", "b", None]}
    assert joined.features == {"age": [40, 41, 42], "country": [None, None, "FR"]}


def test_rows_are_taken_and_cut() -> None:
    assert FIRST.take([1]) == FIRST.cut(1, 9) == Columns(1, {"prediction": [0], "id": ["b"]}, {"age": [41]})


def test_columns_of_another_length_are_told() -> None:
    with pytest.raises(ValueError, match="1 values of `age`, in 2 rows"):
        Columns(2, {"prediction": [1, 0]}, {"age": [1]}).check()


def test_a_hash_depends_on_the_key_and_the_column_and_not_on_the_notation() -> None:
    assert hash_value(b"k", "email", "a@b") == "606859d867158169"
    assert len({hash_value(b"k", "plan", value) for value in (1, 1.0, True, "1")}) == 1
    assert hash_value(b"k", "plan", "1") != hash_value(b"q", "plan", "1")
    assert hash_value(b"k", "plan", "1") != hash_value(b"k", "tier", "1")
    assert hash_value(b"k", "plan", None) is None
    rules = ColumnRules(hashed={"plan"}, key=b"k")
    one = hash_value(b"k", "plan", 1)
    assert rules.hash("plan", [1, None, [], "1"]) == [one, None, None, one]

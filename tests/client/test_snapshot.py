"""Copies of features, in every form that services have them in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pydantic import BaseModel

from exporter.client.snapshot import (
    copy_features,
    copy_value,
    features_by_name,
    own_columns,
    rows_by_name,
)

NAMES = ("age", "income")
ROWS = [{"age": 40, "income": 1.5}, {"age": 41, "income": 2.5}]
COLUMNS = {"age": [40, 41], "income": [1.5, 2.5]}


class Person(BaseModel):
    age: int
    income: float


MANY: dict[str, Callable[[], Any]] = {
    "dictionaries": lambda: [dict(row) for row in ROWS],
    "lists": lambda: [list(row.values()) for row in ROWS],
    "tuples": lambda: [tuple(row.values()) for row in ROWS],
    "arrays": lambda: [np.array([*row.values()]) for row in ROWS],
    "models": lambda: [Person(**row) for row in ROWS],
    "2-d array": lambda: np.array([[40, 1.5], [41, 2.5]]),
    "pandas": lambda: pd.DataFrame(ROWS),
    "polars": lambda: pl.DataFrame(ROWS),
    "pyarrow table": lambda: pa.table(COLUMNS),
    "pyarrow batch": lambda: pa.RecordBatch.from_pydict(COLUMNS),
}
ONE: dict[str, Callable[[], Any]] = {
    "dictionary": lambda: dict(ROWS[0]),
    "mapping": lambda: OrderedDict(ROWS[0]),
    "list": lambda: [40, 1.5],
    "1-d array": lambda: np.array([40, 1.5]),
    "series": lambda: pd.Series(ROWS[0]),
    "model": lambda: Person(**ROWS[0]),
}


@pytest.mark.parametrize("form", MANY)
def test_many_rows_become_columns(form: str) -> None:
    copied = copy_features(MANY[form](), NAMES)
    assert (copied.single, copied.rows) == (False, 2)
    assert copied.size_bytes > 0
    assert features_by_name(copied.content, NAMES) == COLUMNS


@pytest.mark.parametrize("form", ONE)
def test_one_row_becomes_columns(form: str) -> None:
    copied = copy_features(ONE[form](), NAMES)
    assert (copied.single, copied.rows) == (True, 1)
    assert rows_by_name([copied.content], NAMES) == {"age": [40], "income": [1.5]}


def test_what_the_caller_changes_afterwards_is_not_sent() -> None:
    row, rows, array, frame = dict(ROWS[0]), [dict(ROWS[0])], np.array([[40, 1.5]]), pd.DataFrame(ROWS[:1])
    copies = [copy_features(each, NAMES).content for each in (row, rows, array, frame)]
    row["age"], rows[0]["age"], array[0, 0] = -1, -1, -1
    frame.loc[0, "age"] = -1
    assert copies[0]["age"] == copies[1][0]["age"] == copies[2][0, 0] == copies[3]["age"][0] == 40


def test_columns_without_names_are_numbered() -> None:
    assert features_by_name(np.array([[4, 5]]), ()) == {"0": [4], "1": [5]}
    assert features_by_name(pd.DataFrame(np.array([[4, 5]])), ()) == {"0": [4], "1": [5]}
    assert rows_by_name([[4, 5], [6, 7]], ()) == {"0": [4, 6], "1": [5, 7]}


def test_rows_of_different_columns_have_missing_values() -> None:
    rows = [{"age": 1}, {"income": 2}, [3, 4]]
    assert rows_by_name(rows, NAMES) == {"age": [1, None, 3], "income": [None, 2, 4]}


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (np.zeros((1, 2, 3)), "an array of 3 dimensions"),
        (np.zeros(3), "3 values do not fit the 2 `feature_names`"),
        ([1, 2, 3], "3 values does not fit the 2 `feature_names`"),
        (pl.LazyFrame(ROWS), "of type LazyFrame"),
        ("text", "of type str"),
        (None, "of type NoneType"),
        ([pd.DataFrame(ROWS)], "a list of tables"),
        ([{"age": 1}, None], "of type NoneType"),
    ],
    ids=["3-d", "wide array", "wide list", "lazy", "text", "none", "tables", "none among rows"],
)
def test_what_is_no_row_is_told(features: object, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        copy_features(features, NAMES)


def test_the_size_counts_long_texts() -> None:
    text = "x" * 10_000
    for features in ({"a": text}, [{"a": text}], pd.DataFrame({"a": [text]}), pl.DataFrame({"a": [text]})):
        assert 10_000 < copy_features(features, ()).size_bytes < 30_000


def test_nested_values_do_not_wait_in_memory() -> None:
    nested = {"a": [1] * 9, "b": np.zeros(9), "c": {"d": "x" * 9}, "e": np.float32(1)}
    for features in (nested, [nested]):
        content = copy_features(features, ()).content
        assert (content if isinstance(content, dict) else content[0]) == {"a": [], "b": [], "c": [], "e": 1}


def test_a_list_of_scalars_of_any_library_is_a_row() -> None:
    for row in (list(np.array([40, 1.5])), [np.int64(40), None], [Decimal(40), 1], [np.datetime64("NaT"), 1]):
        copied = copy_features(row, NAMES)
        assert (copied.single, copied.rows, len(copied.content)) == (True, 1, 2)
    assert copy_features([], NAMES).rows == 0


def test_the_answer_of_a_model_for_one_row_is_unwrapped() -> None:
    for answer in (1, [1], np.array([1]), np.array([[1]]), pd.Series([1])):
        assert copy_value(answer) == 1
    assert copy_value(np.array([[0.25, 0.75]])) == [0.25, 0.75]
    assert copy_value({"a": 0.5}) == {"a": 0.5}
    assert copy_value(np.array([0.5])) == 0.5


def test_columns_of_many_rows_are_of_their_number() -> None:
    own = own_columns(
        2,
        prediction=np.array([[1], [0]]),
        score=pd.DataFrame({"no": [0.25, 0.5], "yes": [0.75, 0.5]}),
        latency_seconds=0.5,
        id=None,
    )
    assert own == {
        "prediction": [1, 0],
        "score": [{"no": 0.25, "yes": 0.75}, {"no": 0.5, "yes": 0.5}],
        "latency_seconds": [0.5, 0.5],
    }
    assert own_columns(2, prediction=None) == {"prediction": [None, None]}
    assert own_columns(1, prediction=1, score=[0.25, 0.75]) == {"prediction": [1], "score": [[0.25, 0.75]]}
    with pytest.raises(ValueError, match="features of 2 rows, and 3 values of `prediction`"):
        own_columns(2, prediction=[1, 2, 3])

"""Tables of users' data: kinds of frames, the row's own columns, samples, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import exporter.training.frames
from exporter.errors import ReferenceInvalidError
from exporter.training.frames import read_data

COLUMNS = {"age": [41.0, 52.0, None], "country": ["DE", "FR", "DE"], "late": [0, 1, 0]}
FRAMES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(COLUMNS, index=[7, 8, 9]),
    "pandas with Arrow types": lambda: pd.DataFrame(COLUMNS).convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "Arrow table": lambda: pa.table(COLUMNS),
    "Arrow batch": lambda: pa.RecordBatch.from_pydict(COLUMNS),
    "Arrow stream": lambda: pa.table(COLUMNS).to_reader(),
    "columns": lambda: COLUMNS,
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_kind_of_frame_gives_the_same_table(kind: str) -> None:
    found = read_data(FRAMES[kind](), {"target": "late"}, 1000)
    assert found.table.to_pydict() == COLUMNS
    assert (found.named, found.notes) == ({"target": "late"}, ())


def test_columns_of_an_array_are_numbered_as_mlflow_does() -> None:
    found = read_data(np.arange(6.0).reshape(3, 2), {}, 1000)
    assert found.table.to_pydict() == {"0": [0.0, 2.0, 4.0], "1": [1.0, 3.0, 5.0]}


VALUES: dict[str, Callable[[list[int]], Any]] = {
    "list": list,
    "array": np.array,
    "column of an array": lambda values: np.array(values)[:, None],
    "pandas": lambda values: pd.Series(values, index=[7, 8, 9]),
    "polars": pl.Series,
    "Arrow": pa.array,
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_become_columns_with_the_usual_names(kind: str) -> None:
    given = VALUES[kind]([1, 0, 1])
    found = read_data(FRAMES["pandas"](), {"target": "late", "prediction": given, "score": None}, 1000)
    assert found.table.column("prediction").to_pylist() == [1, 0, 1]
    assert found.named == {"target": "late", "prediction": "prediction"}


def test_scores_by_class_become_lists() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    found = read_data(FRAMES["pandas"](), {"score": scores}, 1000)
    assert found.table.column("score").to_pylist() == scores.tolist()


def test_a_target_keeps_its_name_and_a_feature_its_own() -> None:
    target = pd.Series([1, 0, 1], index=[7, 8, 9], name="is_fraud")
    data = FRAMES["pandas"]().assign(score=[1.0, 2.0, 3.0])
    found = read_data(data, {"target": target, "score": [0.1, 0.2, 0.3]}, 1000)
    assert found.named == {"target": "is_fraud", "score": "model_score"}
    assert found.table.column("score").to_pylist() == [1.0, 2.0, 3.0]
    derived = read_data(data, {"target": data["late"] + 1}, 1000)  # a feature gave it its name
    assert (derived.named, derived.table.column("label").to_pylist()) == ({"target": "label"}, [1, 2, 1])
    same = read_data(data, {"target": data["late"]}, 1000)  # which the data has already
    assert (same.named, same.table.column_names) == ({"target": "late"}, list(data.columns))


def test_more_rows_than_wanted_are_sampled_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"x": list(range(1000)), "y": [0.5] * 1000}
    found = read_data(data, {"prediction": list(range(1000))}, 100)
    numbers = found.table.column("x").to_pylist()
    assert (len(numbers), sorted(set(numbers))) == (100, numbers)
    assert found.table.column("prediction").to_pylist() == numbers
    assert found.notes == ("a uniform sample of 100 of 1,000 rows is logged",)
    monkeypatch.setattr(exporter.training.frames, "MAX_CELLS", 50)  # as the exporter reads of wide data
    assert read_data(data, {}, 1000).table.num_rows == 25


LONG = pd.DataFrame({"x": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("data", "own", "message"),
    [
        (LONG, {"target": "y"}, "the data has no column 'y', which is to be the target; it has x"),
        (LONG, {"target": [1]}, "there are 1 values of the target for 2 rows of data"),
        (LONG, {"target": pd.Series([1, 0], index=[1, 0])}, "other row labels"),
        (LONG, {"target": "x", "score": "x"}, "column x cannot be the target and the score at once"),
        (LONG.assign(x=["a", 2]), {}, "column x holds values that Parquet has no one type for"),
        (LONG[:0], {}, "the data has no rows"),
        (LONG[[]], {}, "the data has no columns"),
        (pd.concat([LONG, LONG], axis=1), {}, "the data has several columns named x"),
        (pl.LazyFrame({"x": [1]}), {}, "LazyFrame is no table.*; collect it first"),
        (7, {}, "a builtins.int is no table"),
        ({"x": [1, 2], "y": [1]}, {}, "the data cannot be made an Arrow table"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_told(data: Any, own: dict[str, Any], message: str) -> None:
    with pytest.raises(ReferenceInvalidError, match=message):
        read_data(data, own, 1000)

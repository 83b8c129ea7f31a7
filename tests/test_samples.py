"""What is taken, in which formats, and what is refused and where."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.binning import bin_batch
from exporter.columns import Texts, Values
from exporter.identity import payload_hashes
from exporter.reference import Column, Kind, Reference
from exporter.samples import ARROW_TYPE, PARQUET_TYPE, Batch, Target
from tests.wire import FORMATS, QUERY, Predictions, decode, decode_as, to_parquet, to_stream

ROW = {"features": {"age": 41}, "prediction": 1}


def rows(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "fraud", "version": "3", "predictions": list(rows), **more}


def columns(**columns: Any) -> dict[str, Any]:
    return {"model": "fraud", "version": "3", "columns": columns}


def split(**more: Any) -> dict[str, Any]:
    table = {"columns": ["age"], "data": [[41], [27]]}
    return {"model": "fraud", "version": "3", "dataframe_split": table, "predictions": [1, 0], **more}


def decode_table(table: pa.Table, content_type: str = ARROW_TYPE) -> Batch:
    body = to_parquet(table) if content_type == PARQUET_TYPE else to_stream(table)
    return decode(body, None, content_type, **QUERY)


def table_with(**columns: pa.Array) -> pa.Table:
    """Two rows with a feature and a prediction, and what else is given."""
    return pa.table({"age": pa.array([41, 27]), "prediction": pa.array([1, 0]), **columns})


def listed(values: Values | None) -> list[object]:
    """A column as a list, None for what is missing."""
    if values is None:
        return []
    if isinstance(values, Texts):
        return [*values.rows()]
    if isinstance(values, np.ndarray):
        return [None if math.isnan(value) else value for value in values.tolist()]
    assert isinstance(values, list)
    return values


# -- what is taken ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same_columns(form: str) -> None:
    batch = decode_as(
        form,
        Predictions(
            features={
                "age": [41, None],
                "amount": [0.5, 1e300],
                "country": ["DE", None],
                "new": [True, False],
            },
            prediction=[1, 0],
            own={
                "id": ["a1", "a2"],
                "timestamp": ["2026-11-23T10:00:00Z", "2026-11-23T11:00:00+01:00"],
                "score": [0.93, 0.1],
                "latency_seconds": [0.012, None],
            },
        ),
    )

    assert batch.target == Target("fraud", "3")
    assert batch.rows == 2
    assert {name: listed(values) for name, values in batch.features.items()} == {
        "age": [41.0, None],
        "amount": [0.5, 1e300],
        "country": ["DE", None],
        "new": [1.0, 0.0],
    }
    assert listed(batch.prediction) == [1.0, 0.0]
    assert listed(batch.score) == [0.93, 0.1]
    assert batch.ids == ["a1", "a2"]
    moment = datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()
    assert batch.timestamps.tolist() == [moment, moment]
    assert batch.naive_timestamps == 0
    assert batch.latency is not None
    assert listed(batch.latency) == [0.012, None]


@pytest.mark.parametrize("form", FORMATS)
def test_features_and_prediction_are_enough(form: str) -> None:
    batch = decode_as(form, Predictions({"age": [41]}, ["yes"]))

    assert (batch.ids, batch.score, batch.latency) == (None, None, None)
    assert np.isnan(batch.timestamps).all()
    assert listed(batch.prediction) == ["yes"]


def test_rows_may_differ_in_their_columns() -> None:
    batch = decode(rows({"features": {"a": 1}, "prediction": 0}, {"features": {"b": "x"}, "prediction": 0}))

    assert {name: listed(values) for name, values in batch.features.items()} == {
        "a": [1.0, None],
        "b": [None, "x"],
    }


def test_an_alias_may_stand_for_a_version() -> None:
    document = rows(ROW) | {"alias": "champion"}
    del document["version"]

    assert decode(document).target == Target("fraud", alias="champion")


def test_a_version_may_be_a_number() -> None:
    assert decode(rows(ROW, version=3)).target == Target("fraud", "3")


def test_numbers_in_any_notation_are_one_value() -> None:
    batch = decode(columns(features={"x": [1, 1.0, True, None]}, prediction=[0, 0.0, False, None]))

    assert listed(batch.features["x"]) == [1.0, 1.0, 1.0, None]
    assert listed(batch.prediction) == [0.0, 0.0, 0.0, None]


def test_mixed_types_are_kept_as_they_are() -> None:
    mixed = [1, "1", None, [1], {"a": 1}, True]

    assert decode(columns(features={"x": mixed}, prediction=[0] * 6)).features["x"] == mixed


def test_nan_and_infinity_are_taken_as_python_writes_them() -> None:
    body = b'{"model": "fraud", "version": "3", "columns": {'
    batch = decode(
        body + b'"features": {"x": [NaN, Infinity, -Infinity, 1e999]}, "prediction": [NaN, 1, 1, 1]}}'
    )

    assert listed(batch.features["x"]) == [None, math.inf, -math.inf, math.inf]
    assert listed(batch.prediction) == [None, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("digits", [20, 310, 4300])
def test_huge_integers_are_values_like_others(digits: int) -> None:
    batch = decode(columns(features={"x": [int("9" * digits), 1]}, prediction=[0, 0]))

    assert len(batch.features["x"]) == 2


def test_integers_beyond_the_precision_of_a_float_stay_apart() -> None:
    neighbours = [2**53, 2**53 + 1, -(2**63), None]

    assert listed(decode(columns(features={"x": neighbours}, prediction=[0] * 4)).features["x"]) == neighbours
    table = table_with(x=pa.array(neighbours[1:3]), y=pa.array([2**64 - 1, None], pa.uint64()))
    batch = decode_table(table)
    assert (batch.features["x"], batch.features["y"]) == (neighbours[1:3], [2**64 - 1, None])


def test_characters_that_json_can_only_escape_are_kept_in_values() -> None:
    body = b'{"model": "fraud", "version": "3", "columns": {"features": {"x": ["\\ud800", "a\\u0000b"]},'

    batch = decode(body + b' "id": ["\\udfff", "\\u0000"], "prediction": [1, 1]}}')

    assert listed(batch.features["x"]) == ["\ud800", "a\0b"]
    assert batch.ids == ["\udfff", "\0"]


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    body = b'{"model": "a", "model": "b", "version": "1", "predictions": '
    batch = decode(body + b'[{"features": {"x": 1, "x": 2}, "prediction": 1}]}')

    assert batch.target.model == "b"
    assert listed(batch.features["x"]) == [2.0]


def test_a_column_may_have_the_name_of_a_field_of_ours() -> None:
    assert listed(decode(rows({"features": {"id": 7}, "prediction": 1})).features["id"]) == [7.0]


def test_a_content_type_may_have_parameters_and_be_left_out() -> None:
    body = json.dumps(rows(ROW)).encode()

    for content_type in ("application/json; charset=utf-8", "Application/JSON", ""):
        assert decode(body, content_type=content_type).rows == 1


# -- one meaning in every format ----------------------------------------------------------------------------

NUMBERS = st.floats(width=64) | st.integers(-(2**53), 2**53)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(
    ["1", "01", "true", "a"]
)


def columns_of(count: int) -> st.SearchStrategy[list[object]]:
    """Values of one type, which every format can hold; some are missing."""
    kinds: list[st.SearchStrategy[Any]] = [
        st.floats(width=64),
        st.integers(-(2**53), 2**53),
        st.integers(-(2**63), 2**63 - 1),
        st.booleans(),
        TEXTS,
        st.none(),
    ]
    return st.one_of([st.lists(kind | st.none(), min_size=count, max_size=count) for kind in kinds])


@st.composite
def predictions(draw: st.DrawFn) -> Predictions:
    count = draw(st.integers(1, 6))
    names = draw(st.lists(st.sampled_from("abcdé"), min_size=1, max_size=4, unique=True))
    features = {name: draw(columns_of(count)) for name in names}
    own = {}
    if draw(st.booleans()):
        own["score"] = draw(columns_of(count))
    if draw(st.booleans()):
        own["id"] = [f"id {k}" for k in range(count)]
    return Predictions(features, draw(columns_of(count)), own)


def reference_of(kinds: dict[str, Kind]) -> Reference:
    edges, categories = np.array([-1.0, 0.0, 0.5, 1e6]), ("0", "1", "a", "true")
    columns = tuple(
        Column(name, "feature", kind, edges=edges, low=-1e9, high=1e9)
        if kind in ("number", "time")
        else Column(name, "feature", kind, categories=categories if kind == "category" else ("0", "1"))
        for name, kind in kinds.items()
    )
    columns += (Column("prediction", "prediction", "category", categories=categories),)
    columns += (Column("score", "score", "number", edges=edges, low=0.0, high=1.0),)
    return Reference(columns, np.zeros(0, np.int64), np.zeros((len(columns), 3)), 0, "", "tests")


@given(
    predictions(),
    st.fixed_dictionaries(
        {name: st.sampled_from(["number", "category", "boolean", "time"]) for name in "abcdé"}
    ),
)
def test_every_format_falls_into_the_same_cells_and_has_the_same_identity(
    predictions: Predictions, kinds: dict[str, Kind]
) -> None:
    reference = reference_of(kinds)
    batches = [decode_as(form, predictions) for form in FORMATS]
    binned = [bin_batch(reference, batch, np.full(batch.rows, 1.8e9)) for batch in batches]
    hashes = [payload_hashes(batch) for batch in batches]

    for batch, cells, payload in zip(batches[1:], binned[1:], hashes[1:], strict=True):
        assert batch.ids == batches[0].ids
        np.testing.assert_array_equal(cells.cells, binned[0].cells)
        np.testing.assert_array_equal(cells.standard, binned[0].standard)
        np.testing.assert_array_equal(cells.present, binned[0].present)
        np.testing.assert_array_equal(payload, hashes[0])

"""JSON in every form: what is read, and what is refused and where."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import MalformedError, RequestError
from exporter.formats.columns import OPAQUE
from exporter.formats.hashing import payload_hashes
from exporter.formats.json_forms import TARGET_KEYS
from exporter.payloads.columns import OWN_FIELDS
from exporter.payloads.invocations import FORMS as SERVER_FORMS
from exporter.reference.bins import ColumnKind
from tests.support.documents import ROW, columns, layout_of, refuse, rows, split
from tests.support.wire import (
    QUERY,
    bin_decoded,
    decode,
    listed,
)


def test_rows_may_differ_in_their_columns() -> None:
    batch = decode(rows({"features": {"a": 1}, "prediction": 0}, {"features": {"b": "x"}, "prediction": 0}))

    assert {name: listed(values) for name, values in batch.features.items()} == {
        "a": [1.0, None],
        "b": [None, "x"],
    }


def test_nan_and_infinity_are_taken_as_python_writes_them() -> None:
    body = b'{"model": "fraud", "version": "3", "columns": {'
    batch = decode(
        body + b'"features": {"x": [NaN, Infinity, -Infinity, 1e999]}, "prediction": [NaN, 1, 1, 1]}}'
    )

    assert listed(batch.features["x"]) == [None, math.inf, -math.inf, math.inf]
    assert listed(batch.prediction) == [None, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("digits", ["9" * 20, "9" * 310, "9" * 5000, "-" + "9" * 5000])
@pytest.mark.parametrize("other", ["1", "NaN"])
def test_integers_beyond_64_bits_are_numbers_like_others(digits: str, other: str) -> None:
    body = (
        '{"model": "fraud", "version": "3", "columns": {"features": {"x": [%s, %s]}, "prediction": [1, 1]}}'
    )
    values = decode((body % (digits, other)).encode()).features["x"]

    assert isinstance(values, np.ndarray)
    assert values[0] == float(digits)


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


@pytest.mark.parametrize(
    ("predictions", "prediction", "score"),
    [
        ([1, 0], [1, 0], []),
        ([{"prediction": 1, "score": 0.9}, {"prediction": 0, "score": 0.2}], [1, 0], [0.9, 0.2]),
        ({"prediction": [1, 0], "score": [0.9, 0.2]}, [1, 0], [0.9, 0.2]),
        ([[1], [0]], [1, 0], []),
        ([[2, 3], [4, 5]], [OPAQUE, OPAQUE], []),
    ],
    ids=["values", "rows", "columns", "lists of one", "lists of two"],
)
def test_an_answer_of_mlflows_scoring_server_may_have_any_of_its_forms(
    predictions: object, prediction: list[object], score: list[object]
) -> None:
    batch = decode(split(predictions=predictions, params={"threshold": 0.5}))

    assert (listed(batch.prediction), listed(batch.scores)) == (prediction, score)


def test_scores_beside_an_answer_come_before_those_in_it() -> None:
    batch = decode(split(predictions=[[0.2, 0.8], [0.9, 0.1]], score=[0.8, 0.1]))

    assert (listed(batch.prediction), listed(batch.scores)) == ([1, 0], [0.8, 0.1])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'"text"',
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"model": "fraud",}',
        b"[" * 100_000,
        b"[" * 2000 + b"]" * 2000,
        b'{"a":' * 100_000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    assert refuse(body) == (422, "")


def test_a_value_may_be_nested_as_deeply_as_json_can_be_read() -> None:
    body = b'{"model": "fraud", "version": "3", "columns": {"prediction": [1, 2], "features": {"x": [1, '
    batch = decode(body + b"[" * 900 + b"]" * 900 + b"]}}}")

    cells = bin_decoded(layout_of({"x": "category"}), batch, np.zeros(2)).cells
    assert cells[0].tolist() == [1, 7]
    assert len(payload_hashes(batch)) == 2


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"model": "fraud", "version": "3"}, ""),
        (rows(ROW) | columns(features={"x": [1]}, prediction=[1]), ""),
        (rows(), "predictions"),
        (rows() | {"predictions": {"features": {}}}, "predictions"),
        (rows() | {"predictions": None}, "predictions"),
        (rows(ROW, 7), "predictions[1]"),
        (rows(ROW, None), "predictions[1]"),
        (rows(ROW, []), "predictions[1]"),
        (rows(ROW, {"prediction": 1}), "predictions[1].features"),
        (rows({"features": [1], "prediction": 1}), "predictions[0].features"),
        (rows({"features": None, "prediction": 1}), "predictions[0].features"),
        (rows({"features": {}, "prediction": 1}), "predictions[0].features"),
        (rows(ROW, {"features": {"age": 1}}), "predictions[1].prediction"),
        (rows(ROW, ROW | {"id": ""}), "predictions[1].id"),
        (rows(ROW, ROW | {"id": "x" * 257}), "predictions[1].id"),
        (rows(ROW, ROW | {"id": int("9" * 257)}), "predictions[1].id"),
        (rows(ROW, ROW | {"id": 1.5}), "predictions[1].id"),
        (rows(ROW, ROW | {"id": 2**64}), "predictions[1].id"),
        (rows(ROW, ROW | {"id": float(2**54)}), "predictions[1].id"),
        (rows(ROW, ROW | {"id": math.inf}), "predictions[1].id"),
        (rows(ROW, ROW | {"id": True}), "predictions[1].id"),
        (rows(ROW, ROW | {"id": ["a"]}), "predictions[1].id"),
        (rows(ROW, ROW, ROW | {"latency_seconds": "fast"}), "predictions[2].latency_seconds"),
        (rows(ROW | {"latency_seconds": 1}, ROW | {"latency_seconds": []}), "predictions[1].latency_seconds"),
        (rows({"features": {"\ud800": 1}, "prediction": 1}), "predictions[0].features"),
    ],
    ids=str,
)
def test_rows_of_the_wrong_shape_are_refused_with_the_place(document: dict[str, Any], where: str) -> None:
    assert refuse(document) == (422, where)


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"prediction": [1]}, "columns.features"),
        ({"features": [], "prediction": [1]}, "columns.features"),
        ({"features": {}, "prediction": [1]}, "columns.features"),
        ({"features": {"x": [1]}}, "columns.prediction"),
        ({"features": {"x": [1]}, "prediction": None}, "columns.prediction"),
        ({"features": {"x": [1]}, "prediction": 1}, "columns.prediction"),
        ({"features": {"x": []}, "prediction": []}, "columns.prediction"),
        ({"features": {"x": [1], "y": 2}, "prediction": [1]}, "columns.features.y"),
        ({"features": {"x": [1], "y": {"0": 2}}, "prediction": [1]}, "columns.features.y"),
        ({"features": {"x": [1], "\ud800": 2}, "prediction": [1]}, "columns.features"),
        ({"features": {"x": [1, 2]}, "prediction": [1]}, "columns"),
        ({"features": {"x": [1]}, "prediction": [1], "id": ["a", "b"]}, "columns"),
        ({"features": {"x": [1]}, "prediction": [1], "score": 0.5}, "columns.score"),
        ({"features": {"x": [1, 1]}, "prediction": [1, 1], "id": ["a", ""]}, "columns.id[1]"),
        (
            {"features": {"x": [1, 1]}, "prediction": [1, 1], "latency_seconds": [1, {}]},
            "columns.latency_seconds[1]",
        ),
    ],
    ids=str,
)
def test_columns_of_the_wrong_shape_are_refused_with_the_place(given: dict[str, Any], where: str) -> None:
    assert refuse(columns(**given)) == (422, where)


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"dataframe_split": None}, "dataframe_split"),
        ({"dataframe_split": {"columns": ["age"]}}, "dataframe_split.data"),
        ({"dataframe_split": {"columns": "age", "data": [[1], [2]]}}, "dataframe_split.columns"),
        ({"dataframe_split": {"columns": [7.5], "data": [[1], [2]]}}, "dataframe_split.columns"),
        ({"dataframe_split": {"columns": [True], "data": [[1], [2]]}}, "dataframe_split.columns"),
        ({"dataframe_split": {"columns": [0, "0"], "data": [[1, 1], [2, 2]]}}, "dataframe_split.columns"),
        ({"dataframe_split": {"data": [1, 2]}}, "dataframe_split.columns"),
        ({"dataframe_split": {"data": [[1], [1, 2]]}}, "dataframe_split.data[1]"),
        ({"dataframe_split": {"data": [[1], [2]], "index": 7}}, "dataframe_split.index"),
        ({"dataframe_split": {"data": [[1], [2]], "index": [7]}}, "dataframe_split.index"),
        ({"dataframe_split": {"columns": [[]], "data": [[1], [2]]}}, "dataframe_split.columns"),
        ({"dataframe_split": {"columns": [], "data": [[], []]}}, "dataframe_split.columns"),
        ({"dataframe_split": {"columns": ["a", "a"], "data": [[1, 1], [2, 2]]}}, "dataframe_split.columns"),
        ({"dataframe_split": {"columns": ["a"], "data": []}}, "dataframe_split.data"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1], 2]}}, "dataframe_split.data[1]"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1], [1, 2]]}}, "dataframe_split.data[1]"),
        ({"predictions": None}, "predictions"),
        ({"predictions": [1]}, "predictions"),
        ({"predictions": {"prediction": [1]}}, "predictions"),
        ({"score": [0.5]}, "score"),
        ({"id": "a"}, "id"),
        ({"id": ["a", False]}, "id[1]"),
        ({"columns": {}}, ""),
    ],
    ids=str,
)
def test_a_split_of_the_wrong_shape_is_refused_with_the_place(more: dict[str, Any], where: str) -> None:
    assert refuse(split(**more)) == (422, where)


@pytest.mark.parametrize(
    ("request_to_server", "where"),
    [
        ({"dataframe_records": {"x": [1, 2]}}, "dataframe_records"),
        ({"dataframe_records": []}, "dataframe_records"),
        ({"dataframe_records": [{"x": 1}, [2]]}, "dataframe_records[1]"),
        ({"dataframe_records": [[1], [2]]}, "dataframe_records[0]"),
        ({"dataframe_records": [{"x": 1}]}, "predictions"),
        ({"dataframe_records": [{}, {}]}, "dataframe_records[0]"),
        ({"instances": {"x": [1, 2]}}, "instances"),
        ({"instances": [1, [2]]}, "instances[0]"),
        ({"instances": [{"x": 1}, 2]}, "instances[1]"),
        ({"instances": [[1], [1, 2]]}, "instances[1]"),
        ({"instances": [[], []]}, "instances"),
        ({"inputs": "text"}, "inputs"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": {"x": 1, "y": [1]}}, "inputs.x"),
        ({"inputs": {"x": [1, 2], "y": [1]}}, "inputs"),
        ({"inputs": {"x": []}}, "inputs"),
        ({"inputs": [[1, 2], [3, 4]], "instances": [[1, 2], [3, 4]]}, ""),
    ],
    ids=str,
)
def test_a_request_to_the_server_of_the_wrong_shape_is_refused_with_the_place(
    request_to_server: dict[str, Any], where: str
) -> None:
    document = {"model": "fraud", "version": "3", "predictions": [1, 0], **request_to_server}

    assert refuse(document) == (422, where)


@pytest.mark.parametrize(
    ("document", "where", "hint"),
    [
        (rows(ROW, timestamp="2026-11-23"), "timestamp", "did you mean `predictions[].timestamp`?"),
        (rows(ROW, ids=["a"]), "ids", "did you mean `predictions[].id`?"),
        (rows(ROW, model_version="3"), "model_version", "did you mean `version`?"),
        (rows(ROW, dataframe_spilt={}), "dataframe_spilt", "did you mean `dataframe_split`?"),
        (rows(ROW, params={}), "params", "known: alias, model, predictions, version"),
        (rows(ROW, ROW | {"lable": 1}), "predictions[1].lable", "did you mean `label`?"),
        (
            columns(features={"x": [1]}, prediction=[1]) | {"score": [0.5]},
            "score",
            "did you mean `columns.score`?",
        ),
        (
            columns(features={"x": [1]}, prediction=[1], scores=[0.5]),
            "columns.scores",
            "did you mean `score`?",
        ),
        (split(ids=["a", "b"]), "ids", "did you mean `id`?"),
        (split(timestamps=[1, 2]), "timestamps", "did you mean `timestamp`?"),
        (split(labels=[1, 2]), "labels", "did you mean `label`?"),
        (split(prediction=[1, 0]), "prediction", "did you mean `predictions`?"),
        (
            split(dataframe_split={"columns": ["x"], "data": [[1], [2]], "dtypes": {}}),
            "dataframe_split.dtypes",
            "known: columns, data, index",
        ),
        (
            split(dataframe_split={"column": ["x"], "data": [[1], [2]]}),
            "dataframe_split.column",
            "did you mean `columns`?",
        ),
        (
            {**QUERY, "dataframe_records": [{"x": 1}], "predictions": [1], "idx": ["a"]},
            "idx",
            "did you mean `id`?",
        ),
        ({**QUERY, "instances": [[1]], "prediction": [1]}, "prediction", "did you mean `predictions`?"),
        ({**QUERY, "inputs": {"x": [1]}, "predictions": [1], "latency": [1]}, "latency", "`latency_seconds`"),
        ({**QUERY, "input": {"x": [1]}}, "input", "did you mean `inputs`?"),
    ],
    ids=str,
)
def test_a_key_that_nothing_reads_is_refused_with_the_place_and_the_nearest(
    document: dict[str, Any], where: str, hint: str
) -> None:
    with pytest.raises(MalformedError) as error:
        decode(document)

    assert (error.value.where, error.value.detail.partition("; ")[0]) == (where, "unknown key")
    assert hint in error.value.detail


def test_columns_in_different_rows_are_refused_before_they_become_a_table() -> None:
    many = [{"features": {f"x{k}": 1}, "prediction": 1} for k in range(10_001)]

    assert refuse(rows(*many)) == (413, "predictions[499].features")
    assert refuse(rows(many[0] | {"features": {f"x{k}": 1 for k in range(10_001)}})) == (
        422,
        "predictions[0].features",
    )


DOCUMENT_KEYS = [*TARGET_KEYS, *SERVER_FORMS, "predictions", "columns", "data", "index", "features"]


KEYS = st.sampled_from([*DOCUMENT_KEYS, *OWN_FIELDS, "x", "\ud800", ""])


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["\udfff", "2026-11-23", 10**400, "3", "fraud"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


SOUND = st.sampled_from(
    [
        rows(ROW, ROW),
        columns(features={"x": [1, "a"]}, prediction=[0, 1]),
        split(),
        {**QUERY, "dataframe_records": [{"x": 1}, {"x": 2}], "predictions": [1, 0]},
        {**QUERY, "instances": [[1, "a"], [2, "b"]], "predictions": [1, 0]},
        {**QUERY, "inputs": {"x": [1, 2]}, "predictions": [1, 0], "id": ["a", "b"]},
    ]
)


@st.composite
def damaged_documents(draw: st.DrawFn) -> object:
    """A sound document in which something at some depth is something else."""
    document = json.loads(json.dumps(draw(SOUND)))
    place = document
    for _ in range(draw(st.integers(0, 4))):
        keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys)) if keys else draw(KEYS)
        inner = place[key] if keys else None
        if not isinstance(inner, dict | list) or draw(st.booleans()):
            if isinstance(place, dict) or keys:
                place[key] = draw(ANYTHING)
            break
        place = inner
    return document


@settings(max_examples=300)
@given(ANYTHING | damaged_documents())
def test_any_json_is_refused_or_read_and_never_worse(document: object) -> None:
    body = json.dumps(document).encode()
    try:
        batch = decode(body)
    except RequestError as error:
        json.dumps([error.detail, error.where], ensure_ascii=False).encode()  # it can be sent
        return
    kinds: dict[str, ColumnKind] = {"x": "number", "age": "category", "": "time"}
    cells = bin_decoded(layout_of(kinds), batch, np.zeros(batch.rows)).cells
    assert cells.shape == (5, batch.rows)
    assert len(payload_hashes(batch)) == batch.rows
    for name in batch.features:
        name.encode()

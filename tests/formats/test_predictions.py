"""What is taken, in which formats, and what is refused and where."""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
import warnings
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exporter.formats.limits
from exporter.errors import MalformedError, RequestError, UnsupportedError
from exporter.formats.columns import OPAQUE, Times
from exporter.formats.hashing import payload_hashes
from exporter.formats.json_forms import OWN_FIELDS, SERVER_FORMS, TARGET_KEYS
from exporter.formats.predictions import Batch, Target, decode_predictions
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE, PARQUET_TYPE
from exporter.reference.bins import BinLayout, Column, ColumnKind
from exporter.settings import Settings
from tests.support.wire import (
    FORMATS,
    QUERY,
    Predictions,
    bin_decoded,
    decode,
    decode_as,
    encode,
    listed,
    to_parquet,
    to_stream,
    type_of,
)

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
    assert listed(batch.scores) == [0.93, 0.1]
    assert batch.ids == ["a1", "a2"]
    moment = datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()
    assert batch.timestamps.tolist() == [moment, moment]
    assert batch.naive_timestamps == 0
    assert batch.latency is not None
    assert listed(batch.latency) == [0.012, None]


@pytest.mark.parametrize("form", FORMATS)
def test_features_and_prediction_are_enough(form: str) -> None:
    batch = decode_as(form, Predictions({"age": [41]}, ["yes"]))

    assert (batch.ids, batch.scores, batch.latency) == (None, None, None)
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


def test_numbers_and_texts_of_one_column_stay_apart() -> None:
    mixed = [1, "1", None, [1], {"a": 1}, True]
    values = decode(columns(features={"x": mixed}, prediction=[0] * 6)).features["x"]

    assert listed(values) == [1, "1", None, OPAQUE, OPAQUE, 1]


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


def test_integers_beyond_the_precision_of_a_float_stay_apart() -> None:
    neighbours = [2**53, 2**53 + 1, -(2**63), None]

    assert listed(decode(columns(features={"x": neighbours}, prediction=[0] * 4)).features["x"]) == neighbours
    table = table_with(x=pa.array(neighbours[1:3]), y=pa.array([2**64 - 1, None], pa.uint64()))
    batch = decode_table(table)
    assert (listed(batch.features["x"]), listed(batch.features["y"])) == (neighbours[1:3], [2**64 - 1, None])


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


@pytest.fixture(scope="module")
def scoring_server() -> ModuleType:
    """MLflow's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its type hints
        return importlib.import_module("mlflow.pyfunc.scoring_server")


@pytest.mark.parametrize(
    "request_to_server",
    [
        {"dataframe_split": {"columns": ["x", "y"], "data": [[1, "a"], [2, None]]}},
        {"dataframe_split": {"columns": ["x", "y"], "data": [[1, "a"], [2, "b"]], "index": [7, 9]}},
        {"dataframe_split": {"columns": [0, 1], "data": [[1, "a"], [2, "b"]]}},
        {"dataframe_split": {"columns": [10, "y"], "data": [[1, "a"], [2, "b"]], "index": None}},
        {"dataframe_split": {"data": [[1, "a"], [2, "b"]]}},
        {"dataframe_split": {"columns": None, "data": [[1.5], [None]]}},
        {"dataframe_records": [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]},
        {"dataframe_records": [{"x": 1}, {"y": "b"}]},
        {"instances": [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]},
        {"instances": [[1, 2.5], [3, 4]]},
        {"inputs": {"x": [1, 2], "y": ["a", "b"]}},
        {"inputs": [[1, 2.5], [3, 4]]},
    ],
    ids=str,
)
def test_what_mlflows_scoring_server_takes_is_taken_as_it_reads_it(
    scoring_server: ModuleType, request_to_server: dict[str, Any]
) -> None:
    frame = pd.DataFrame(scoring_server.infer_and_parse_data(request_to_server))
    batch = decode({**QUERY, **request_to_server, "predictions": [1, 0], "id": ["a", "b"], "score": [0.5, 1]})

    assert (batch.ids, listed(batch.prediction), listed(batch.scores)) == (["a", "b"], [1, 0], [0.5, 1])
    assert {name: listed(values) for name, values in batch.features.items()} == {
        str(name): [None if pd.isna(value) else value for value in column.tolist()]
        for name, column in frame.items()
    }


@pytest.mark.parametrize("content_type", [ARROW_TYPE, PARQUET_TYPE])
@pytest.mark.parametrize("index", [["a"], [("a", 1)]], ids=str)
def test_an_index_that_pandas_writes_along_is_no_column(content_type: str, index: list[Any]) -> None:
    frame = pd.DataFrame({"x": [1.5], "prediction": [1]}, index=pd.Index(index))
    nested = pa.Table.from_pandas(pd.DataFrame({"features": [{"x": 1.5}], "prediction": [1]}, index=[7]))

    assert set(decode_table(pa.Table.from_pandas(frame), content_type).features) == {"x"}
    assert set(decode_table(nested.slice(0), content_type).features) == {"x"}


def test_an_index_with_a_name_is_a_column_as_any_other() -> None:
    index = pd.MultiIndex.from_tuples([("a", 7)], names=["id", "day"])
    batch = decode_table(pa.Table.from_pandas(pd.DataFrame({"x": [1.5], "prediction": [1]}, index=index)))

    assert (batch.ids, set(batch.features)) == (["a"], {"x", "day"})


@pytest.mark.parametrize(
    "described",
    [
        b"{",
        b"[]",
        b'{"columns": 7}',
        b'{"columns": [7]}',
        b'{"columns": [{}]}',
        b'{"index_columns": 7}',
        b"\xff",
    ]
    + [
        b'{"columns": [{"name": null, "field_name": %s}], "index_columns": [%s]}' % (name, name)
        for name in (b"[]", b"7", b'"y"', b"null")
    ],
    ids=str,
)
def test_what_pandas_would_not_write_of_an_index_is_not_followed(described: bytes) -> None:
    table = pa.table({"x": [1.5], "prediction": [1]}).replace_schema_metadata({b"pandas": described})

    assert set(decode_table(table).features) == {"x"}


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


KINDS: list[st.SearchStrategy[Any]] = [
    st.floats(width=64),
    st.integers(-(2**53), 2**53),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.decimals(-(10**12), 10**12, places=5),
    TEXTS,
    st.none(),
]
# What JSON has no type for is a text there, which is no time in a column of categories.
MOMENTS: list[st.SearchStrategy[Any]] = [
    st.datetimes(),
    st.datetimes(timezones=st.timezones()).filter(lambda moment: 1 < moment.year < 9999),  # in UTC, too
    st.dates(),
]


def columns_of(count: int, kinds: list[st.SearchStrategy[Any]]) -> st.SearchStrategy[list[object]]:
    """Values of one type, which every format can hold; some are missing."""
    return st.one_of([st.lists(kind | st.none(), min_size=count, max_size=count) for kind in kinds])


def scores_of(count: int) -> st.SearchStrategy[list[object]]:
    """Scores of several classes, by name or in a list; a row may lack some."""
    score = st.none() | st.floats(0, 1)
    listed = st.lists(score, min_size=2, max_size=2)
    named = st.dictionaries(st.sampled_from("xyz"), score, min_size=1)
    return st.one_of([st.lists(kind | st.none(), min_size=count, max_size=count) for kind in (listed, named)])


@st.composite
def predictions(draw: st.DrawFn, kinds: list[st.SearchStrategy[Any]] = KINDS) -> Predictions:
    count = draw(st.integers(1, 6))
    names = draw(st.lists(st.sampled_from("abcdé"), min_size=1, max_size=4, unique=True))
    features = {name: draw(columns_of(count, kinds)) for name in names}
    own = {}
    if draw(st.booleans()):
        own["score"] = draw(columns_of(count, KINDS) | scores_of(count))
    if draw(st.booleans()):
        own["id"] = [f"id {k}" for k in range(count)]
    return Predictions(features, draw(columns_of(count, KINDS)), own)


def layout_of(kinds: dict[str, ColumnKind]) -> BinLayout:
    edges, categories = np.array([-1.0, 0.0, 0.5, 1e6]), ("0", "1", "a", "true")
    columns = tuple(
        Column(name, "feature", kind, edges=edges, low=-1e9, high=1e9)
        if kind in ("number", "time")
        else Column(name, "feature", kind, categories=categories if kind == "category" else ("0", "1"))
        for name, kind in kinds.items()
    )
    columns += (Column("prediction", "prediction", "category", categories=categories),)
    columns += (Column("score", "score", "number", edges=edges, low=0.0, high=1.0),)
    return BinLayout(columns)


@given(
    predictions(),
    st.fixed_dictionaries(
        {name: st.sampled_from(["number", "category", "boolean", "time"]) for name in "abcdé"}
    ),
)
def test_every_format_falls_into_the_same_cells_and_has_the_same_identity(
    predictions: Predictions, kinds: dict[str, ColumnKind]
) -> None:
    layout = layout_of(kinds)
    batches = [decode_as(form, predictions) for form in FORMATS]
    binned = [bin_decoded(layout, batch, np.full(batch.rows, 1.8e9)) for batch in batches]
    hashes = [payload_hashes(batch) for batch in batches]

    for batch, cells, payload in zip(batches[1:], binned[1:], hashes[1:], strict=True):
        assert batch.ids == batches[0].ids
        np.testing.assert_array_equal(cells.cells, binned[0].cells)
        np.testing.assert_array_equal(cells.standard, binned[0].standard)
        np.testing.assert_array_equal(cells.present, binned[0].present)
        np.testing.assert_array_equal(payload, hashes[0])


@given(predictions(kinds=[*KINDS, *MOMENTS]))
def test_every_format_has_the_same_identity(predictions: Predictions) -> None:
    hashes = [payload_hashes(decode_as(form, predictions)).tolist() for form in FORMATS]

    assert hashes == [hashes[0]] * len(FORMATS)


@given(predictions(kinds=MOMENTS))
def test_every_format_has_the_same_times(predictions: Predictions) -> None:
    layout = layout_of(dict.fromkeys(predictions.features, "time"))
    batches = [decode_as(form, predictions) for form in FORMATS]
    binned = [bin_decoded(layout, batch, np.full(batch.rows, 1.8e9)) for batch in batches]

    for each in binned[1:]:
        np.testing.assert_array_equal(each.cells, binned[0].cells)
        np.testing.assert_array_equal(each.standard, binned[0].standard)


def test_a_row_has_one_identity_whatever_rows_it_comes_with() -> None:
    row = {"features": {"x": 1.5, "y": None}, "prediction": 7}
    others = {"features": {"x": "text", "y": 2**60, "z": [1]}, "prediction": "7"}

    alone = payload_hashes(decode(rows(row)))
    among_others = payload_hashes(decode(rows(others, row, others)))

    assert among_others[1] == alone[0]
    assert among_others[0] == among_others[2] != alone[0]


# -- Arrow's types ------------------------------------------------------------------------------------------

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


UUID_BYTES = UUID("550e8400-e29b-41d4-a716-446655440000").bytes


@pytest.mark.parametrize(
    ("array", "given", "ids"),
    [
        (pa.array([7, None]), [7, None], ["7", None]),
        (pa.array([7.0, None]), [7.0, None], ["7", None]),
        (pa.array([7.0, math.nan]), [7.0, math.nan], ["7", None]),
        (pa.array([2.0**53, -1.0]), [2.0**53, -1.0], [str(2**53), "-1"]),
        (pa.array([2**64 - 1, 0], pa.uint64()), [2**64 - 1, 0], [str(2**64 - 1), "0"]),
        (
            pa.array([Decimal(2**64 - 1), Decimal(7)], pa.decimal128(20)),
            [2**64 - 1, 7],
            [str(2**64 - 1), "7"],
        ),
        (pa.array([7, 2**60 + 1]).dictionary_encode(), [7, 2**60 + 1], ["7", str(2**60 + 1)]),
        (
            pa.ExtensionArray.from_storage(pa.uuid(), pa.array([UUID_BYTES, None], pa.binary(16))),
            [str(UUID(bytes=UUID_BYTES)), None],
            ["550e8400-e29b-41d4-a716-446655440000", None],
        ),
    ],
    ids=str,
)
def test_an_id_is_the_same_in_every_format(array: pa.Array, given: list[Any], ids: list[str | None]) -> None:
    assert decode_table(table_with(id=array)).ids == ids
    assert decode_table(table_with(id=array), PARQUET_TYPE).ids == ids
    assert decode(columns(features={"x": [1, 2]}, prediction=[1, 0], id=given)).ids == ids


@pytest.mark.parametrize("value", [2**64, 1.5, True, [1], {}])
def test_what_is_no_id_is_told_what_one_is(value: object) -> None:
    with pytest.raises(MalformedError, match="a text, a UUID or an integer of at most 64 bits"):
        decode(rows(ROW | {"id": value}))


def test_ids_may_be_integers_or_a_dictionary() -> None:
    words = pa.array(["a", "b"]).dictionary_encode()

    assert decode_table(table_with(id=pa.array([2**63 - 1, None]))).ids == [str(2**63 - 1), None]
    assert decode_table(table_with(id=words)).ids == ["a", "b"]
    assert decode_table(table_with(id=pa.nulls(2))).ids is None


# -- times --------------------------------------------------------------------------------------------------

MOMENT = datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "seconds", "naive"),
    [
        ("2026-11-23T10:00:00Z", MOMENT, 0),
        ("2026-11-23T11:00:00+01:00", MOMENT, 0),
        ("2026-11-23 10:00:00.123456789+00:00", MOMENT + 0.123456, 0),
        ("2026-11-23T10:00:00", MOMENT, 1),
        ("2026-11-23", MOMENT - 36000, 1),
        (MOMENT, MOMENT, 0),
        (int(MOMENT), MOMENT, 0),
        (None, math.nan, 0),
        (math.nan, math.nan, 0),
    ],
)
def test_a_timestamp_is_iso_text_or_seconds_since_the_epoch(
    value: object, seconds: float, naive: int
) -> None:
    batch = decode(columns(features={"x": [1, 2]}, prediction=[1, 1], timestamp=[value, "2026-11-23T10:00Z"]))

    assert batch.timestamps[0] == pytest.approx(seconds, abs=1e-6, nan_ok=True)
    assert batch.naive_timestamps == naive


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "2026-13-01",
        "2026-11-23T10:00:60Z",
        "10:00",
        "1795428000",
        [],
        {},
        "\ud800",
        "\0",
        "9" * 5000,
    ],
    ids=ascii,
)
def test_what_is_no_time_is_refused_with_its_place(value: object) -> None:
    def refusal(document: dict[str, Any]) -> RequestError:
        with pytest.raises(MalformedError, match="ISO 8601") as error:
            decode(document)
        return error.value

    assert refusal(rows(ROW, ROW | {"timestamp": value})).where == "predictions[1].timestamp"
    features = {"x": [1, 2, 3]}
    mixed = columns(features=features, prediction=[1, 1, 1], timestamp=[None, MOMENT, value])
    assert refusal(mixed).where == "columns.timestamp[2]"
    assert refusal(split(timestamp=["2026-11-23T10:00Z", value])).where == "timestamp[1]"


# -- what is refused, and where -----------------------------------------------------------------------------


def refuse(document: object, content_type: str = JSON_TYPE, **settings: Any) -> tuple[int, str]:
    """Status and place of the refusal."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    query = QUERY if content_type != JSON_TYPE else {}
    with pytest.raises(RequestError) as error:
        decode_predictions(body, content_type, query, Settings(**settings))
    assert len(error.value.detail) < 400
    json.dumps([error.value.detail, error.value.where], ensure_ascii=False).encode()  # it can be sent
    return error.value.status, error.value.where


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


NO_VERSION = {"model": "fraud", "predictions": [ROW]}


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"version": "3", "predictions": [ROW]}, "model"),
        (rows(ROW, model=7), "model"),
        (rows(ROW, model=""), "model"),
        (rows(ROW, model="m" * 257), "model"),
        (rows(ROW, model="\ud800"), "model"),
        (NO_VERSION, "version"),
        (NO_VERSION | {"version": None}, "version"),
        (rows(ROW, alias="champion"), "version"),
        (rows(ROW, version=True), "version"),
        (rows(ROW, version=3.0), "version"),
        (rows(ROW, version=""), "version"),
        (rows(ROW, version="\udfff"), "version"),
        (NO_VERSION | {"alias": ["champion"]}, "alias"),
        (NO_VERSION | {"alias": "a" * 257}, "alias"),
    ],
    ids=str,
)
def test_a_batch_is_for_one_model_and_one_version_or_alias(document: dict[str, Any], where: str) -> None:
    assert refuse(document) == (422, where)


def test_a_binary_body_says_in_the_query_whom_it_is_for() -> None:
    body = encode("arrow", Predictions({"x": [1]}, [1]))
    for query, where in (({}, "query.model"), ({"model": "fraud"}, "query.version")):
        with pytest.raises(MalformedError) as error:
            decode_predictions(body, ARROW_TYPE, query, Settings())
        assert error.value.where == where
    assert decode(body, None, ARROW_TYPE, model="fraud", alias="champion").target.alias == "champion"


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
        ({"predictions": {"predictions": [1, 0]}}, "predictions"),
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
        ({"instances": [1, 2]}, "instances[0]"),
        ({"instances": [{"x": 1}, 2]}, "instances[1]"),
        ({"instances": [[1], [1, 2]]}, "instances[1]"),
        ({"instances": [[], []]}, "instances"),
        ({"inputs": "text"}, "inputs"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": {"x": 1}}, "inputs.x"),
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


@pytest.mark.parametrize("content_type", [ARROW_TYPE, PARQUET_TYPE])
def test_a_column_beside_a_structure_of_features_is_refused_if_nothing_reads_it(content_type: str) -> None:
    table = pa.table({"features": pa.array([{"x": 1}]), "prediction": [1], "timestmap": [1.0]})
    with pytest.raises(MalformedError, match="did you mean `timestamp`") as error:
        decode_table(table, content_type)

    assert error.value.where == "schema.timestmap"


def test_a_parameter_that_nothing_reads_is_refused() -> None:
    body = encode("arrow", Predictions({"x": [1]}, [1]))
    with pytest.raises(MalformedError, match="did you mean `model`") as error:
        decode(body, None, ARROW_TYPE, **QUERY, modle="fraud")
    assert error.value.where == "query.modle"

    with pytest.raises(MalformedError, match="in the body") as error:
        decode(rows(ROW), None, JSON_TYPE, model="fraud")
    assert error.value.where == "query.model"


@pytest.mark.parametrize("content_type", [ARROW_TYPE, PARQUET_TYPE])
@pytest.mark.parametrize(
    ("table", "where"),
    [
        (pa.table({"x": [1]}), "schema"),
        (pa.table({"prediction": [1]}), "schema"),
        (pa.table({"prediction": [1], "id": ["a"]}), "schema"),
        (pa.table({"x": [1], "prediction": [1]}).slice(1), ""),
        (pa.Table.from_arrays([pa.array([1])] * 3, ["x", "x", "prediction"]), "schema"),
        (table_with(id=pa.array(["a", ""])), "id[1]"),
        (table_with(id=pa.array(["a" * 257, None])), "id[0]"),
        (table_with(id=pa.array([1.5, 2.0])), "id[0]"),
        (table_with(id=pa.array([1.0, 2.0**54])), "id[1]"),
        (table_with(id=pa.array([1.0, 2.0], pa.float32())), "id[0]"),
        (table_with(id=pa.array([True, False])), "id[0]"),
        (table_with(id=pa.array([Decimal(1), Decimal(2**64)], pa.decimal128(20))), "id[1]"),
        (table_with(id=pa.array([Decimal("1.5"), None])), "id[0]"),
        (table_with(id=pa.array([b"four", None], pa.binary(4))), "id[0]"),
        (table_with(id=pa.array([date(2026, 1, 1), None])), "id[0]"),
        (table_with(id=pa.array([[1], [2]])), "id[0]"),
        (table_with(timestamp=pa.array([None, "soon"])), "timestamp[1]"),
        (table_with(timestamp=pa.array([[1], [2]])), "timestamp[0]"),
        (table_with(latency_seconds=pa.array([None, "1"])), "latency_seconds[1]"),
        (table_with(latency_seconds=pa.array([None, 1], pa.timestamp("s"))), "latency_seconds[1]"),
    ],
    ids=lambda value: str(value.schema).replace("\n", ", ")[:60] if isinstance(value, pa.Table) else value,
)
def test_tables_of_the_wrong_shape_are_refused_with_the_place(
    content_type: str, table: pa.Table, where: str
) -> None:
    body = to_parquet(table) if content_type == PARQUET_TYPE else to_stream(table)

    assert refuse(body, content_type) == (422, where)


def test_a_structure_without_fields_is_refused() -> None:
    table = pa.table({"features": pa.array([{}], pa.struct([])), "prediction": [1]})

    assert refuse(to_stream(table), ARROW_TYPE) == (422, "schema.features")


def test_a_list_in_another_layout_is_not_looked_into() -> None:
    lists = pa.array([[1], None], pa.list_view(pa.int8()))  # which Parquet cannot hold

    assert listed(decode_table(table_with(x=lists)).features["x"]) == [OPAQUE, None]


@pytest.mark.parametrize("content_type", [ARROW_TYPE, PARQUET_TYPE])
def test_two_features_of_a_structure_cannot_have_one_name(content_type: str) -> None:
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["x", "x"])
    table = pa.table({"features": twice, "prediction": [1]})
    body = to_parquet(table) if content_type == PARQUET_TYPE else to_stream(table)

    assert refuse(body, content_type) == (422, "schema.features")


@pytest.mark.parametrize(
    ("form", "where"),
    [
        ("rows", "predictions[0].features"),
        ("columns", "columns.features"),
        ("split", "dataframe_split.columns"),
        ("records", "dataframe_records[0]"),
        ("inputs", "inputs"),
        ("arrow", "schema"),
        ("nested arrow", "schema.features"),
        ("parquet", "schema"),
    ],
)
def test_columns_without_end_are_refused(monkeypatch: pytest.MonkeyPatch, form: str, where: str) -> None:
    monkeypatch.setattr(exporter.formats.limits, "MAX_COLUMNS", 999)  # of ten thousand pyarrow takes seconds
    body = encode(form, Predictions({f"x{k}": [1] for k in range(1000)}, [1]))

    assert refuse(body, type_of(form)) == (422, where)


@pytest.mark.parametrize("form", FORMATS)
def test_more_columns_than_are_monitored_and_long_names_are_taken(form: str) -> None:
    """A reference may have them, which monitors the others."""
    names = [*(f"x{k}" for k in range(700)), "y" * 257]

    body = encode(form, Predictions({name: [1] for name in names}, [1]))

    query = QUERY if type_of(form) != JSON_TYPE else {}
    assert decode(body, content_type=type_of(form), **query).features.keys() == {*names}


def test_columns_in_different_rows_are_refused_before_they_become_a_table() -> None:
    many = [{"features": {f"x{k}": 1}, "prediction": 1} for k in range(10_001)]

    assert refuse(rows(*many)) == (413, "predictions[499].features")
    assert refuse(rows(many[0] | {"features": {f"x{k}": 1 for k in range(10_001)}})) == (
        422,
        "predictions[0].features",
    )


@pytest.mark.parametrize("form", FORMATS)
def test_more_rows_than_are_taken_at_once_are_too_large(form: str) -> None:
    body = encode(form, Predictions({"x": [1, 2, 3]}, [1, 1, 1]))
    content_type = type_of(form)

    assert refuse(body, content_type, max_rows_per_request=2)[0] == 413


def test_rows_that_take_no_space_are_bounded_as_well() -> None:
    wide = pa.table({f"x{k}": pa.nulls(100_000) for k in range(500)} | {"prediction": pa.nulls(100_000)})

    assert refuse(to_stream(wide), ARROW_TYPE) == (413, "schema")
    nothing = pa.Array.from_buffers(pa.null(), 2**31 - 1, [None])
    endless = pa.Table.from_batches([pa.RecordBatch.from_arrays([nothing, nothing], ["x", "prediction"])])
    assert refuse(to_stream(endless), ARROW_TYPE) == (413, "")


def test_an_unknown_content_type_is_not_supported() -> None:
    with pytest.raises(UnsupportedError, match="application/json"):
        decode(b"a,b\n1,2", content_type="text/csv")


# -- latency ------------------------------------------------------------------------------------------------


def test_a_latency_that_nobody_can_have_measured_is_none() -> None:
    given = [0.0, 1.5, -1.0, math.inf, -math.inf, math.nan, 1e300, None, True]
    batch = decode(columns(features={"x": [1] * 9}, prediction=[1] * 9, latency_seconds=given))

    assert batch.latency is not None
    assert listed(batch.latency) == [0.0, 1.5, None, None, None, None, None, None, 1.0]


# -- damage -------------------------------------------------------------------------------------------------


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


def test_damaged_bodies_are_refused_or_read_and_never_worse() -> None:
    # in a process of its own, since what went wrong in pyarrow would take this one with it; longer: make fuzz
    command = [sys.executable, "-X", "faulthandler", "-W", "error", "-m", "tests.fuzz_bodies"]
    done = subprocess.run(
        [*command, "--seed", "20261123", "--bodies", "600"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )

    said = "seed 20261123\n600 bodies read or refused\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")

"""Predictions in every wire format become the same batch."""

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

from exporter.errors import MalformedError, RequestError
from exporter.formats.batch import Decoded, Target, assemble
from exporter.formats.class_scores import ClassScores
from exporter.formats.columns import OPAQUE
from exporter.formats.hashing import payload_hashes
from exporter.formats.predictions import decode_predictions, read_predictions
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE
from exporter.reference.bins import ColumnKind
from exporter.settings import Settings
from tests.support.documents import ROW, columns, decode_table, layout_of, refuse, rows, split, table_with
from tests.support.wire import (
    FORMATS,
    QUERY,
    Predictions,
    bin_decoded,
    decode,
    decode_as,
    encode,
    listed,
    type_of,
)

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


def test_integers_beyond_the_precision_of_a_float_stay_apart() -> None:
    neighbours = [2**53, 2**53 + 1, -(2**63), None]

    assert listed(decode(columns(features={"x": neighbours}, prediction=[0] * 4)).features["x"]) == neighbours
    table = table_with(x=pa.array(neighbours[1:3]), y=pa.array([2**64 - 1, None], pa.uint64()))
    batch = decode_table(table)
    assert (listed(batch.features["x"]), listed(batch.features["y"])) == (neighbours[1:3], [2**64 - 1, None])


def test_a_column_may_have_the_name_of_a_field_of_ours() -> None:
    assert listed(decode(rows({"features": {"id": 7}, "prediction": 1})).features["id"]) == [7.0]


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


@pytest.mark.parametrize("value", [2**64, 1.5, True, [1], {}])
def test_what_is_no_id_is_told_what_one_is(value: object) -> None:
    with pytest.raises(MalformedError, match="a text, a UUID or an integer of at most 64 bits"):
        decode(rows(ROW | {"id": value}))


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


def test_a_parameter_that_nothing_reads_is_refused() -> None:
    body = encode("arrow", Predictions({"x": [1]}, [1]))
    with pytest.raises(MalformedError, match="did you mean `model`") as error:
        decode(body, None, ARROW_TYPE, **QUERY, modle="fraud")
    assert error.value.where == "query.modle"

    with pytest.raises(MalformedError, match="in the body") as error:
        decode(rows(ROW), None, JSON_TYPE, model="fraud")
    assert error.value.where == "query.model"


# -- latency ------------------------------------------------------------------------------------------------


def test_a_latency_that_nobody_can_have_measured_is_none() -> None:
    given = [0.0, 1.5, -1.0, math.inf, -math.inf, math.nan, 1e300, None, True]
    batch = decode(columns(features={"x": [1] * 9}, prediction=[1] * 9, latency_seconds=given))

    assert batch.latency is not None
    assert listed(batch.latency) == [0.0, 1.5, None, None, None, None, None, None, 1.0]


# -- several requests ---------------------------------------------------------------------------------------


def read(form: str, predictions: Predictions) -> Decoded:
    query = {} if type_of(form) == JSON_TYPE else QUERY
    return read_predictions(encode(form, predictions), type_of(form), query, Settings())


def row_of(predictions: Predictions, row: int) -> Predictions:
    return Predictions(
        {name: [values[row]] for name, values in predictions.features.items()},
        [predictions.prediction[row]],
        {name: [values[row]] for name, values in predictions.own.items()},
    )


@given(st.sampled_from(FORMATS), predictions(), st.booleans())
def test_alike_requests_become_the_batch_of_one_request_with_all_rows(
    form: str, predictions: Predictions, typed: bool
) -> None:
    whole = decode_as(form, predictions)
    parts = [read(form, row_of(predictions, row)) for row in range(predictions.rows)]
    parts = [part.typed() if typed else part for part in parts]
    layout = layout_of(dict.fromkeys(predictions.features, "category"))

    for likeness in dict.fromkeys(part.likeness for part in parts):
        rows = [row for row, part in enumerate(parts) if part.likeness == likeness]
        batch = assemble([parts[row] for row in rows])
        assert batch.rows == len(rows)
        assert payload_hashes(batch).tolist() == payload_hashes(whole)[rows].tolist()
        assert batch.ids == (None if whole.ids is None else [whole.ids[row] for row in rows])
        cells = bin_decoded(layout, batch, np.zeros(batch.rows)).cells
        every = bin_decoded(layout, whole, np.zeros(whole.rows)).cells
        np.testing.assert_array_equal(cells, every[:, rows])


def test_rows_of_json_are_alike_whatever_their_values_are() -> None:
    odd = {**ROW, "features": {"age": "old"}, "score": [0.2, 0.8]}
    first, other = [
        read_predictions(json.dumps(rows({**row, "timestamp": 5})).encode(), JSON_TYPE, {}, Settings())
        for row in ({**ROW, "score": 0.5}, odd)
    ]
    assert first.likeness == other.likeness
    batch = assemble([first, other])
    assert listed(batch.features["age"]) == [41, "old"]
    assert listed(batch.scores) == [0.5, ClassScores((0.2, 0.8))]
    assert batch.timestamps.tolist() == [5.0, 5.0]


def test_requests_with_other_columns_fields_or_targets_are_not_alike() -> None:
    documents = [
        rows(ROW),
        rows({**ROW, "features": {"height": 2}}),
        rows({**ROW, "id": "a"}),
        rows({**ROW, "score": 0.5}),
        rows({**ROW, "latency_seconds": 0.1}),
        rows({**ROW, "label": 1}),
        {**rows(ROW), "version": "4"},
    ]
    found = [read_predictions(json.dumps(d).encode(), JSON_TYPE, {}, Settings()).likeness for d in documents]
    assert len(set(found)) == len(documents)

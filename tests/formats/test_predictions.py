"""Predictions in every wire format become the same batch."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import MalformedError
from exporter.formats.columns import OPAQUE
from exporter.formats.hashing import payload_hashes
from exporter.formats.predictions import decode_predictions
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE
from exporter.payloads.target import Target
from exporter.reference.bins import ColumnKind
from exporter.settings import Settings
from tests.support.documents import (
    KINDS,
    MOMENTS,
    ROW,
    columns,
    decode_table,
    layout_of,
    predictions,
    rows,
    table_with,
)
from tests.support.wire import (
    FORMATS,
    QUERY,
    Predictions,
    bin_decoded,
    decode,
    decode_as,
    encode,
    listed,
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

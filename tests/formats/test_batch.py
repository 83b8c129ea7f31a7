"""Requests that are alike become one batch."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from exporter.formats.batch import Decoded, assemble
from exporter.formats.class_scores import ClassScores
from exporter.formats.hashing import payload_hashes
from exporter.formats.predictions import read_predictions
from exporter.formats.raw import JSON_TYPE
from exporter.settings import Settings
from tests.support.documents import (
    ROW,
    layout_of,
    predictions,
    rows,
)
from tests.support.wire import (
    FORMATS,
    QUERY,
    Predictions,
    bin_decoded,
    decode_as,
    encode,
    listed,
    type_of,
)


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

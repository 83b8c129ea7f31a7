"""Records keep their rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import StoreDamagedError
from exporter.storage.lsm.records import Encoded, RecordKind, Records
from exporter.storage.rows import LABELS, PREDICTIONS, StoredPrediction
from tests.storage.lsm.strategies import labels, predictions

rows_of_kinds = st.tuples(st.just(PREDICTIONS), st.lists(predictions)) | st.tuples(
    st.just(LABELS), st.lists(labels)
)


@given(rows_of_kinds)
def test_rows_come_out_as_they_went_in(case: tuple[RecordKind[Any], list[Any]]) -> None:
    kind, rows = case
    records = kind.pack_rows(rows)
    assert len(records) == len(rows)
    assert kind.unpack(records) == rows
    assert records.ids == [row.id_hash for row in rows]
    numbers, joined = records.encode()
    assert kind.unpack(Encoded(np.frombuffer(numbers, kind.dtype), joined).all()) == rows


@given(rows_of_kinds, st.data())
def test_some_rows_can_be_taken(case: tuple[RecordKind[Any], list[Any]], data: st.DataObject) -> None:
    kind, rows = case
    places = data.draw(st.lists(st.integers(0, len(rows) - 1)) if rows else st.just([]))
    chosen = np.array(places, np.int64)
    numbers, joined = kind.pack_rows(rows).encode()
    for part in (kind.pack_rows(rows), Encoded(np.frombuffer(numbers, kind.dtype), joined)):
        assert kind.unpack(part.take(chosen)) == [rows[place] for place in places]


@given(st.lists(st.lists(predictions), min_size=1))
def test_records_are_joined_in_order(parts: list[list[StoredPrediction]]) -> None:
    joined = Records.join([PREDICTIONS.pack_rows(rows) for rows in parts])
    assert PREDICTIONS.unpack(joined) == [row for rows in parts for row in rows]


def test_a_text_that_is_missing_at_the_end_takes_no_room() -> None:
    row = StoredPrediction(bytes(16), 1, 0, 0.0, None, None)
    assert PREDICTIONS.pack_rows([row]).texts == [b""]
    assert PREDICTIONS.pack_rows([row._replace(prediction="1")]).texts == [b'["1"]']


def test_a_page_that_is_cut_short_is_damaged() -> None:
    numbers, joined = PREDICTIONS.pack_rows([StoredPrediction(bytes(16), 1, 0, 0.0, "1", None)]).encode()
    with pytest.raises(StoreDamagedError, match="a stored page of ids"):
        PREDICTIONS.decode([(numbers[:-1], joined)])
    with pytest.raises(StoreDamagedError, match="cut short"):
        PREDICTIONS.decode([(numbers, joined[:-1])]).all()

"""Labelled rows are counted, added up, taken back and stored; what scikit-learn says of them stays true."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.aggregates.outcomes import (
    SLICE_ROWS,
    Outcomes,
    decode_outcomes,
    fold_predictions,
    tally,
)
from exporter.errors import StoreError
from tests.support.labelled import (
    LAYOUTS,
    TASKS,
    fold_table,
    fold_traffic,
    make_table,
    merge,
    places_of,
    same,
    tally_table,
)


def relabel(table: pa.Table, rows: list[int], labels: list[Any]) -> pa.Table:
    """Rows of a table with other labels."""
    place = table.column_names.index("label")
    chosen = table.take(pa.array(rows, pa.int64()))
    return chosen.set_column(place, "label", pa.array(labels, table["label"].type))


# -- adding and taking back ---------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_parts_add_up_to_the_whole(task: str) -> None:
    layout, table = LAYOUTS[task], make_table(task, 500)
    hours = np.arange(500) % 7 * 3600

    whole = fold_table(layout, table, hours)
    parts = merge(*(fold_table(layout, table[k : k + 90], hours[k : k + 90]) for k in range(0, 500, 90)))

    assert whole.keys() == parts.keys()
    assert all(same(whole[hour], parts[hour]) for hour in whole)


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=25)
@given(data=st.data())
def test_after_any_schedule_only_the_last_labels_are_there(task: str, data: st.DataObject) -> None:
    """Corrections in any order, each the old label taken back and the new one counted."""
    layout, table = LAYOUTS[task], make_table(task, 40)
    others = make_table(task, 40, seed=9)["label"].to_pylist()
    hours = np.arange(40) % 3 * 3600
    labels: list[Any] = [None] * 40
    state: dict[int, Outcomes] = {}
    schedule = data.draw(st.lists(st.tuples(st.integers(0, 39), st.integers(-1, 39)), max_size=30))
    for row, choice in schedule:
        new = None if choice < 0 else others[choice]
        for label, sign in ((labels[row], -1), (new, 1)):
            if label is not None:
                one = relabel(table, [row], [label])
                state = merge(state, fold_table(layout, one, hours[row : row + 1], sign))
        labels[row] = new

    known = [row for row in range(40) if labels[row] is not None]
    final = relabel(table, known, [labels[row] for row in known])
    expected = fold_table(layout, final, hours[known]) if known else {}
    assert all(same(state[hour], expected.get(hour, Outcomes.empty(layout))) for hour in state)
    assert all((part.counts >= 0).all() for part in state.values())


def test_a_typo_that_was_corrected_leaves_nothing() -> None:
    layout, table = LAYOUTS["regression"], make_table("regression", 200)
    typo = pa.table({"prediction": [50.0], "label": [1e15]})

    first = merge(fold_table(layout, table), fold_table(layout, typo), fold_table(layout, typo, sign=-1))

    assert same(first[0], fold_table(layout, table)[0])


def test_an_hour_whose_labels_were_all_taken_back_is_empty() -> None:
    layout, table = LAYOUTS["binary"], make_table("binary", 50)

    taken_back = merge(fold_table(layout, table), fold_table(layout, table, sign=-1))[0]

    assert not taken_back
    assert fold_table(layout, table)[0]


@pytest.mark.parametrize("task", TASKS)
def test_rows_are_in_the_hour_of_their_prediction(task: str) -> None:
    layout, table = LAYOUTS[task], make_table(task, 100)
    hours = np.repeat([7200, 0], 50)

    folded = fold_table(layout, table, hours)

    assert folded.keys() == {0, 7200}
    assert same(folded[7200], fold_table(layout, table[:50])[0])


def test_nothing_is_folded_of_no_rows() -> None:
    for task in TASKS:
        assert fold_table(LAYOUTS[task], make_table(task, 10)[:0]) == {}
        assert tally(LAYOUTS[task], []).rows == 0


def test_many_rows_are_folded_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SLICE_ROWS > 1000
    table = make_table("multiclass", 300)
    whole = fold_table(LAYOUTS["multiclass"], table)
    monkeypatch.setattr("exporter.aggregates.outcomes.SLICE_ROWS", 70)

    assert same(fold_table(LAYOUTS["multiclass"], table)[0], whole[0])


# -- predictions without labels -----------------------------------------------------------------------------


def test_the_traffic_of_labelled_rows_is_their_histogram() -> None:
    for task in ("binary", "multiclass"):
        layout, table = LAYOUTS[task], make_table(task, 300)

        traffic = tally(layout, fold_traffic(layout, table, np.zeros(300, np.int64)).values())

        assert (traffic.rows, traffic.histogram.sum()) == (0, 0)
        assert (traffic.traffic == tally_table(layout, table).histogram.sum(axis=0)).all()


def test_numbers_have_no_traffic() -> None:
    layout = LAYOUTS["regression"]

    assert fold_predictions(layout, places_of(layout, np.ones(3), None), np.zeros(3, np.int64)) == {}


def test_predictions_without_a_score_are_no_traffic() -> None:
    layout = LAYOUTS["binary"]
    places = places_of(layout, np.ones(3), np.array([0.2, np.nan, 0.3]))
    folded = fold_predictions(layout, places, np.array([0, 0, 3600]))

    assert {hour: part.counts.sum() for hour, part in folded.items()} == {0: 1, 3600: 1}


# -- storing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_outcomes_come_back_from_their_bytes(task: str) -> None:
    layout = LAYOUTS[task]
    outcomes = fold_table(layout, make_table(task, 200), sign=-1)[0]

    assert same(decode_outcomes(layout, outcomes.encode(layout)), outcomes)


def test_outcomes_of_an_hour_are_small() -> None:
    layout = LAYOUTS["binary"]

    assert len(fold_table(layout, make_table("binary", 1000))[0].encode(layout)) < 2500


def test_bytes_of_another_layout_or_broken_ones_are_an_error() -> None:
    layout = LAYOUTS["binary"]
    data = Outcomes.empty(layout).encode(layout)

    with pytest.raises(StoreError, match="another layout"):
        decode_outcomes(LAYOUTS["multiclass"], data)
    with pytest.raises(StoreError, match="format 9"):
        decode_outcomes(layout, b"\x09" + data[1:])
    for broken in (data[:10], data[:-3], data[:30] + b"x" * 9):
        with pytest.raises(StoreError, match="cannot be read"):
            decode_outcomes(layout, broken)

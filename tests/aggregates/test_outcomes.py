"""Labelled rows are counted, added up, taken back and stored; what scikit-learn says of them stays true."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.aggregates.outcome_layout import OutcomeLayout, outcome_layout
from exporter.aggregates.outcomes import (
    SLICE_ROWS,
    Outcomes,
    Tally,
    decode_outcomes,
    fold_outcomes,
    fold_predictions,
    tally,
)
from exporter.errors import StoreError
from exporter.formats.arrow_columns import scores_from_arrow
from exporter.formats.class_scores import Scores, read_scores, scores_by_class
from exporter.formats.columns import Values, encode_texts, from_python
from exporter.measures.regression import TERMS
from tests.support.labelled import (
    CLASSES,
    TASKS,
    fold_table,
    fold_traffic,
    make_labelled_reference,
    make_layout,
    make_table,
    merge,
    places_of,
    tally_table,
)

LAYOUTS = {task: make_layout(task) for task in TASKS}


def same(first: Outcomes, second: Outcomes) -> bool:
    return bool((first.counts == second.counts).all() and (first.sums == second.sums).all())


def count(
    task: str,
    labels: list[Any],
    predictions: list[Any],
    scores: Any = None,
    layout: OutcomeLayout | None = None,
) -> Tally:
    layout = layout or LAYOUTS[task]
    values = from_python(labels), from_python(predictions)
    given_scores = np.array(scores, np.float64) if scores is not None else None
    folded = fold_outcomes(layout, *values, given_scores, np.zeros(len(labels), np.int64))
    return tally(layout, folded.values())


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


# -- what is counted ----------------------------------------------------------------------------------------


def test_notations_of_a_class_are_one_class() -> None:
    expected = count("binary", [1, 0, 1], [1, 1, 0]).confusion.tolist()

    for labels, predictions in (
        ([True, False, True], ["1", "1", "0"]),
        (["1", "0", "1"], [1.0, 1.0, 0.0]),
        (["1", 0, True], [1, "1", 0.0]),
    ):
        assert count("binary", labels, predictions).confusion.tolist() == expected
    assert expected == [[0, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_a_class_that_the_reference_does_not_know_is_another() -> None:
    found = count("multiclass", ["ash", "yew", "yew", "yew"], ["yew", "ash", "yew", "sloe"])

    assert found.confusion[0].tolist() == [0, 0, 0, 0, 1]
    assert found.confusion[4].tolist() == [1, 0, 0, 0, 2]
    assert found.matches == 1


def test_rows_without_a_label_count_as_unusable_and_as_nothing_else() -> None:
    for task, prediction in (("binary", 1), ("multiclass", "ash"), ("regression", 1.0)):
        found = count(task, [None, float("nan")], [prediction, prediction])
        assert (found.rows, found.unusable, found.matches) == (0, 2, 0)
        assert not found.cells.any()
        assert not found.confusion.any()


def test_numbers_may_come_as_texts() -> None:
    found = count("regression", ["1.5", "2", "many", None], ["1", "2.5", "3", "4"])

    assert (found.rows, found.unusable) == (2, 2)
    unit = 2.0 ** LAYOUTS["regression"].unit
    assert float(found.sums[TERMS.index("|e|")]) * unit == pytest.approx(1.0)


@pytest.mark.parametrize("label", [np.inf, -np.inf, 1e300, "inf", "nan"])
def test_labels_that_are_no_amounts_are_unusable(label: Any) -> None:
    found = count("regression", [label, "1.5"], ["1", "1"])

    assert (found.rows, found.unusable) == (1, 1)


def test_a_label_of_zero_has_no_percentage() -> None:
    found = count("regression", [0.0, 1e-300, 4.0], [1.0, 1.0, 5.0])

    assert (found.rows, found.zeros) == (3, 2)
    assert found.sums[TERMS.index("|e/y|")] == Fraction(1, 4)


def test_a_prediction_that_is_missing_is_no_match() -> None:
    assert count("binary", [1], [None]).confusion[1].tolist() == [0, 0, 1]


def test_scores_that_are_no_probabilities_count_as_none() -> None:
    found = count("binary", [1, 1, 0, 0], [1, 1, 0, 0], [0.9, 1.1, -0.1, np.nan])

    assert (found.rows, found.scored, found.histogram.sum()) == (4, 1, 1)
    assert found.scores.sum() == pytest.approx(0.9)


def test_scores_beyond_their_range_are_counted_where_they_are_no_probabilities() -> None:
    table = make_table("binary", 400)
    margins = pa.array(20 * np.array(table["score"]) - 10)
    table = table.set_column(table.column_names.index("score"), "score", margins)
    layout = outcome_layout(make_labelled_reference("binary", table=table))

    counted = count("binary", [1, 0], [1, 0], [1e9, -1e9], layout)

    assert (counted.histogram.sum(), counted.scored, counted.scores.sum()) == (2, 0, 0)


def test_a_single_score_of_several_classes_is_that_of_the_predicted_one() -> None:
    found = count("multiclass", ["ash", "elm"], ["ash", "ash"], [0.8, 0.7])

    assert found.histogram.sum(axis=2).tolist() == [[0, 1], [0, 1]]
    assert found.scored == 0


def test_scores_of_all_classes_have_losses() -> None:
    found = count("multiclass", ["ash", "elm"], ["ash", "ash"], [[0.7, 0.1, 0.1, 0.1], [0.6, 0.2, 0.1, 0.1]])

    assert found.scored == 2
    assert float(found.sums[0]) == pytest.approx(-np.log(0.7) - np.log(0.2))
    assert found.scores.sum() == pytest.approx(1.3)


def test_a_label_that_the_model_cannot_say_has_no_loss() -> None:
    found = count("multiclass", ["yew"], ["ash"], [[0.7, 0.1, 0.1, 0.1]])

    assert (found.rows, found.scored, found.histogram.sum()) == (1, 0, 1)


@pytest.mark.parametrize("task", TASKS)
def test_labels_and_predictions_lie_in_the_references_own_cells(task: str) -> None:
    table = make_table(task, 4000, seed=1)
    reference = make_labelled_reference(task, table=table)
    layout = outcome_layout(reference)
    assert layout is not None

    cells = tally_table(layout, table).cells

    assert reference.labels is not None
    assert cells[-reference.labels.cells :].tolist() == reference.labels.counts.tolist()
    index = [column.role for column in reference.columns].index("prediction")
    own = reference.counts[reference.offsets[index] : reference.offsets[index + 1]]
    assert cells[: len(own)].tolist() == own.tolist()


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


# -- scores of several classes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        [[0.1, 0.2, 0.3, 0.4], None],
        [{"oak": 0.4, "ash": 0.1, "elm": 0.2, "fir": 0.3}, {}],
        [(0.1, 0.2, 0.3, 0.4), [0.5, 0.5]],
        scores_from_arrow(pa.chunked_array([[[0.1, 0.2, 0.3, 0.4], None]])),
        scores_from_arrow(pa.chunked_array([[{"ash": 0.1, "elm": 0.2, "fir": 0.3, "oak": 0.4}, None]])),
    ],
)
def test_scores_come_as_lists_or_by_name(raw: Any) -> None:
    read = raw if isinstance(raw, Scores) else read_scores(raw)
    scores = scores_by_class(read.several_or_none, CLASSES)

    assert scores[0].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert np.isnan(scores[1]).all()


def test_rows_with_scores_that_are_no_numbers_have_none() -> None:
    wrong, partly = read_scores([["a", None, 0.5, True], 7, "x"]), read_scores([[0.1, None, 0.5, True]])
    assert np.isnan(scores_by_class(wrong.several_or_none, CLASSES)).all()
    assert np.isnan(scores_by_class(partly.several_or_none, CLASSES)).sum() == 1


def test_texts_and_values_are_counted_alike() -> None:
    layout, table = LAYOUTS["multiclass"], make_table("multiclass", 60)
    texts: list[Values] = [encode_texts(table[name].to_pylist()) for name in ("label", "prediction")]
    lists: list[Values] = [list(table[name].to_pylist()) for name in ("label", "prediction")]
    hours = np.zeros(60, np.int64)

    first, second = (fold_outcomes(layout, *values, None, hours)[0] for values in (texts, lists))

    assert same(first, second)

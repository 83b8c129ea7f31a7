"""Positions and terms of labelled rows, in any notation of classes, numbers and scores."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from exporter.aggregates.outcome_layout import outcome_layout
from exporter.aggregates.outcomes import (
    fold_outcomes,
)
from exporter.formats.arrow_columns import scores_from_arrow
from exporter.formats.class_scores import Scores, read_scores, scores_by_class
from exporter.formats.columns import Values, encode_texts
from exporter.measures.regression import TERMS
from tests.support.labelled import (
    CLASSES,
    LAYOUTS,
    TASKS,
    count,
    make_labelled_reference,
    make_table,
    same,
    tally_table,
)


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

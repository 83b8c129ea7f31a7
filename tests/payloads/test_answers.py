"""Answers of scoring servers -> predictions and scores."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import MalformedError
from exporter.payloads.answers import read_answer, read_predictions


@pytest.mark.parametrize(
    ("predictions", "prediction", "score"),
    [
        ([1, 0], [1, 0], None),
        (["a", None], ["a", None], None),
        ([[1.5], [2.5]], [1.5, 2.5], None),
        ([[0.2, 0.8], [1, 0]], [1, 0], [[0.2, 0.8], [1, 0]]),
        ([[0.3333, 0.3333, 0.3333], [0, 0, 1]], [0, 2], [[0.3333, 0.3333, 0.3333], [0, 0, 1]]),
        ([{"prediction": 1, "score": 0.9}, {"prediction": 0, "score": 0.2}], [1, 0], [0.9, 0.2]),
        ([{"Predicted_Label": "a", "Probability": 0.9}, {"Predicted_Label": "b"}], ["a", "b"], [0.9, None]),
        ([{"label": "POSITIVE", "score": 0.9}, {"label": "NEGATIVE", "score": 0.8}],
         ["POSITIVE", "NEGATIVE"], [0.9, 0.8]),
        ([{"0": 7}, {"0": 8}], [7, 8], None),
        ([{"a": 0.9, "b": 0.1}, {"a": 0, "b": 1}], ["a", "b"], [{"a": 0.9, "b": 0.1}, {"a": 0, "b": 1}]),
        ({"prediction": [1, 0], "probabilities": [[0.2, 0.8], [0.9, 0.1]]}, [1, 0], [[0.2, 0.8], [0.9, 0.1]]),
        ({"a": [1, 0]}, [1, 0], None),
        # What is none of these is the prediction as it is, and the exporter tells that it is of a wrong type.
        ([[2.5, 3.5], [1, 2]], [[2.5, 3.5], [1, 2]], None),
        ([[0.2, 0.8], [float("nan"), 1]], [[0.2, 0.8], [float("nan"), 1]], None),
        ([[0.5, 0.5], [1]], [[0.5, 0.5], [1]], None),
        ([[], []], [[], []], None),
        ([{"x": 3, "y": 4}, {"x": 5, "y": 6}], [{"x": 3, "y": 4}, {"x": 5, "y": 6}], None),
    ],
    ids=str,
)  # fmt: skip
def test_two_rows(predictions: Any, prediction: list[Any], score: list[Any] | None) -> None:
    found = read_answer({"predictions": predictions}, 2)

    assert str((found.prediction, found.score)) == str((prediction, score))


@pytest.mark.parametrize(
    ("predictions", "prediction", "score"),
    [
        ([3], [3], None),
        (3, [3], None),
        ("text", ["text"], None),
        ({"prediction": 1, "score": 0.9}, [1], [0.9]),
        ({"prediction": "b", "probabilities": [0.2, 0.8]}, ["b"], [[0.2, 0.8]]),
    ],
    ids=str,
)
def test_one_row_may_be_alone(predictions: Any, prediction: list[Any], score: list[Any] | None) -> None:
    found = read_answer(predictions, 1)

    assert (found.prediction, found.score) == (prediction, score)


def test_classes_have_the_names_of_the_model() -> None:
    assert read_predictions([[0.2, 0.8], [0.9, 0.1]], 2, ("no", "yes")).prediction == ["yes", "no"]
    assert read_predictions([[0.2, 0.8], [0.9, 0.1]], 2, ("no", "yes", "else")).prediction == [1, 0]


@pytest.mark.parametrize("answer", [None, [], [1], [1, 2, 3], 7, "ab", {}, {"a": [1]}, {"a": 1, "b": [1, 2]}])
def test_another_number_of_rows_is_refused(answer: object) -> None:
    with pytest.raises(MalformedError):
        read_answer(answer, 2)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
        max_leaves=8,
    ),
    st.integers(1, 3),
)
def test_any_answer_is_refused_or_has_a_prediction_for_each_row(answer: object, rows: int) -> None:
    try:
        found = read_answer(answer, rows)
    except MalformedError:
        return
    assert len(found.prediction) == rows
    assert found.score is None or len(found.score) == rows

"""Answers of MLflow's scoring server, and of servers like it -> predictions and scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from exporter.errors import MalformedError
from exporter.payloads.columns import AnswerColumns, rows_of_records

# Columns of an answer, by their names in small letters; the first that occurs counts.
PREDICTION_NAMES = ("prediction", "predictions", "predicted_label", "predicted_class", "label", "class")
SCORE_NAMES = ("score", "scores", "probability", "probabilities", "proba", "predict_proba")
_SUM_TOLERANCE = 1e-3  # of probabilities, which may be rounded or of 16 bits


def read_answer(document: object, rows: int, classes: Sequence[str] = ()) -> AnswerColumns:
    """Predictions and scores of a JSON answer: an object with `predictions`, or these alone.

    Raises:
        MalformedError: there are none, or another number of them.
    """
    if isinstance(document, dict) and "predictions" in document:
        document = document["predictions"]
    return read_predictions(document, rows, classes)


def read_predictions(predictions: object, rows: int, classes: Sequence[str] = ()) -> AnswerColumns:
    """Predictions and scores of `rows` rows.

    A row is a value, an object by column, or a list. Columns are told apart by `PREDICTION_NAMES` and
    `SCORE_NAMES`; a single one is the prediction. Numbers that sum to 1, in a list or an object, are the
    probabilities of classes: they are the score, and the most likely class is the prediction. It is one of
    `classes`, or its position, in a list. Anything else is the prediction as it is.

    Args:
        predictions: a list of rows, or an object of lists by column; for one row also that row alone.
        rows: number of rows of the request.
        classes: names of the model's classes, in the order of its probabilities.

    Raises:
        MalformedError: there are more or fewer rows.
    """
    if isinstance(predictions, dict):
        if predictions and all(_is_list(values, rows) for values in predictions.values()):
            return _from_columns(predictions)
        if predictions and rows == 1:
            return _from_columns({name: [value] for name, value in predictions.items()})
    elif isinstance(predictions, list) and len(predictions) == rows:
        if all(isinstance(row, dict) for row in predictions) and any(predictions):
            return _from_columns(rows_of_records(predictions))
        return _from_values(predictions, classes)
    elif rows == 1 and not isinstance(predictions, list) and predictions is not None:
        return AnswerColumns([predictions])
    raise MalformedError(f"must be a list of {rows} values", "predictions")


def _is_list(values: object, rows: int) -> bool:
    return isinstance(values, list) and len(values) == rows


def _from_columns(columns: Mapping[str, list[Any]]) -> AnswerColumns:
    lower = {name.lower(): values for name, values in columns.items()}
    prediction = next((lower[name] for name in PREDICTION_NAMES if name in lower), None)
    if prediction is not None:
        score = next((lower[name] for name in SCORE_NAMES if name in lower), None)
        return AnswerColumns(prediction, score)
    if len(columns) == 1:
        return AnswerColumns(next(iter(columns.values())))
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if all(_are_probabilities(record.values()) for record in records):
        return AnswerColumns([max(record, key=record.__getitem__) for record in records], records)
    return AnswerColumns(records)


def _from_values(values: Sequence[Any], classes: Sequence[str]) -> AnswerColumns:
    if not all(isinstance(row, list) for row in values):
        return AnswerColumns(list(values))
    lengths = set(map(len, values))
    if lengths == {1}:
        return AnswerColumns([row[0] for row in values])
    if len(lengths) > 1 or not all(map(_are_probabilities, values)):
        return AnswerColumns(list(values))
    named = classes if len(classes) in lengths else range(max(lengths))
    return AnswerColumns([named[row.index(max(row))] for row in values], list(values))


def _are_probabilities(values: Iterable[object]) -> bool:
    total = 0.0
    for value in values:
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            return False
        total += value
    return abs(total - 1) <= _SUM_TOLERANCE

"""Predictions, scores and labels of a report's rows, in terms of the version's task and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.formats.categories import MISMATCHED, canonical_text, match_class
from exporter.reference.bins import ColumnKind
from exporter.reports.cleaning import CleanColumn, clean
from exporter.reports.contents import ReportInput
from exporter.reports.rows import RowValues


@dataclass(frozen=True)
class CleanOutputs:
    """(rows,) clean values.

    `scores` are of the positive class of two, else of the predicted one; `probabilities` are by class, empty
    unless every row has one for each of three or more classes.
    """

    predictions: CleanColumn
    scores: CleanColumn
    labels: CleanColumn
    probabilities: Mapping[str, list[float]]


def is_classification(task: str) -> bool:
    """Return true if the task has classes."""
    return task in ("binary", "multiclass")


def prediction_kind(given: ReportInput) -> ColumnKind:
    """Kind of the predictions."""
    if given.task == "regression":
        return "number"
    kinds = [column.kind for column in given.columns if column.role == "prediction"]
    return kinds[0] if kinds and not is_classification(given.task) else "category"


def clean_outputs(given: ReportInput, rows: RowValues) -> CleanOutputs:
    """Read the outputs of rows. A label that is none of the classes is wrong."""
    classes = given.classes
    if is_classification(given.task):
        predictions = clean("category", [_class(value, classes) for value in rows.predictions])
        labels = clean("category", [_class(value, classes) for value in rows.labels])
        unknown = [text is not None and text not in classes for text in labels.values]
        kept = [None if other else text for text, other in zip(labels.values, unknown, strict=True)]
        labels = CleanColumn(kept, labels.wrong + sum(unknown))
    else:
        predictions = clean(prediction_kind(given), rows.predictions)
        labels = clean("number", [_as_number(value) for value in rows.labels])
    by_class = [_by_class(value, classes) for value in rows.scores]
    if given.task == "binary":
        wanted = [given.positive_class] * len(rows)
    else:
        wanted = [str(text) for text in predictions.values]
    single = [
        value if each is None else each.get(name)
        for value, each, name in zip(rows.scores, by_class, wanted, strict=True)
    ]
    return CleanOutputs(predictions, clean("number", single), labels, _probabilities(by_class, classes))


def _class(value: Any, classes: tuple[str, ...]) -> Any:
    """The class that a value stands for in any notation, else the value."""
    text = canonical_text(value)
    if text is None or text is MISMATCHED:
        return value
    return match_class(text, classes) or text


def _as_number(value: Any) -> Any:
    """A label is stored as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _by_class(value: Any, classes: tuple[str, ...]) -> dict[str, Any] | None:
    """Scores by class from a list in the order of the classes, from a mapping or from pairs; else None."""
    if isinstance(value, list) and value and all(isinstance(each, tuple) for each in value):
        value = dict(value)
    if isinstance(value, dict):
        return {match_class(str(name), classes) or str(name): score for name, score in value.items()}
    if isinstance(value, list) and len(value) == len(classes):
        return dict(zip(classes, value, strict=True))
    return None


def _probabilities(
    by_class: Sequence[dict[str, Any] | None], classes: tuple[str, ...]
) -> dict[str, list[float]]:
    if len(classes) < 3:
        return {}
    found = {}
    for name in classes:
        column = clean("number", [None if each is None else each.get(name) for each in by_class])
        if column.present < len(by_class):
            return {}
        found[name] = column.values
    return found

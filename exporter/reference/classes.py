"""Classes of a reference, and predictions and scores in terms of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from exporter.formats.batch import Batch
from exporter.formats.categories import match_class
from exporter.formats.class_scores import MAX_CLASSES
from exporter.formats.columns import Mixed, Texts, Values, canonical_texts
from exporter.reference.bins import Column
from exporter.reference.profile import ClassOrder, Reference


def name_classes(
    label: Column | None, prediction: Column, order: ClassOrder, further: str = ""
) -> tuple[str, ...]:
    """Classes of a reference, at most 30, sorted as `numpy.unique` sorts their type.

    scikit-learn sorts `classes_` in this way, and lists of scores are in their order. If there are more, the
    `further` one is kept, then labels, then predictions, the most frequent first. If only 0 or only 1 occurs,
    both are classes: a model of rare events may never have predicted a 1.
    """
    named = dict.fromkeys([further] if further else [])
    named |= dict.fromkeys(label.categories if label is not None else ())
    named |= dict.fromkeys(prediction.categories)
    if named and named.keys() <= {"0", "1"}:
        return ("0", "1")
    chosen = list(named)[:MAX_CLASSES]
    return tuple(_sort_numbers(chosen) if order == "number" else sorted(chosen))


def _sort_numbers(texts: Sequence[str]) -> list[str]:
    """Sort texts of numbers by value, or as texts if one is no number, such as a configured class."""
    try:
        return sorted(texts, key=_number)
    except ValueError:
        return sorted(texts)


def _number(text: str) -> int | float:
    try:
        return int(text)  # exact for large integers
    except ValueError:
        return float(text)


def with_classes(reference: Reference, positive: str, mean_ranks: dict[str, float]) -> Reference:
    """The reference with its classes and positive class set.

    Args:
        reference: with the profile of its labels, if it has labels, and the order of its classes.
        positive: positive class by its owner, may be empty; it is added to the classes if it is none of them.
        mean_ranks: mean rank of the score by predicted class. The class with the highest mean rank is the
            positive one; without ranks it is the last class, such as 1 of 0 and 1.
    """
    prediction = next((c for c in reference.columns if c.role == "prediction"), None)
    if prediction is None or reference.task not in ("binary", "multiclass"):
        return reference
    label = reference.labels.columns[0] if reference.labels is not None else None
    order = reference.class_order
    classes, chosen = choose_classes(reference.task, label, prediction, order, positive, mean_ranks)
    return replace(reference, classes=classes, positive_class=chosen)


def choose_classes(
    task: str,
    label: Column | None,
    prediction: Column,
    order: ClassOrder,
    positive: str,
    mean_ranks: dict[str, float],
) -> tuple[tuple[str, ...], str]:
    """Classes and positive class, empty if there is none; the arguments are as in `with_classes`."""
    classes = name_classes(label, prediction, order)
    if positive:
        known = match_class(positive, classes)
        if known is None:
            classes = name_classes(label, prediction, order, positive)
        positive = known or positive
    elif task == "binary" and classes:
        means = {text: mean for text, mean in mean_ranks.items() if text in classes}
        telling = len(set(means.values())) > 1
        positive = max(means, key=means.__getitem__) if telling else classes[-1]
    return classes, positive


@dataclass(frozen=True)
class Outputs:
    """Predictions and scores of a batch in terms of a reference.

    `prediction` (rows,) are numbers if the reference's are, else texts in its classes' notation. `score`
    (rows,) is the score of the positive class of two, or of the predicted class of several.
    """

    prediction: Values
    score: Values | None

    @cached_property
    def texts(self) -> Texts:
        """(rows,) canonical text of each prediction."""
        return canonical_texts(self.prediction)


def read_outputs(reference: Reference, batch: Batch) -> Outputs:
    """Convert a batch's predictions to the reference's classes, and choose one score per row."""
    prediction = batch.prediction
    if isinstance(prediction, np.ndarray) and not reference.predicts_numbers:
        prediction = canonical_texts(prediction)
    elif isinstance(prediction, Texts):
        prediction = as_classes(prediction, reference.classes)
    elif isinstance(prediction, Mixed):
        prediction = replace(prediction, texts=as_classes(prediction.texts, reference.classes))
    if batch.scores is None:
        return Outputs(prediction, None)
    if batch.scores.several is None:
        return Outputs(prediction, batch.scores.single)
    wanted = canonical_texts(prediction).rows()
    if reference.task == "binary":
        wanted = [reference.positive_class] * batch.rows
    return Outputs(prediction, batch.scores.of_classes(wanted, reference.classes))


def as_classes(texts: Texts, classes: tuple[str, ...]) -> Texts:
    """Texts with other notations of classes replaced by the class, see `match_class`."""
    if not classes:
        return texts
    unlisted = np.flatnonzero(texts.places({name: place for place, name in enumerate(classes)}) < 0)
    known = {place: match_class(texts.texts[place], classes) for place in unlisted.tolist()}
    meant = {place: name for place, name in known.items() if name is not None}
    if not meant:
        return texts
    return Texts(texts.codes, [meant.get(place, text) for place, text in enumerate(texts.texts)])

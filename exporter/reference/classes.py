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
    """Classes of a reference, sorted as `numpy.unique` sorts their type; at most 30.

    scikit-learn sorts its `classes_` like this, and scores come in their order. The `further` one comes first
    where there are more, then labels, then predictions, the frequent ones first. Of 0 and 1, one is enough to
    know both: a model of rare events may never have predicted a 1.
    """
    named = dict.fromkeys([further] if further else [])
    named |= dict.fromkeys(label.categories if label is not None else ())
    named |= dict.fromkeys(prediction.categories)
    if named and named.keys() <= {"0", "1"}:
        return ("0", "1")
    chosen = list(named)[:MAX_CLASSES]
    return tuple(_sort_numbers(chosen) if order == "number" else sorted(chosen))


def _sort_numbers(texts: Sequence[str]) -> list[str]:
    """Texts of numbers by value; by their characters if one is none, such as a class that was only named."""
    try:
        return sorted(texts, key=_number)
    except ValueError:
        return sorted(texts)


def _number(text: str) -> int | float:
    try:
        return int(text)  # exact, which large ones need
    except ValueError:
        return float(text)


def with_classes(reference: Reference, positive: str, mean_ranks: dict[str, float]) -> Reference:
    """The reference with its classes named, and the positive one.

    Args:
        reference: with its labels' profile, where it has one, and the order of its classes.
        positive: what its owner says, may be empty; a class that the reference does not know is one then.
        mean_ranks: mean rank of the score by predicted class, of the reference's rows: the class that is
            predicted where scores are high is the positive one. Without, it is the last one: 1 of 0 and 1.
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
    """The classes, and the positive one, empty where there is none; the arguments as in `with_classes`."""
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
    (rows,) is one a row: of several the one of the predicted class, of two the one of the positive class.
    """

    prediction: Values
    score: Values | None

    @cached_property
    def texts(self) -> Texts:
        """(rows,) canonical text of each prediction."""
        return canonical_texts(self.prediction)


def read_outputs(reference: Reference, batch: Batch) -> Outputs:
    """Predictions and scores of a batch in terms of a reference."""
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
    """The texts, with classes in another notation replaced by the class: see `match_class`."""
    if not classes:
        return texts
    unlisted = np.flatnonzero(texts.places({name: place for place, name in enumerate(classes)}) < 0)
    known = {place: match_class(texts.texts[place], classes) for place in unlisted.tolist()}
    meant = {place: name for place, name in known.items() if name is not None}
    if not meant:
        return texts
    return Texts(texts.codes, [meant.get(place, text) for place, text in enumerate(texts.texts)])

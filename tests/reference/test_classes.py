"""Classes of a reference, their order, and the positive one."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from exporter.aggregates.outcome_layout import outcome_layout
from exporter.formats.class_scores import MAX_CLASSES
from exporter.formats.columns import OPAQUE
from exporter.reference.classes import Outputs, read_outputs
from exporter.reference.profile import Reference, decode_reference
from tests.support.references import build
from tests.support.wire import QUERY, decode, listed

SCORES = np.linspace(0.01, 0.99, 200)


@pytest.mark.parametrize(
    ("predictions", "labels", "classes"),
    [
        ([0, 1, 0], [0, 1, 1], ("0", "1")),
        ([0.0, 1.0, 0.0], [False, True, True], ("0", "1")),
        ([0, 0, 0], [0, 0, 0], ("0", "1")),
        (["no", "yes", "no"], ["no", "no", "yes"], ("no", "yes")),
        ([10, 9, 100], [9, 10, 100], ("9", "10", "100")),
        ([10.5, 9.0, -1.0], [9.0, 10.5, -1.0], ("-1", "9", "10.5")),
        (["10", "9", "100"], ["9", "10", "100"], ("10", "100", "9")),
        (["10", "9", "100"], [9, 10, 100], ("10", "100", "9")),
        ([10, 9, 100], ["9", "10", "100"], ("9", "10", "100")),
        ([10, 9, 100], ["9", "10", "lost"], ("10", "100", "9", "lost")),
        ([None, None, None], [9, 10, 100], ("9", "10", "100")),
        (pa.array(["10", "9", "100"]).dictionary_encode(), ["9", "10", "100"], ("10", "100", "9")),
        (pa.array([10, 9, 100]).dictionary_encode(), [9, 10, 100], ("9", "10", "100")),
        ([2**60 + 1, 2**60, 2**60 + 2], [2**60] * 3, (str(2**60), str(2**60 + 1), str(2**60 + 2))),
        (["b", "b", "b"], ["b", "a", "c"], ("a", "b", "c")),
    ],
)
def test_classes_are_those_of_labels_and_predictions(
    predictions: list[Any], labels: list[Any], classes: tuple[str, ...]
) -> None:
    task = "multiclass" if len(classes) > 2 else "binary"

    assert build({"prediction": predictions, "label": labels}, task=task).classes == classes


def doubts(reference: Reference) -> list[str]:
    return [note for note in decode_reference(reference.encode()).remarks if "in the order" in note]


def test_a_stored_reference_keeps_the_order_of_its_classes_and_says_if_it_may_be_wrong() -> None:
    new = build({"prediction": ["10", "9", "2"]}, task="multiclass")
    stored = replace(new, classes=("2", "9", "10"), class_order="")  # as it was before types counted
    found = decode_reference(stored.encode())

    assert "class_order" not in json.loads(zlib.decompress(stored.encode()[1:]))
    assert (found.classes, found.digest) == (("2", "9", "10"), stored.digest)
    [doubt] = doubts(stored)
    assert "in the order 2, 9, 10" in doubt
    assert not doubts(new)
    sorted_either_way = replace(stored, classes=("2", "3", "9"))
    assert not doubts(sorted_either_way)


def test_without_labels_predictions_name_the_classes() -> None:
    assert build({"prediction": ["no", "yes", "no"]}).classes == ("no", "yes")


def test_numbers_have_no_classes() -> None:
    reference = build({"prediction": [0.1, 0.7, 0.3]})

    assert (reference.task, reference.classes, reference.positive_class) == ("regression", (), "")


def test_there_are_at_most_thirty_classes() -> None:
    texts = [f"c{k:03d}" for k in range(100)]

    assert len(build({"prediction": texts, "label": texts}, task="multiclass").classes) == MAX_CLASSES


@pytest.mark.parametrize(
    ("low", "high", "positive"), [("no", "yes", "yes"), ("stay", "churn", "churn"), ("1", "0", "0")]
)
def test_the_positive_class_is_predicted_where_scores_are_high(low: str, high: str, positive: str) -> None:
    predictions = np.where(SCORES > 0.5, high, low)

    assert build({"prediction": predictions, "score": SCORES}).positive_class == positive


def test_without_scores_the_last_class_is_positive() -> None:
    assert build({"prediction": [0, 1, 0]}).positive_class == "1"
    assert build({"prediction": [0, 1, 0], "score": [0.5, 0.5, 0.5]}).positive_class == "1"


@pytest.mark.parametrize(
    ("said", "predictions", "positive"),
    [("0", [0, 1], "0"), ("true", [0, 1], "1"), ("1.0", [0, 1], "1"), ("no", ["no", "yes"], "no")],
)
def test_what_its_owner_says_is_positive(said: str, predictions: list[Any], positive: str) -> None:
    assert build({"prediction": predictions}, positive_class=said).positive_class == positive


def test_a_positive_class_that_was_never_predicted_is_one_all_the_same() -> None:
    reference = build({"prediction": ["no", "no"]}, positive_class="yes")

    assert (reference.classes, reference.positive_class) == (("no", "yes"), "yes")


def test_of_one_class_alone_nothing_can_be_said() -> None:
    assert outcome_layout(build({"prediction": ["no", "no"]})) is None
    assert outcome_layout(build({"y": [1, 2, 3]})) is None


# -- outputs ------------------------------------------------------------------------------------------------


def outputs_of(reference: Reference, predictions: list[Any], scores: list[Any] | None = None) -> Outputs:
    columns = {"features": {"x": [1] * len(predictions)}, "prediction": predictions}
    document = {**QUERY, "columns": columns | ({"score": scores} if scores else {})}
    return read_outputs(reference, decode(document))


def test_predicted_classes_are_in_the_notation_of_the_reference() -> None:
    reference = build({"prediction": [0, 1] * 50})

    assert listed(outputs_of(reference, [1, 0.0, None]).prediction) == ["1", "0", None]
    assert listed(outputs_of(reference, ["true", "1.0", "x"]).prediction) == ["1", "1", "x"]
    assert listed(outputs_of(reference, [True, "false", []]).texts) == ["1", "0", None]


def test_predicted_numbers_stay_numbers() -> None:
    outputs = outputs_of(build({"prediction": np.linspace(0, 1, 100)}), [0.5, None])

    assert listed(outputs.prediction) == [0.5, None]
    assert listed(outputs.texts) == ["0.5", None]


def test_of_several_scores_the_one_of_the_predicted_or_the_positive_class_is_taken() -> None:
    binary = build({"prediction": ["no", "yes"] * 50})
    several = build({"prediction": ["ash", "elm", "oak"] * 50})
    named = {"ash": 0.5, "oak": 0.3}

    assert listed(outputs_of(binary, ["no", "yes"], [[0.8, 0.2], 0.7]).score) == [0.2, 0.7]
    assert listed(outputs_of(several, ["oak", "elm"], [named, named]).score) == [0.3, None]
    assert listed(outputs_of(several, ["oak", "elm"], [[0.1, 0.9], 0.4]).score) == [OPAQUE, 0.4]

"""Columns of a reference that are not features, by name, signature or in doubt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exporter.reference.profile import Reference
from tests.profiling.built import AGES, ROWS, START, build, named

DRAW = np.random.default_rng(1)
CREDIT = DRAW.normal(600, 80, ROWS)
PREDICTED = (AGES > 40).astype(int)


def roles(reference: Reference) -> dict[str, str]:
    return {f"{column.name} ({column.role})": column.kind for column in reference.columns}


def test_what_the_signature_has_among_the_inputs_is_a_feature() -> None:
    columns = {
        "age": AGES, "score": CREDIT, "prediction": AGES, "timestamp": START + np.arange(ROWS) * 3600,
        "id": np.arange(ROWS) % 7, "label": AGES, "target": PREDICTED,
    }  # fmt: skip
    inputs = dict.fromkeys(["age", "score", "prediction", "timestamp", "id", "label"], "double")
    reference = build(columns, inputs=inputs)

    assert {column.role for column in reference.columns} == {"feature"}
    assert {column.name for column in reference.columns} == inputs.keys()
    assert (reference.target, reference.provisional) == ("target", True)
    note = "column score is a feature, by the model's signature: monitoring.score names the row's own score, "
    assert any(found.startswith(note) for found in reference.notes)


def test_the_rows_own_can_be_named() -> None:
    columns = {
        "age": AGES, "score": CREDIT, "prediction": AGES, "timestamp": AGES,
        "p1": DRAW.random(ROWS), "answer": PREDICTED, "at": START + np.arange(ROWS) * 3600,
    }  # fmt: skip
    reference = build(columns, score="p1", prediction="answer", timestamp="at")

    assert roles(reference) == {
        "age (feature)": "number",
        "score (feature)": "number",
        "prediction (feature)": "number",
        "timestamp (feature)": "number",
        "score (score)": "number",
        "prediction (prediction)": "category",
    }
    assert reference.task == "binary"
    assert not reference.provisional
    assert reference.named == {"score": "p1", "prediction": "answer", "timestamp": "at"}


def test_what_is_named_and_not_there_is_said_and_the_usual_name_is_a_feature() -> None:
    reference = build({"age": AGES, "score": CREDIT}, score="p1")

    assert roles(reference) == {"age (feature)": "number", "score (feature)": "number"}
    assert reference.notes == ("the reference has no column p1, its score",)


@pytest.mark.parametrize(
    ("columns", "doubt"),
    [
        ({"score": CREDIT}, "there are no predictions that it could be of"),
        (
            {"score": CREDIT, "prediction": PREDICTED},
            "it is not from 0 to 1, and predictions do not follow it",
        ),
        ({"score": ["good", "bad"] * 1500, "prediction": PREDICTED}, "it holds no numbers"),
    ],
    ids=["no predictions", "a credit score", "texts"],
)
def test_in_doubt_a_score_has_a_note_and_no_verdict(columns: dict[str, Any], doubt: str) -> None:
    reference = build({"age": AGES, **columns})

    assert "score" not in named(reference)
    assert reference.notes == (
        "column score is not monitored, for it may be a feature or the model's score: "
        f"{doubt}; the model's signature or monitoring.score would tell",
    )
    for certain in ({"inputs": {"age": "double"}}, {"score": "score"}):
        assert named(build({"age": AGES, **columns}, **certain))["score"].role == "score"


@pytest.mark.parametrize(
    "scores", [DRAW.random(ROWS), 4 * (AGES - 40), 40 - AGES], ids=["shares", "margins", "less"]
)
def test_a_score_that_looks_like_one_needs_no_word(scores: Any) -> None:
    reference = build({"age": AGES, "score": scores, "prediction": PREDICTED})

    assert named(reference)["score"].role == "score"
    assert reference.notes == ()


def test_in_doubt_a_timestamp_has_a_note() -> None:
    reference = build({"age": AGES, "timestamp": AGES})

    assert reference.provisional
    assert reference.notes[0].startswith("column timestamp is not monitored, for it may be a feature or")

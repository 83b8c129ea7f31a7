"""Labels in a reference: their profile, the classes, its own outcomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from exporter.aggregates.outcome_layout import outcome_layout
from exporter.aggregates.outcomes import decode_outcomes, tally
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.profile import Reference, decode_reference
from exporter.settings import Window
from tests.support.labelled import CLASSES, TASKS, make_labelled_reference, make_table, tally_table

HOUR = Window(3600, "1h")


def build(table: pa.Table, **data: Any) -> Reference:
    return build_reference(ReferenceData(table, "tests", **data), (HOUR,), 100)


@pytest.mark.parametrize("task", TASKS)
def test_the_target_is_profiled_by_itself(task: str) -> None:
    reference = make_labelled_reference(task)

    assert reference.labels is not None
    (column,) = reference.labels.columns
    assert (column.role, column.name) == ("label", "label")
    assert column.kind == ("number" if task == "regression" else "category")
    assert reference.labels.counts.sum() == reference.rows
    assert "label" not in [column.role for column in reference.columns]


@pytest.mark.parametrize("task", TASKS)
def test_its_own_outcomes_are_those_of_its_rows(task: str) -> None:
    table = make_table(task, 1000)
    reference = build(table)
    layout = outcome_layout(reference)
    assert layout is not None

    own = tally(layout, [decode_outcomes(layout, reference.outcomes)])
    expected = tally_table(layout, table)

    assert own.rows == 1000
    assert (own.matches, own.scored, own.sums) == (expected.matches, expected.scored, expected.sums)
    assert (own.confusion == expected.confusion).all()
    assert (own.histogram == expected.histogram).all()


def test_scores_of_several_classes_may_come_by_name() -> None:
    table = make_table("multiclass", 500)
    place = table.column_names.index("score")
    named = [dict(zip(CLASSES, row, strict=True)) for row in table["score"].to_pylist()]

    assert build(table.set_column(place, "score", pa.array(named))).outcomes == build(table).outcomes


def test_a_reference_without_a_target_has_neither() -> None:
    reference = build(make_table("binary", 100).drop_columns("label"))

    assert (reference.labels, reference.outcomes) == (None, b"")
    assert (reference.classes, reference.positive_class) == (("0", "1"), "1")


def test_a_reference_without_predictions_has_no_outcomes() -> None:
    reference = build(make_table("binary", 100).drop_columns(["prediction", "score"]), task="binary")

    assert reference.labels is not None
    assert (reference.outcomes, reference.classes) == (b"", ())
    assert outcome_layout(reference) is None


def test_labels_that_do_not_fit_the_task_are_left_out_with_a_note() -> None:
    table = make_table("regression", 100)
    texts = table.set_column(table.column_names.index("label"), "label", pa.array(["many"] * 100))

    reference = build(texts)

    assert (reference.labels, reference.outcomes) == (None, b"")
    assert any("holds no labels" in note for note in reference.notes)


def test_labels_that_are_all_missing_are_no_outcomes_to_speak_of() -> None:
    table = make_table("binary", 100)
    nulls = table.set_column(table.column_names.index("label"), "label", pa.nulls(100))

    reference = build(nulls)
    layout = outcome_layout(reference)

    assert layout is not None
    assert tally(layout, [decode_outcomes(layout, reference.outcomes)]).rows == 0


def test_labels_vary_from_hour_to_hour_as_features_do() -> None:
    table = make_table("binary", 10_000)
    times = pa.array(1_700_000_000 + np.arange(10_000) * 18.0)

    reference = build(table.append_column("timestamp", times))

    assert reference.labels is not None
    assert reference.labels.variation.keys() == {3600}


@pytest.mark.parametrize("task", TASKS)
def test_all_of_it_comes_back_from_the_store(task: str) -> None:
    reference = make_labelled_reference(task)

    again = decode_reference(reference.encode())

    assert again.digest == reference.digest
    assert (again.classes, again.positive_class) == (reference.classes, reference.positive_class)
    assert again.outcomes == reference.outcomes
    assert again.labels is not None
    assert reference.labels is not None
    assert again.labels.digest == reference.labels.digest


def test_what_labels_say_is_part_of_the_digest() -> None:
    table = make_table("binary", 300)
    flipped = table.set_column(
        table.column_names.index("label"), "label", pa.array(1 - np.array(table["label"]))
    )

    assert build(table).digest != build(flipped).digest

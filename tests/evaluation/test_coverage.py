"""Coverage of predictions by labels, and weights of the labelled rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from exporter.evaluation.coverage import Coverage, measure_coverage, predictions_by_class
from exporter.evaluation.figures import measure
from exporter.evaluation.quality_reference import QualityReference
from exporter.evaluation.weighting import plain_tables
from exporter.typing import Bools
from tests.support.labelled import (
    TASKS,
    make_quality_reference,
    make_table,
    make_traffic,
    spread_times,
    tally_table,
)

AGAINST = {task: make_quality_reference(task) for task in TASKS}
ROWS = 6000
TABLES = {task: make_table(task, ROWS, seed=5) for task in TASKS}


def cover(task: str, labelled: Bools, table: pa.Table | None = None, effect: float = 1.0) -> Coverage:
    """Coverage of rows of which only some have labels."""
    against, table = AGAINST[task], TABLES[task] if table is None else table
    found = tally_table(against.layout, table.filter(pa.array(labelled)))
    return measure_coverage(against.layout, found, cells(against, table), 0.8, effect)


def cells(against: QualityReference, table: pa.Table) -> np.ndarray:
    timeline = make_traffic(against.reference, table, spread_times(table.num_rows))
    size = (against.reference.cells, len(against.reference.columns))
    return against.outputs.take(timeline.sum(*size, -np.inf, np.inf).counts)


def at_random(share: float | np.ndarray, rows: int = ROWS) -> Bools:
    return np.random.default_rng(0).random(rows) < share


@pytest.mark.parametrize("task", TASKS)
def test_when_all_labels_are_there_rows_count_as_they_are(task: str) -> None:
    coverage = cover(task, at_random(2.0))

    assert (coverage.ratio, coverage.enough, coverage.even, coverage.reason) == (1, True, True, "")
    assert coverage.tables is not None
    assert coverage.tables.plain


@pytest.mark.parametrize(("share", "enough"), [(0.9, True), (0.8, True), (0.6, False), (0.0, False)])
@pytest.mark.parametrize("task", TASKS)
def test_labels_at_random_are_even_and_enough_from_the_minimum_on(
    task: str, share: float, enough: bool
) -> None:
    coverage = cover(task, at_random(share))

    assert coverage.ratio == pytest.approx(share, abs=0.02)
    assert (coverage.enough, coverage.even) == (enough, True)


@pytest.mark.parametrize("task", TASKS)
def test_without_predictions_there_is_no_coverage(task: str) -> None:
    coverage = cover(task, at_random(1.0, 0), TABLES[task][:0])

    assert np.isnan(coverage.ratio)
    assert not coverage.enough


def test_one_class_with_few_labels_is_not_enough() -> None:
    flagged = np.array(TABLES["binary"]["prediction"]) == 1

    coverage = cover("binary", at_random(np.where(flagged, 1.0, 0.6)))

    assert (coverage.enough, coverage.even) == (False, False)


def test_of_few_rows_nothing_uneven_can_be_told() -> None:
    table = TABLES["binary"][:40]

    coverage = cover("binary", at_random(0.8, 40), table)

    assert coverage.even
    assert coverage.enough


def test_rows_in_bursts_tell_less() -> None:
    flagged = np.array(TABLES["binary"]["prediction"]) == 1
    labelled = at_random(np.where(flagged, 1.0, 0.8))

    assert not cover("binary", labelled).even
    assert cover("binary", labelled, effect=100.0).even


@pytest.mark.parametrize("by", ["prediction", "score"])
def test_uneven_labels_are_weighted_by_inverse_coverage(by: str) -> None:
    against, table = AGAINST["binary"], TABLES["binary"]
    share = 1 - 0.75 * (
        np.array(table["prediction"]) == 0 if by == "prediction" else 1 - np.array(table["score"])
    )
    labelled = at_random(share)
    found = tally_table(against.layout, table.filter(pa.array(labelled)))

    coverage = cover("binary", labelled)
    assert coverage.tables is not None
    assert not coverage.tables.plain
    weighted = measure(against.layout, found, coverage.tables)
    naive = measure(against.layout, found, plain_tables(found))
    whole_rows = tally_table(against.layout, table)
    whole = measure(against.layout, whole_rows, plain_tables(whole_rows))

    assert abs(naive["recall"].value - whole["recall"].value) > 0.08
    for metric in ("accuracy", "precision", "recall", "f1", "roc_auc"):
        assert weighted[metric].value == pytest.approx(whole[metric].value, abs=0.025), metric


def test_uneven_labels_of_several_classes_are_weighted_by_predicted_class() -> None:
    against, table = AGAINST["multiclass"], TABLES["multiclass"]
    ash = np.array([name == "ash" for name in table["prediction"].to_pylist()])
    labelled = at_random(np.where(ash, 0.4, 1.0))
    found = tally_table(against.layout, table.filter(pa.array(labelled)))

    coverage = cover("multiclass", labelled)

    assert coverage.tables is not None
    weighted = measure(against.layout, found, coverage.tables)
    whole_rows = tally_table(against.layout, table)
    whole = measure(against.layout, whole_rows, plain_tables(whole_rows))
    assert weighted["recall_macro"].value == pytest.approx(whole["recall_macro"].value, abs=0.02)


def test_predictions_without_any_labels_cannot_be_stood_for() -> None:
    flagged = np.array(TABLES["binary"]["prediction"]) == 1

    coverage = cover("binary", flagged)

    assert coverage.tables is None
    assert "have no labels" in coverage.reason


def test_numbers_are_not_weighted() -> None:
    large = np.array(TABLES["regression"]["prediction"]) > 50

    coverage = cover("regression", at_random(np.where(large, 1.0, 0.5)))

    assert coverage.tables is None
    assert coverage.reason == "coverage by labels differs between predicted values"


def test_predictions_are_counted_by_class_with_what_is_unknown_last() -> None:
    against = AGAINST["multiclass"]
    rows = pa.table({"x": [0.0] * 5, "prediction": ["ash", "oak", "oak", "yew", None]})

    assert predictions_by_class(against.layout, cells(against, rows)).tolist() == [1, 0, 0, 2, 2]

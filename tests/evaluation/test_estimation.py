"""Estimates from the fine histogram of scores, or from the coarse counts that are always there."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from exporter.aggregates.outcomes import tally
from exporter.evaluation.estimation import Estimator, estimate_quality
from exporter.evaluation.figures import measure
from exporter.evaluation.quality_reference import QualityReference
from exporter.evaluation.weighting import plain_tables
from exporter.measures.cbpe import Estimate
from exporter.typing import Ints
from tests.support.labelled import (
    fold_traffic,
    make_quality_reference,
    make_table,
    make_traffic,
    spread_times,
    tally_table,
)

AGAINST = {task: make_quality_reference(task, rows=8000) for task in ("binary", "multiclass")}


def unsure(rows: int) -> pa.Table:
    """Rows of which most are where the model is unsure."""
    table = make_table("binary", 6 * rows, seed=3)
    distance = np.abs(np.array(table["score"]) - 0.5)
    kept = np.random.default_rng(0).random(6 * rows) < np.exp(-8 * distance)
    return table.filter(pa.array(kept))[:rows]


def estimator_of(against: QualityReference) -> Estimator:
    assert against.estimator is not None
    return against.estimator


def read(against: QualityReference, table: pa.Table) -> tuple[Ints, Ints]:
    """Coarse counts, and the fine histogram."""
    timeline = make_traffic(against.reference, table, spread_times(table.num_rows))
    size = (against.reference.cells, len(against.reference.columns))
    traffic = tally(
        against.layout, fold_traffic(against.layout, table, np.zeros(table.num_rows, np.int64)).values()
    )
    return against.outputs.take(timeline.sum(*size, -np.inf, np.inf).counts), traffic.traffic


def both(table: pa.Table) -> list[tuple[dict[str, Estimate], str]]:
    against = AGAINST["binary"]
    coarse, fine = read(against, table)
    return [estimate_quality(estimator_of(against), coarse, each) for each in (fine, 0 * fine)]


def real(task: str, table: pa.Table) -> dict[str, float]:
    found = tally_table(AGAINST[task].layout, table)
    return {m: f.value for m, f in measure(AGAINST[task].layout, found, plain_tables(found)).items()}


def test_both_see_quality_fall_where_the_model_is_unsure() -> None:
    table = unsure(5000)
    truth = real("binary", table)

    assert truth["accuracy"] < AGAINST["binary"].baselines["accuracy"].figure.value - 0.05
    for found, reason in both(table):
        assert not reason
        for metric in ("accuracy", "precision", "recall", "f1", "roc_auc"):
            assert found[metric].value == pytest.approx(truth[metric], abs=0.025), metric


def test_coarse_counts_say_nearly_what_the_fine_histogram_says() -> None:
    (fine, _), (coarse, _) = both(make_table("binary", 5000, seed=7))

    for metric in fine:
        assert coarse[metric].value == pytest.approx(fine[metric].value, abs=0.003), metric


def test_a_fine_histogram_of_a_part_is_not_taken_for_the_whole() -> None:
    against, table = AGAINST["binary"], make_table("binary", 4000)
    coarse, fine = read(against, table)

    part, _ = estimate_quality(estimator_of(against), coarse, fine // 3)
    none, _ = estimate_quality(estimator_of(against), coarse, 0 * fine)

    assert part == none


def test_another_threshold_is_seen_in_the_fine_histogram() -> None:
    table = make_table("binary", 5000)
    prediction = pa.array((np.array(table["score"]) >= 0.3).astype(np.int64))
    table = table.set_column(table.column_names.index("prediction"), "prediction", prediction)
    (fine, no_reason), (coarse, reason) = both(table)

    assert not no_reason
    assert fine["recall"].value == pytest.approx(real("binary", table)["recall"], abs=0.02)
    assert "do not follow" in reason
    assert coarse.keys() == {"roc_auc"}


def test_of_several_classes_the_accuracy_is_estimated() -> None:
    against, table = AGAINST["multiclass"], make_table("multiclass", 4000, seed=8)
    coarse, fine = read(against, table)

    found, reason = estimate_quality(estimator_of(against), coarse, fine)

    assert not reason
    assert found.keys() == {"accuracy"}
    assert found["accuracy"].value == pytest.approx(real("multiclass", table)["accuracy"], abs=0.02)


def test_without_predictions_there_is_nothing_to_estimate() -> None:
    for found, reason in both(make_table("binary", 10)[:0]):
        assert (found, reason) == ({}, "there are no predictions")


def test_predictions_without_scores_cannot_be_estimated() -> None:
    table = make_table("binary", 1000)
    scores = np.where(np.arange(1000) % 3 == 0, np.nan, np.array(table["score"]))
    table = table.set_column(table.column_names.index("score"), "score", pa.array(scores, from_pandas=True))

    for found, reason in both(table):
        assert (found, reason) == ({}, "too many predictions have no score")


def test_scores_that_the_reference_never_had_cannot_be_estimated() -> None:
    table = make_table("binary", 1000)
    scores = np.where(np.arange(1000) % 5 == 0, 0.9999999, np.array(table["score"]))
    table = table.set_column(table.column_names.index("score"), "score", pa.array(scores))

    for found, reason in both(table):
        assert (found, reason) == ({}, "too many scores are outside the reference's range")

"""Verdicts on quality, and reasons why there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from exporter.aggregates.outcomes import Tally
from exporter.evaluation.baselines import Baseline
from exporter.evaluation.context import QualityRules
from exporter.evaluation.coverage import Coverage
from exporter.evaluation.figures import QUALITY_METRICS, SCORE_METRICS
from exporter.evaluation.quality_reference import QualityReference
from exporter.evaluation.quality_verdicts import MetricQuality, confirm_quality, judge_quality
from exporter.evaluation.weighting import binary_tables, plain_tables
from exporter.measures.intervals import known
from tests.support.labelled import TASKS, make_quality_reference, make_table, tally_table
from tests.support.traffic import DAY

AGAINST = {task: make_quality_reference(task) for task in TASKS}
RULES = QualityRules()


def full(found: Tally) -> Coverage:
    return Coverage(1.0, enough=True, even=True, tables=plain_tables(found), reason="")


def judge(
    task: str,
    table: pa.Table,
    rules: QualityRules = RULES,
    against: QualityReference | None = None,
    effect: float = 1.0,
) -> tuple[dict[str, MetricQuality], dict[str, str]]:
    against = against or AGAINST[task]
    found = tally_table(against.layout, table)
    metrics, suppressed = judge_quality(against, DAY, found, full(found), rules, effect)
    return {quality.metric: quality for quality in metrics}, suppressed


def with_baseline(metric: str, value: float, tolerance: float) -> QualityReference:
    against = AGAINST["binary"]
    return replace(against, baselines={metric: Baseline(known(value), "run")}, tolerances={metric: tolerance})


@pytest.mark.parametrize("task", TASKS)
def test_rows_like_the_references_are_not_degraded(task: str) -> None:
    metrics, suppressed = judge(task, make_table(task, 2000, seed=3))

    assert (metrics.keys(), suppressed) == (set(QUALITY_METRICS[task]), {})
    assert {quality.degraded for quality in metrics.values()} == {False}
    assert all(quality.undecided == "" for quality in metrics.values())


@pytest.mark.parametrize(
    ("task", "metric"),
    [("binary", "roc_auc"), ("binary", "log_loss"), ("multiclass", "f1_macro"), ("regression", "rmse")],
)
def test_a_model_that_has_become_worse_is_degraded(task: str, metric: str) -> None:
    quality = judge(task, make_table(task, 2000, flaw=0.5))[0][metric]

    assert quality.degraded is True
    assert quality.shortfall > quality.tolerance


@pytest.mark.parametrize("task", TASKS)
def test_a_model_that_has_become_better_is_not(task: str) -> None:
    table = make_table(task, 2000)
    perfect = table.set_column(table.column_names.index("prediction"), "prediction", table["label"])

    metrics, _ = judge(task, perfect)

    # the scores were not made for these predictions
    assert {quality.degraded for name, quality in metrics.items() if name not in SCORE_METRICS} == {False}


def test_the_interval_of_the_difference_has_to_lie_beyond_the_tolerance() -> None:
    table = make_table("binary", 1000)
    figure = judge("binary", table)[0]["accuracy"].figure
    below = figure.upper - figure.value

    just, not_yet = (
        judge("binary", table, against=with_baseline("accuracy", figure.value + below + slack, 0.0))[0][
            "accuracy"
        ]
        for slack in (0.001, -0.001)
    )

    assert (just.degraded, not_yet.degraded) == (True, False)
    assert just.baseline - just.figure.value == pytest.approx(just.shortfall)


def test_a_tolerated_difference_is_no_degradation() -> None:
    table = make_table("binary", 1000)
    value = judge("binary", table)[0]["accuracy"].figure.value

    strict, lenient = (
        judge("binary", table, against=with_baseline("accuracy", value + 0.1, tolerance))[0][
            "accuracy"
        ].degraded
        for tolerance in (0.03, 0.1)
    )

    assert (strict, lenient) == (True, False)


def test_a_baseline_of_few_rows_is_itself_uncertain() -> None:
    table = make_table("binary", 1000, flaw=0.2)

    verdicts = [
        judge("binary", table, against=make_quality_reference("binary", rows=rows))[0]["roc_auc"].degraded
        for rows in (250, 20_000)
    ]

    assert verdicts == [False, True]


def test_rows_in_bursts_prove_less() -> None:
    table = make_table("binary", 1000, flaw=0.4)

    assert judge("binary", table)[0]["roc_auc"].degraded is True
    assert judge("binary", table, effect=20.0)[0]["roc_auc"].degraded is False


@pytest.mark.parametrize(("rows", "verdict"), [(199, None), (200, True)])
def test_there_is_no_verdict_on_few_labels(rows: int, verdict: bool | None) -> None:
    quality = judge("regression", make_table("regression", rows, flaw=1.0))[0]["mae"]

    assert quality.degraded is verdict
    assert ("labels" in quality.undecided) == (verdict is None)


@pytest.mark.parametrize(("positives", "verdict"), [(29, None), (30, False)])
def test_there_is_no_verdict_on_few_positives(positives: int, verdict: bool | None) -> None:
    table = make_table("binary", 3000)
    labels = np.array(table["label"])
    kept = np.concatenate([np.flatnonzero(labels == 1)[:positives], np.flatnonzero(labels == 0)])

    quality = judge("binary", table.take(pa.array(np.sort(kept))))[0]["recall"]

    assert quality.degraded is verdict
    assert ("positives" in quality.undecided) == (verdict is None)


def test_the_minimums_are_its_owners() -> None:
    table = make_table("binary", 100, flaw=1.0)

    assert judge("binary", table)[0]["roc_auc"].degraded is None
    lenient = QualityRules(min_labels=50, min_positives=10)
    assert judge("binary", table, lenient)[0]["roc_auc"].degraded is True


def test_without_a_baseline_there_is_a_figure_and_no_verdict() -> None:
    against = replace(AGAINST["binary"], baselines={}, tolerances={})

    quality = judge("binary", make_table("binary", 1000), against=against)[0]["accuracy"]

    assert (quality.degraded, quality.undecided) == (None, "no baseline")
    assert np.isnan([quality.baseline, quality.tolerance, quality.shortfall]).all()


def test_without_labels_there_are_no_figures() -> None:
    for task in TASKS:
        metrics, suppressed = judge(task, make_table(task, 10)[:0])
        assert (metrics, suppressed) == ({}, dict.fromkeys(QUALITY_METRICS[task], "no labels"))


# -- coverage -----------------------------------------------------------------------------------------------


def judge_covered(coverage: Coverage, found: Tally) -> tuple[dict[str, MetricQuality], dict[str, str]]:
    metrics, suppressed = judge_quality(AGAINST["binary"], DAY, found, coverage, RULES, 1.0)
    return {quality.metric: quality for quality in metrics}, suppressed


def test_where_a_stratum_has_few_labels_there_is_no_verdict() -> None:
    found = tally_table(AGAINST["binary"].layout, make_table("binary", 1000, flaw=1.0))

    metrics, _ = judge_covered(replace(full(found), enough=False), found)

    assert {quality.degraded for quality in metrics.values()} == {None}
    assert "80%" in metrics["recall"].undecided


def test_weighted_rows_have_no_losses() -> None:
    layout = AGAINST["binary"].layout
    found = tally_table(layout, make_table("binary", 1000))
    tables = binary_tables(layout, found, np.ones((2, 1)))

    metrics, suppressed = judge_covered(Coverage(0.9, True, False, tables, "weighted"), found)

    assert suppressed.keys() == {"log_loss", "brier"}
    assert metrics.keys() == set(QUALITY_METRICS["binary"]) - suppressed.keys()
    assert {quality.degraded for quality in metrics.values()} == {False}


def test_where_labelled_rows_cannot_stand_for_the_others_only_precision_is_left() -> None:
    found = tally_table(AGAINST["binary"].layout, make_table("binary", 1000))

    metrics, suppressed = judge_covered(Coverage(0.3, False, False, None, "flagged only"), found)

    assert metrics.keys() == {"precision"}
    assert metrics["precision"].degraded is None
    assert suppressed["recall"] == "flagged only"


# -- scores -------------------------------------------------------------------------------------------------


def test_without_scores_there_are_no_figures_of_scores() -> None:
    table = make_table("binary", 1000).drop_columns("score")

    metrics, suppressed = judge("binary", table)

    assert metrics.keys() == {"accuracy", "precision", "recall", "f1"}
    assert set(suppressed.values()) == {"too few labelled rows have a score"}


def test_a_few_rows_without_a_score_do_not_matter() -> None:
    table = make_table("binary", 1000)
    scores = np.where(np.arange(1000) % 10 == 0, np.nan, np.array(table["score"]))

    metrics, suppressed = judge("binary", table.set_column(1, "score", pa.array(scores, from_pandas=True)))

    assert suppressed == {}
    assert metrics["roc_auc"].degraded is False


def test_a_score_of_the_predicted_class_alone_has_no_losses() -> None:
    table = make_table("multiclass", 1000)
    confidence = [max(row) for row in table["score"].to_pylist()]
    place = table.column_names.index("score")

    metrics, suppressed = judge("multiclass", table.set_column(place, "score", pa.array(confidence)))

    assert suppressed.keys() == {"log_loss", "brier"}
    assert metrics["calibration_error"].degraded is False


def test_scores_that_are_no_probabilities_rank_and_nothing_else() -> None:
    table = make_table("binary", 4000)
    margins = table.set_column(1, "score", pa.array(20 * np.array(table["score"]) - 10))

    metrics, suppressed = judge("binary", margins, against=make_quality_reference("binary", table=margins))

    assert suppressed.keys() == {"log_loss", "brier", "calibration_error"}
    assert metrics["roc_auc"].degraded is False


def test_a_figure_without_rows_to_be_a_share_of_is_suppressed() -> None:
    table = make_table("binary", 1000)
    never = table.set_column(table.column_names.index("prediction"), "prediction", pa.array([0] * 1000))

    metrics, suppressed = judge("binary", never)

    assert suppressed == {"precision": "no rows to compute it from"}
    assert metrics["recall"].figure.value == 0


# -- natural variation --------------------------------------------------------------------------------------


def with_variation(allowance: float) -> QualityReference:
    """A baseline of 0.9, a tolerance of 0.03, and a reference with this allowance for accuracy."""
    against = with_baseline("accuracy", 0.9, 0.03)
    reference = replace(against.reference, quality_variation={DAY.seconds: {"accuracy": allowance}})
    return replace(against, reference=reference)


def right(share: float, rows: int = 4000) -> pa.Table:
    """Rows of which such a share is predicted right."""
    correct = np.arange(rows) < share * rows
    label = np.arange(rows) % 2
    return pa.table({"x": np.zeros(rows), "prediction": np.where(correct, label, 1 - label), "label": label})


@pytest.mark.parametrize(("accuracy", "degraded"), [(0.85, False), (0.8, False), (0.75, True)])
def test_natural_variation_is_allowed_on_top_of_the_tolerance(accuracy: float, degraded: bool) -> None:
    quality = judge("binary", right(accuracy), against=with_variation(0.1))[0]["accuracy"]

    assert (quality.tolerance, quality.allowance, quality.limit) == (0.03, 0.1, pytest.approx(0.13))
    assert quality.degraded is degraded


def test_where_the_reference_varies_beyond_measure_nobody_can_tell() -> None:
    quality = judge("binary", right(0.5), against=with_variation(0.31))[0]["accuracy"]

    assert (quality.degraded, quality.undecided) == (None, "it varies too much in the reference itself")


@pytest.mark.parametrize(("before", "degraded"), [(True, True), (False, False), (None, None)])
@pytest.mark.parametrize("allowance", [0.0, np.nan], ids=["known", "provisional"])
def test_what_is_worse_has_to_be_so_in_the_window_before(
    allowance: float, before: bool | None, degraded: bool | None
) -> None:
    now = MetricQuality("accuracy", known(0.85), 0.9, 0.03, allowance, 0.05, 0.04, True)

    (found,) = confirm_quality((now,), lambda: (replace(now, degraded=before),))

    assert found.degraded is degraded
    assert bool(found.undecided) == (degraded is None)


def test_what_is_worse_by_far_needs_no_window_before() -> None:
    now = MetricQuality("accuracy", known(0.6), 0.9, 0.03, 0.1, 0.3, 0.27, True)

    (found,) = confirm_quality((now,), tuple)

    assert found.degraded is True


def test_unless_nobody_knows_how_much_it_varies() -> None:
    now = MetricQuality("accuracy", known(0.6), 0.9, 0.03, np.nan, 0.3, 0.27, True)

    (found,) = confirm_quality((now,), tuple)

    assert (found.provisional, found.degraded) == (True, None)


def test_the_window_before_is_not_looked_at_without_need() -> None:
    now = MetricQuality("accuracy", known(0.9), 0.9, 0.03, 0.1, 0.0, -0.01, False)

    assert confirm_quality((now,), lambda: pytest.fail("for nothing")) == (now,)

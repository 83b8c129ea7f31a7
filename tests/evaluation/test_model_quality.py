"""Quality by window: which hours are in it, what is real, what is estimated, what drifts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from exporter.aggregates.outcomes import Outcomes
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.comparison import DRIFTED, STABLE, UNDECIDED
from exporter.evaluation.context import EvaluationContext, QualityRules, Thresholds
from exporter.evaluation.model_quality import (
    EstimatedQuality,
    MetricQuality,
    QualityEvaluation,
    evaluate_quality,
    matured_window,
)
from exporter.evaluation.quality_reference import QualityReference
from exporter.reference.profile import Variation
from exporter.settings import Window
from tests.support.labelled import (
    TASKS,
    fold_table,
    fold_traffic,
    hours_of,
    make_quality_reference,
    make_table,
    make_traffic,
    merge,
    spread_times,
)
from tests.support.traffic import DAY, HOUR, NOW, SETTINGS, WEEK

AGAINST = {task: make_quality_reference(task) for task in TASKS}
DAYS_2 = QualityRules(maturation_seconds=2 * 86400.0)


def world(
    against: QualityReference, *parts: tuple[pa.Table, tuple[float, float]], labelled: bool = True
) -> tuple[dict[int, Outcomes], Timeline]:
    """Outcomes and predictions of tables, each spread over so many hours ago."""
    outcomes: dict[int, Outcomes] = {}
    tables, moments = [], []
    for table, hours_ago in parts:
        times = spread_times(table.num_rows, hours_ago)
        traffic = fold_traffic(against.layout, table, hours_of(times))
        labels = fold_table(against.layout, table, hours_of(times)) if labelled else {}
        outcomes = merge(outcomes, traffic, labels)
        tables.append(table)
        moments.append(times)
    return outcomes, make_traffic(against.reference, pa.concat_tables(tables), np.concatenate(moments))


def judge(
    against: QualityReference,
    of: tuple[dict[int, Outcomes], Timeline],
    rules: QualityRules | None = None,
    window: Window = DAY,
    effects: float = 1.0,
    thresholds: Thresholds | None = None,
) -> QualityEvaluation:
    context = EvaluationContext((window,), NOW, thresholds or Thresholds(), rules or QualityRules())
    (found,) = evaluate_quality(against, *of, replace(context, effects=effects))
    return found


def real(found: QualityEvaluation) -> dict[str, MetricQuality]:
    return {quality.metric: quality for quality in found.metrics}


def estimated(found: QualityEvaluation) -> dict[str, EstimatedQuality]:
    return {quality.metric: quality for quality in found.estimates}


# -- windows ------------------------------------------------------------------------------------------------


def test_without_maturation_a_window_reaches_from_the_hour_of_its_start_to_that_of_now() -> None:
    assert matured_window(DAY, 0, 3600, 100 * 3600 + 600) == (76 * 3600, 101 * 3600)


def test_a_matured_window_ends_with_the_last_hour_that_has_matured() -> None:
    now = 200 * 3600 + 600

    assert matured_window(DAY, 2 * 86400, 3600, now) == (128 * 3600, 152 * 3600)
    assert matured_window(Window(5400, "90m"), 3600, 3600, now) == (197 * 3600, 199 * 3600)


def test_adjacent_matured_windows_are_disjoint() -> None:
    start, end = matured_window(DAY, 3600, 3600, NOW)

    assert matured_window(DAY, 3600 + 86400, 3600, NOW) == (start - (end - start), start)


def test_only_predictions_that_have_matured_count() -> None:
    against = AGAINST["binary"]
    of = world(
        against,
        (make_table("binary", 300), (1, 20)),
        (make_table("binary", 500, seed=2), (49, 71)),
        (make_table("binary", 700, seed=3), (75, 90)),
    )

    found = judge(against, of, DAYS_2)

    assert (found.labels, found.predictions, found.coverage) == (500, 500, 1.0)
    assert (NOW - found.end, found.end - found.start) == (2 * 86400, 86400)


def test_labels_of_positives_that_come_first_do_not_flatter_a_matured_window() -> None:
    """Fraud is reported in days, that there was none is known after a month."""
    against = make_quality_reference("binary", rows=20_000)
    recent, old = make_table("binary", 2000, seed=2), make_table("binary", 2000, seed=3)
    positive = recent.filter(pa.array(np.array(recent["label"]) == 1))
    times, old_times = spread_times(2000, (1, 23)), spread_times(2000, (49, 71))
    positives = times[np.array(recent["label"]) == 1]
    outcomes = merge(
        fold_table(against.layout, positive, hours_of(positives)),
        fold_table(against.layout, old, hours_of(old_times)),
    )
    both = pa.concat_tables([recent, old])
    of = outcomes, make_traffic(against.reference, both, np.concatenate([times, old_times]))

    plain, matured = judge(against, of), judge(against, of, DAYS_2)

    assert plain.coverage < 0.5
    assert {quality.degraded for quality in plain.metrics} == {None}
    assert real(matured)["precision"].figure.value == pytest.approx(
        against.baselines["precision"].figure.value, abs=0.06
    )
    assert real(matured)["precision"].degraded is False


def test_every_window_is_evaluated() -> None:
    against = AGAINST["binary"]
    of = world(against, (make_table("binary", 400), (0, 1)), (make_table("binary", 600, seed=2), (30, 90)))

    found = evaluate_quality(against, *of, EvaluationContext((HOUR, DAY, WEEK), NOW))

    assert [each.window for each in found] == [HOUR, DAY, WEEK]
    assert [each.labels for each in found] == [400, 400, 1000]


@pytest.mark.parametrize("task", TASKS)
def test_a_version_without_traffic_has_nothing_to_show(task: str) -> None:
    found = judge(AGAINST[task], ({}, Timeline(SETTINGS)))

    assert (found.labels, found.predictions, found.metrics, found.classes) == (0, 0, (), ())
    assert np.isnan(found.coverage)
    assert found.estimates == ()
    assert found.no_estimate
    assert found.label_drift is not None
    assert found.label_drift.verdict.tolist() == [UNDECIDED]


# -- real ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_healthy_traffic_has_every_figure_and_no_complaint(task: str) -> None:
    against = AGAINST[task]

    found = judge(against, world(against, (make_table(task, 3000, seed=2), (1, 23))))

    assert (found.labels, found.predictions, found.coverage, found.weighted) == (3000, 3000, 1.0, False)
    assert found.suppressed == {}
    assert {quality.degraded for quality in found.metrics} == {False}
    assert len(found.classes) == {"binary": 6, "multiclass": 12, "regression": 0}[task]


@pytest.mark.parametrize("task", TASKS)
def test_the_confusion_has_every_labelled_row_by_its_label_and_prediction(task: str) -> None:
    against, table = AGAINST[task], make_table(task, 3000, seed=2)

    confusion = judge(against, world(against, (table, (1, 23)))).confusion

    if task == "regression":
        assert confusion is None
        return
    assert confusion is not None
    assert confusion.classes == (*against.layout.classes, "(other)")
    pairs = Counter(
        zip(*(map(str, table[name].to_pylist()) for name in ("label", "prediction")), strict=True)
    )
    found = {
        (actual, predicted): rows
        for actual, counts in zip(confusion.classes, confusion.rows.tolist(), strict=True)
        for predicted, rows in zip(confusion.classes, counts, strict=True)
        if rows
    }
    assert found == pairs


def test_late_labels_raise_the_coverage() -> None:
    against, table = AGAINST["binary"], make_table("binary", 1000)
    times = spread_times(1000)
    timeline = make_traffic(against.reference, table, times)
    first = fold_table(against.layout, table[:400], hours_of(times[:400]))
    later = merge(first, fold_table(against.layout, table[400:], hours_of(times[400:])))

    before, after = (judge(against, (outcomes, timeline)) for outcomes in (first, later))

    assert (before.coverage, after.coverage) == (0.4, 1.0)
    assert real(before)["accuracy"].degraded is None
    assert real(after)["accuracy"].degraded is False


def test_labels_for_flagged_predictions_alone_suppress_recall_and_say_so() -> None:
    against, table = AGAINST["binary"], make_table("binary", 2000)
    times, flagged = spread_times(2000), np.array(table["prediction"]) == 1
    outcomes = fold_table(against.layout, table.filter(pa.array(flagged)), hours_of(times[flagged]))

    found = judge(against, (outcomes, make_traffic(against.reference, table, times)))

    assert real(found).keys() == {"precision"}
    assert "have no labels" in found.suppressed["recall"]
    assert (found.weighted, found.classes) == (False, ())


def test_labels_for_some_predictions_rather_than_others_are_weighted_and_it_says_so() -> None:
    against, table = AGAINST["binary"], make_table("binary", 8000)
    times, flagged = spread_times(8000), np.array(table["prediction"]) == 1
    labelled = flagged | (np.random.default_rng(0).random(8000) < 0.5)
    outcomes = fold_table(against.layout, table.filter(pa.array(labelled)), hours_of(times[labelled]))
    timeline = make_traffic(against.reference, table, times)

    found = judge(against, (outcomes, timeline))
    whole = judge(against, world(against, (table, (1, 23))))

    assert found.weighted
    assert real(found)["recall"].figure.value == pytest.approx(real(whole)["recall"].figure.value, abs=0.02)
    assert real(found)["recall"].degraded is None


def test_unusable_labels_are_counted() -> None:
    against, table = AGAINST["regression"], make_table("regression", 300)
    broken = table.set_column(table.column_names.index("label"), "label", pa.nulls(300, pa.float64()))

    found = judge(against, world(against, (table, (1, 23)), (broken, (1, 23))))

    assert (found.labels, found.unusable_labels, found.predictions) == (300, 300, 600)


def test_bursts_of_rows_prove_less() -> None:
    against = AGAINST["binary"]
    of = world(
        against,
        (make_table("binary", 1500, flaw=0.4), (1, 23)),
        (make_table("binary", 1500, seed=2, flaw=0.4), (26, 48)),
    )

    verdicts = [real(judge(against, of, effects=effects))["roc_auc"].degraded for effects in (1.0, 20.0)]

    assert verdicts == [True, False]


def test_the_effect_of_bursts_is_that_of_the_predictions() -> None:
    against = AGAINST["binary"]
    table = make_table("binary", 200)
    bursts = table.take(pa.array(np.repeat(np.arange(200), 30)))
    times = np.repeat(spread_times(200), 30)
    timeline = make_traffic(against.reference, bursts, times)

    context = EvaluationContext((DAY,), NOW).with_effects(against.reference, timeline)

    roles = [column.role for column in against.reference.columns]
    assert context.effects_of(against.reference)[0, roles.index("prediction")] > 8


def test_without_rows_there_is_no_effect() -> None:
    reference = AGAINST["binary"].reference
    context = EvaluationContext((DAY,), NOW).with_effects(reference, Timeline(SETTINGS))

    assert (context.effects_of(reference) == 1).all()


# -- estimated ----------------------------------------------------------------------------------------------


def unsure(rows: int) -> pa.Table:
    table = make_table("binary", 6 * rows, seed=3)
    distance = np.abs(np.array(table["score"]) - 0.5)
    kept = np.random.default_rng(0).random(6 * rows) < np.exp(-8 * distance)
    return table.filter(pa.array(kept))[:rows]


def test_quality_is_estimated_before_there_are_labels() -> None:
    against = make_quality_reference("binary", rows=10_000)

    healthy = judge(against, world(against, (make_table("binary", 3000), (1, 23)), labelled=False))
    worse = judge(against, world(against, (unsure(3000), (1, 23)), labelled=False))

    assert healthy.metrics == worse.metrics == ()
    assert {quality.degraded for quality in healthy.estimates} == {False}
    accuracy = estimated(worse)["accuracy"]
    assert accuracy.degraded is True
    assert accuracy.shortfall == pytest.approx(accuracy.baseline - accuracy.figure.value)
    assert np.isnan(accuracy.error)


def test_the_estimate_is_of_now_and_the_quality_of_what_has_matured() -> None:
    against = make_quality_reference("binary", rows=10_000)
    of = world(against, (unsure(3000), (1, 23)), (make_table("binary", 3000), (49, 71)))

    found = judge(against, of, DAYS_2)

    assert real(found)["accuracy"].degraded is False
    assert estimated(found)["accuracy"].degraded is True
    # the estimate of the matured window is what the labels there are compared with
    assert abs(estimated(found)["accuracy"].error) < 0.03


def test_an_estimate_cannot_see_that_the_same_inputs_mean_something_else() -> None:
    against = make_quality_reference("binary", rows=10_000)

    of = world(
        against,
        (make_table("binary", 3000, flaw=0.6), (1, 23)),
        (make_table("binary", 3000, seed=2, flaw=0.6), (26, 48)),
    )

    found = judge(against, of)

    assert real(found)["roc_auc"].degraded is True
    assert estimated(found)["roc_auc"].degraded is False
    assert estimated(found)["roc_auc"].error > 0.1


def test_on_few_predictions_an_estimate_has_no_verdict() -> None:
    against = AGAINST["binary"]

    found = judge(against, world(against, (unsure(150), (1, 23)), labelled=False))

    assert {quality.degraded for quality in found.estimates} == {None}


def test_an_estimate_without_a_verdict_says_why() -> None:
    few, many = (
        judge(
            AGAINST["binary"], world(AGAINST["binary"], (make_table("binary", rows), (1, 23)), labelled=False)
        )
        for rows in (150, 900)
    )

    assert {estimate.undecided for estimate in few.estimates} == {"150 predictions, 200 are needed"}
    assert {estimate.undecided for estimate in many.estimates} == {""}


def test_why_there_is_no_estimate_is_said() -> None:
    against = AGAINST["regression"]

    found = judge(against, world(against, (make_table("regression", 500), (1, 23))))

    assert (found.estimates, found.no_estimate) == ((), "numbers have no scores to learn from")


# -- label drift --------------------------------------------------------------------------------------------


def positives(rows: int, share: float) -> pa.Table:
    """Rows of which so many are positive."""
    table = make_table("binary", 12 * rows, seed=4)
    labels = np.array(table["label"])
    count = round(share * rows)
    kept = np.concatenate([np.flatnonzero(labels == 1)[:count], np.flatnonzero(labels == 0)[: rows - count]])
    return table.take(pa.array(np.sort(kept)))


def with_steady_labels(against: QualityReference) -> QualityReference:
    """A quality reference without variation between the days of its labels."""
    assert against.reference.labels is not None
    none = np.zeros(1)
    variation = {DAY.seconds: Variation(30, none, none, none, none, none)}
    labels = replace(against.reference.labels, variation=variation)
    return replace(against, reference=replace(against.reference, labels=labels))


@pytest.mark.parametrize(
    ("today", "yesterday", "verdict"),
    [(0.35, 0.35, STABLE), (0.9, 0.35, DRIFTED), (0.6, 0.35, STABLE), (0.6, 0.6, DRIFTED)],
)
def test_labels_drift_by_the_same_verdict_as_features(today: float, yesterday: float, verdict: int) -> None:
    against = with_steady_labels(AGAINST["binary"])
    of = world(against, (positives(2000, today), (1, 23)), (positives(2000, yesterday), (26, 47)))

    drift = judge(against, of).label_drift

    assert drift is not None
    assert drift.verdict.tolist() == [verdict]
    assert drift.rows == 2000


def test_the_threshold_of_label_drift_is_that_of_its_column() -> None:
    against = AGAINST["binary"]
    of = world(against, (positives(2000, 0.6), (1, 23)), (positives(2000, 0.6), (26, 47)))

    drift = judge(against, of, thresholds=Thresholds(drift_by_column={"label": 0.5})).label_drift

    assert drift is not None
    assert drift.verdict.tolist() == [STABLE]


def test_labels_of_some_predictions_alone_do_not_drift() -> None:
    against, table = AGAINST["binary"], make_table("binary", 4000)
    times, flagged = spread_times(4000), np.array(table["prediction"]) == 1
    outcomes = fold_table(against.layout, table.filter(pa.array(flagged)), hours_of(times[flagged]))

    drift = judge(against, (outcomes, make_traffic(against.reference, table, times))).label_drift

    assert drift is not None
    assert drift.drift_score[0] > 0.3
    assert drift.verdict.tolist() == [UNDECIDED]


def test_without_labels_in_the_reference_nothing_drifts_from_them() -> None:
    table = make_table("binary", 2000).drop_columns("label")
    against = make_quality_reference("binary", table=table)

    found = judge(against, world(against, (make_table("binary", 500), (1, 23))))

    assert found.label_drift is None
    assert real(found)["accuracy"].undecided == "no baseline"


@pytest.mark.parametrize("task", TASKS)
def test_figures_are_numbers_that_any_encoder_takes(task: str) -> None:
    against = AGAINST[task]
    found = judge(against, world(against, (make_table(task, 1000), (1, 23))))

    for quality in (*found.metrics, *found.classes, *found.estimates):
        assert {type(number) for number in quality.figure} == {float}
    for metric in found.metrics:
        assert {type(metric.baseline), type(metric.tolerance), type(metric.shortfall)} == {float}
        assert type(metric.degraded) is bool
    for estimate in found.estimates:
        assert {type(estimate.baseline), type(estimate.shortfall), type(estimate.error)} == {float}
        assert type(estimate.degraded) is bool
    assert {type(found.coverage), type(found.start), type(found.end)} <= {float, int}

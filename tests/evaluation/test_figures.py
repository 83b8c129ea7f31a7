"""Properties of all quality metrics, and each of them compared with scikit-learn on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, ldexp
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from exporter.aggregates.outcome_layout import OutcomeLayout, outcome_layout
from exporter.aggregates.outcomes import tally
from exporter.evaluation.baselines import shortfall
from exporter.evaluation.figures import (
    HIGHER_IS_BETTER,
    QUALITY_METRICS,
    Measured,
    measure,
    measure_classes,
    measure_each,
)
from exporter.evaluation.weighting import plain_tables
from exporter.measures.intervals import Interval, Z
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.typing import Floats
from tests.measures.tables import binning_error
from tests.support.labelled import CLASSES, fold_table, make_layout, make_table, tally_table

LAYOUTS = {task: make_layout(task) for task in QUALITY_METRICS}
every_metric = pytest.mark.parametrize(
    ("task", "metric"), [(task, metric) for task, names in QUALITY_METRICS.items() for metric in names]
)

THEIRS: dict[str, Callable[[Any, Any, Any], float]] = {
    "accuracy": lambda y, p, s: sk.accuracy_score(y, p),
    "precision": lambda y, p, s: sk.precision_score(y, p),
    "recall": lambda y, p, s: sk.recall_score(y, p),
    "f1": lambda y, p, s: sk.f1_score(y, p),
    "precision_macro": lambda y, p, s: sk.precision_score(y, p, average="macro"),
    "recall_macro": lambda y, p, s: sk.recall_score(y, p, average="macro"),
    "f1_macro": lambda y, p, s: sk.f1_score(y, p, average="macro"),
    "log_loss": lambda y, p, s: sk.log_loss(y, s),
    "brier": lambda y, p, s: sk.brier_score_loss(y, s, labels=sorted(set(y))),
    "mae": lambda y, p, s: sk.mean_absolute_error(y, p),
    "rmse": lambda y, p, s: sk.root_mean_squared_error(y, p),
    "mape": lambda y, p, s: sk.mean_absolute_percentage_error(y, p),
    "r2": lambda y, p, s: sk.r2_score(y, p),
    "bias": lambda y, p, s: float(np.mean(np.array(p) - np.array(y))),
}


def figures_of(task: str, table: pa.Table, effect: float = 1.0) -> dict[str, Interval]:
    found = tally_table(LAYOUTS[task], table)
    return measure(LAYOUTS[task], found, plain_tables(found), effect)


# -- the contract -------------------------------------------------------------------------------------------


@every_metric
def test_it_lies_in_its_interval(task: str, metric: str) -> None:
    for rows in (5, 50, 1000):
        for flaw in (0.0, 0.5, 1.0):
            figure = figures_of(task, make_table(task, rows, seed=rows, flaw=flaw)).get(metric)
            assert figure is None or figure.lower <= figure.value <= figure.upper


@every_metric
def test_without_rows_there_is_none(task: str, metric: str) -> None:
    assert metric not in figures_of(task, make_table(task, 10)[:0])


@every_metric
def test_one_row_is_no_error(task: str, metric: str) -> None:
    figure = figures_of(task, make_table(task, 1)).get(metric)

    assert figure is None or all(map(isfinite, figure))


@every_metric
def test_the_order_of_rows_does_not_matter(task: str, metric: str) -> None:
    table = make_table(task, 300)
    shuffled = table.take(pa.array(np.random.default_rng(0).permutation(300)))

    assert figures_of(task, shuffled)[metric] == figures_of(task, table)[metric]


@every_metric
def test_it_is_the_same_of_the_whole_and_of_its_parts(task: str, metric: str) -> None:
    layout, table = LAYOUTS[task], make_table(task, 300)
    parts = [part for k in range(0, 300, 60) for part in fold_table(layout, table[k : k + 60]).values()]

    found = tally(layout, parts)

    assert measure(layout, found, plain_tables(found))[metric] == figures_of(task, table)[metric]


@every_metric
def test_more_rows_make_it_surer(task: str, metric: str) -> None:
    few, many = (figures_of(task, make_table(task, rows))[metric] for rows in (300, 10_000))

    assert many.upper - many.lower < (few.upper - few.lower) / 2


@every_metric
def test_rows_in_bursts_make_it_less_sure(task: str, metric: str) -> None:
    table = make_table(task, 2000)
    once, burst = (figures_of(task, table, effect)[metric] for effect in (1.0, 5.0))

    assert burst.value == once.value
    assert burst.upper - burst.lower > 1.5 * (once.upper - once.lower)


@every_metric
def test_a_model_that_knows_less_falls_short(task: str, metric: str) -> None:
    if metric == "bias":
        pytest.skip("noise has none")
    good, worse, worst = (
        figures_of(task, make_table(task, 20_000, flaw=flaw))[metric] for flaw in (0, 0.4, 0.8)
    )

    assert shortfall(metric, worse, good).lower > 0
    assert shortfall(metric, worst, worse).lower > 0


def test_a_model_that_predicts_too_much_is_biased() -> None:
    table = make_table("regression", 2000)
    shifted = table.set_column(1, "prediction", pa.array(np.array(table["prediction"]) + 3))

    assert figures_of("regression", shifted)["bias"].lower > 2.5


@pytest.mark.parametrize("task", QUALITY_METRICS)
def test_perfect_predictions_have_the_best_figures(task: str) -> None:
    table = make_table(task, 400)
    columns = {"x": table["x"], "label": table["label"], "prediction": table["label"]}
    if task == "binary":
        columns["score"] = pa.array(np.array(table["label"]) * 1.0)
    if task == "multiclass":
        columns["score"] = pa.array(list(np.eye(4)[[CLASSES.index(c) for c in table["label"].to_pylist()]]))

    for metric, figure in figures_of(task, pa.table(columns)).items():
        assert figure.value == pytest.approx(1.0 if metric in HIGHER_IS_BETTER else 0.0, abs=1e-9)


# -- scikit-learn -------------------------------------------------------------------------------------------


@every_metric
@settings(max_examples=10)
@given(seed=st.integers(0, 1000), rows=st.integers(30, 400), flaw=st.floats(0, 1))
def test_it_is_scikit_learns(task: str, metric: str, seed: int, rows: int, flaw: float) -> None:
    table = make_table(task, rows, seed, flaw)
    labels, predictions = table["label"].to_pylist(), table["prediction"].to_pylist()
    scores = np.array(table["score"].to_pylist()) if "score" in table.column_names else None
    figures = figures_of(task, table)

    if metric == "calibration_error":
        return  # it has no definition there: see tests/measures
    if metric == "roc_auc":
        histogram = tally_table(LAYOUTS[task], table).histogram.sum(axis=1) * 1.0
        slack = binning_error(histogram[1], histogram[0])
        assert abs(figures[metric].value - sk.roc_auc_score(labels, scores)) <= slack + 1e-12
        assert slack < 0.03
        return
    assert figures[metric].value == pytest.approx(THEIRS[metric](labels, predictions, scores), rel=1e-6)


def test_the_area_is_within_half_a_thousandth_of_the_exact_one() -> None:
    table = make_table("binary", 20_000)

    exact = sk.roc_auc_score(table["label"].to_pylist(), table["score"].to_pylist())

    assert figures_of("binary", table)["roc_auc"].value == pytest.approx(exact, abs=5e-4)


def test_each_class_is_scikit_learns() -> None:
    layout, table = LAYOUTS["multiclass"], make_table("multiclass", 500, flaw=0.3)
    found = {
        (name, metric): figure
        for name, metric, figure in measure_classes(layout, plain_tables(tally_table(layout, table)))
    }
    labels, predictions = table["label"].to_pylist(), table["prediction"].to_pylist()

    expected = sk.precision_recall_fscore_support(labels, predictions, labels=list(CLASSES))

    for place, metric in enumerate(("precision", "recall", "f1")):
        ours = [found[name, metric].value for name in CLASSES]
        assert ours == pytest.approx(expected[place].tolist())


def test_a_class_without_rows_has_no_figures() -> None:
    layout = LAYOUTS["multiclass"]
    table = pa.table({"prediction": ["ash", "elm"], "label": ["ash", "ash"]})

    found = {
        (name, metric)
        for name, metric, _ in measure_classes(layout, plain_tables(tally_table(layout, table)))
    }

    assert found == {
        ("ash", "precision"), ("ash", "recall"), ("ash", "f1"), ("elm", "precision"), ("elm", "f1"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "predictions", "missing"),
    [
        ([0, 0, 0], [0, 0, 0], {"precision", "recall", "f1", "roc_auc"}),
        ([1, 1, 1], [1, 1, 1], {"roc_auc"}),
        ([0, 1, 0], [0, 0, 0], {"precision"}),
        ([0, 0, 0], [0, 1, 0], {"recall", "roc_auc"}),
    ],
    ids=["only negatives", "only positives", "none predicted", "none there"],
)
def test_figures_of_one_class_only(labels: list[int], predictions: list[int], missing: set[str]) -> None:
    table = pa.table({"label": labels, "prediction": predictions, "score": [0.2, 0.6, 0.3]})

    assert set(QUALITY_METRICS["binary"]) - figures_of("binary", table).keys() == missing


def test_a_constant_score_ranks_nothing() -> None:
    table = pa.table({"label": [0, 1] * 50, "prediction": [0] * 100, "score": [0.3] * 100})

    figures = figures_of("binary", table)

    assert figures["roc_auc"].value == 0.5
    assert figures["calibration_error"].value == pytest.approx(0.2)


def test_classes_without_a_place_count_as_right_where_they_are() -> None:
    table = pa.table({"label": ["yew", "yew", "ash"], "prediction": ["yew", "ash", "ash"]})

    assert figures_of("multiclass", table)["accuracy"].value == pytest.approx(2 / 3)


# -- labels of every size -----------------------------------------------------------------------------------


def regression_layout(labels: Floats) -> OutcomeLayout:
    draw = np.random.default_rng(2)
    table = pa.table({"x": draw.normal(size=len(labels)), "prediction": labels, "label": labels})
    data = ReferenceData(table, "tests", task="regression", split="test")
    layout = outcome_layout(build_reference(data, (), 100))
    assert layout is not None
    return layout


def figures_against(layout: OutcomeLayout, labels: Floats, predictions: Floats) -> Measured:
    found = tally_table(layout, pa.table({"label": labels, "prediction": predictions}))
    return measure_each(layout, found, plain_tables(found))


def some_rows(rows: int = 400) -> tuple[Floats, Floats]:
    draw = np.random.default_rng(5)
    labels = draw.normal(10, 3, rows)
    return labels, labels + draw.normal(0.2, 1, rows)


@pytest.mark.parametrize("power", [-1010, -996, -300, 0, 252, 256, 260, 500, 1000, 1018])
def test_figures_go_with_the_size_of_the_labels(power: int) -> None:
    labels, predictions = some_rows()
    usual = figures_against(regression_layout(labels), labels, predictions).figures
    large, larger = np.ldexp(labels, power), np.ldexp(predictions, power)

    found = figures_against(regression_layout(large), large, larger)

    assert found.absent == {}
    for metric, figure in found.figures.items():
        shift = power if metric in ("mae", "rmse", "bias") else 0
        expected = [ldexp(end, shift) for end in usual[metric]]
        assert list(figure) == pytest.approx(expected, rel=1e-9, abs=5e-324), metric


@pytest.mark.parametrize("outlier", [1e78, 1.8e307, 1.7976931348623157e308])
@pytest.mark.parametrize("rows", [9, 499])
def test_one_label_beyond_all_measure_takes_no_figure_down(outlier: float, rows: int) -> None:
    labels, predictions = some_rows(rows)
    layout = regression_layout(np.append(labels, outlier))

    found = figures_against(layout, np.append(labels, outlier), np.append(predictions, outlier))

    assert found.absent == {}
    for metric in ("mae", "rmse", "mape", "r2", "bias"):
        expected = THEIRS[metric](labels, predictions, None)
        assert found.figures[metric].value == pytest.approx(expected, rel=1e-9), metric


def test_a_figure_beyond_all_numbers_is_absent_and_the_others_are_there() -> None:
    labels = np.array([1.2e308, -1.2e308, 1.2e308, -1.2e308])
    layout = regression_layout(np.tile(labels, 50))

    near, far = (figures_against(layout, labels, labels * [-k, -k, -k, 1]) for k in (-0.9, 0.4))

    assert near.absent == {}
    assert near.figures["mae"].value == pytest.approx(0.9e307)
    assert far.figures.keys() == {"mape", "r2"}  # the upper ends of the others' intervals are beyond
    assert far.figures["mape"].value == pytest.approx(0.75 * 1.4)
    assert far.absent["mae"].startswith("it cannot be computed")


def test_a_figure_that_fails_is_absent_with_a_reason_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> Interval:
        raise ZeroDivisionError("out of luck")

    found = tally_table(LAYOUTS["binary"], make_table("binary", 300))
    whole = measure(LAYOUTS["binary"], found, plain_tables(found))
    monkeypatch.setattr("exporter.evaluation.figures.intervals.roc_auc", fail)

    measured = measure_each(LAYOUTS["binary"], found, plain_tables(found))

    assert measured.absent == {"roc_auc": "it cannot be computed: out of luck"}
    assert measured.figures == {metric: figure for metric, figure in whole.items() if metric != "roc_auc"}


@pytest.mark.parametrize("center", [3.2, 0.1, 1 / 3])
def test_labels_that_are_all_alike_have_no_r2(center: float) -> None:
    draw = np.random.default_rng(8)
    layout = regression_layout(draw.poisson(center, 2000) + 0.1 * draw.random(2000))

    found = figures_against(layout, np.zeros(500), draw.normal(0, 0.5, 500))

    assert found.absent == {"r2": "all labels are equal", "mape": "every label is 0"}
    assert found.figures["mae"].value == pytest.approx(0.4, abs=0.05)


def test_errors_below_what_can_be_told_are_not_0() -> None:
    labels, predictions = some_rows()
    layout = regression_layout(labels)
    tiny = np.ldexp(labels, -60)

    found = figures_against(layout, tiny, np.ldexp(predictions, -60))

    assert found.figures.keys() == {"mape"}
    assert "too small" in found.absent["mae"]
    assert figures_against(layout, tiny, tiny).figures["mae"].value == 0
    close = figures_against(layout, labels, labels * (1 + 1e-9)).figures
    assert close["mae"].value == pytest.approx(1e-9 * labels.mean(), rel=1e-5)
    assert close["rmse"].lower < close["rmse"].value < close["rmse"].upper


# -- losses -------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    scores=st.lists(st.floats(0, 1) | st.sampled_from([0.3, 0.1 + 0.2, 1 / 3]), min_size=2, max_size=60),
    seed=st.integers(0, 100),
)
def test_the_interval_of_a_loss_is_numpys(scores: list[float], seed: int) -> None:
    score = np.array(scores)
    label = (np.random.default_rng(seed).random(len(score)) < score).astype(np.int64)
    table = pa.table({"score": score, "prediction": (score > 0.5).astype(np.int64), "label": label})

    figures = figures_of("binary", table)

    given = np.clip(np.where(label == 1, score, 1 - score), 2.0**-52, 1 - 2.0**-52)
    for metric, losses in (("log_loss", -np.log(given)), ("brier", (score - label) ** 2)):
        half = Z * losses.std() / np.sqrt(len(losses))
        figure = figures[metric]
        assert figure.value == pytest.approx(losses.mean(), rel=1e-9, abs=1e-14)
        assert figure.upper - figure.value == pytest.approx(half, rel=1e-6, abs=1e-7)
        assert 0 <= figure.lower <= figure.value <= figure.upper


def test_losses_that_are_all_alike_are_certain() -> None:
    score = np.full(300, 0.1 + 0.2)
    table = pa.table(
        {"score": score, "prediction": np.zeros(300, np.int64), "label": np.zeros(300, np.int64)}
    )

    for metric in ("log_loss", "brier"):
        figure = figures_of("binary", table)[metric]
        assert figure.lower == figure.value == figure.upper

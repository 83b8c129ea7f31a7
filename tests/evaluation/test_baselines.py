from __future__ import annotations

import doctest
from math import inf, nan
from typing import get_args

import pytest

from exporter.config.models import QualityMetric
from exporter.evaluation import baselines
from exporter.evaluation.baselines import choose_baselines, run_baselines, shortfall, tolerance
from exporter.evaluation.figures import QUALITY_METRICS
from exporter.measures.intervals import Interval, known


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(baselines).failed == 0


def test_the_metrics_are_those_that_can_be_configured() -> None:
    assert {metric for names in QUALITY_METRICS.values() for metric in names} == set(get_args(QualityMetric))


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("accuracy", "accuracy"),
        ("accuracy_score", "accuracy"),
        ("test_accuracy", "accuracy"),
        ("val_accuracy", "accuracy"),
        ("eval/accuracy", "accuracy"),
        ("Test Accuracy", "accuracy"),
        ("f1_score", "f1"),
        ("roc_auc", "roc_auc"),
        ("auc", "roc_auc"),
        ("test-roc_auc_score", "roc_auc"),
        ("logloss", "log_loss"),
        ("brier_score_loss", "brier"),
        ("ece", "calibration_error"),
    ],
)
def test_a_runs_metric_of_the_same_meaning_is_a_baseline(name: str, metric: str) -> None:
    assert run_baselines("binary", {name: 0.5}) == {metric: 0.5}


@pytest.mark.parametrize(
    "name", ["training_roc_auc", "train_auc", "training_score", "train/auc", "auc_train", "loss"]
)
def test_metrics_of_training_and_others_are_none(name: str) -> None:
    assert run_baselines("binary", {name: 0.5}) == {}


def test_the_best_promise_wins() -> None:
    metrics = {"val_auc": 0.1, "auc": 0.2, "test_auc": 0.3, "training_auc": 1.0}

    assert run_baselines("binary", metrics) == {"roc_auc": 0.3}


def test_the_root_of_a_mean_squared_error_is_the_rmse_unless_the_run_says_it() -> None:
    assert run_baselines("regression", {"mse": 9.0}) == {"rmse": 3.0}
    assert run_baselines("regression", {"mse": 9.0, "val_rmse": 4.0}) == {"rmse": 4.0}


def test_an_average_over_classes_is_not_a_figure_of_the_positive_one() -> None:
    assert run_baselines("multiclass", {"f1_score": 0.5, "macro_f1": 0.4}) == {"f1_macro": 0.4}
    assert run_baselines("binary", {"f1_macro": 0.4}) == {}


@pytest.mark.parametrize(
    ("task", "name", "value"),
    [
        ("binary", "accuracy", 93.5),
        ("binary", "accuracy", nan),
        ("binary", "log_loss", -1.0),
        ("regression", "r2", 1.5),
        ("regression", "mae", inf),
        ("regression", "mse", -1.0),
    ],
)
def test_impossible_values_are_passed_over(task: str, name: str, value: float) -> None:
    assert run_baselines(task, {name: value}) in ({}, {"rmse": 0.0})


def test_the_reference_comes_before_the_run_and_the_run_before_the_configuration() -> None:
    own = Interval(0.9, 0.85, 0.93)

    chosen = choose_baselines(
        "binary",
        {"accuracy": own},
        {"accuracy": 0.8, "auc": 0.7},
        {"accuracy": 0.6, "roc_auc": 0.5, "f1": 0.4},
    )

    assert {metric: (found.figure, found.source) for metric, found in chosen.items()} == {
        "accuracy": (own, "reference"),
        "roc_auc": (known(0.7), "run"),
        "f1": (known(0.4), "configuration"),
    }


def test_baselines_of_another_task_are_none() -> None:
    assert choose_baselines("regression", {}, {"accuracy": 0.8}, {"roc_auc": 0.5}) == {}


def test_every_metric_has_a_tolerance() -> None:
    for names in QUALITY_METRICS.values():
        for metric in names:
            assert tolerance(metric, 0.5, 2.0) > 0


def test_losses_have_a_tolerance_in_their_own_unit() -> None:
    assert tolerance("rmse", 20.0, 100.0) == 2.0
    assert tolerance("bias", 0.0, 100.0) == 10.0
    assert tolerance("accuracy", 0.9, nan) == 0.03


@pytest.mark.parametrize(
    ("metric", "better", "worse"),
    [
        ("accuracy", 0.9, 0.8),
        ("r2", 0.5, -1.0),
        ("log_loss", 0.2, 0.5),
        ("mae", 1.0, 2.0),
        ("bias", -0.1, -2.0),
    ],
)
def test_a_shortfall_is_positive_where_it_is_worse(metric: str, better: float, worse: float) -> None:
    assert shortfall(metric, known(worse), known(better)).value > 0
    assert shortfall(metric, known(better), known(worse)).value < 0


def test_a_bias_to_the_other_side_is_as_bad() -> None:
    figure = Interval(-3.0, -4.0, -2.0)

    assert shortfall("bias", figure, known(1.0)) == shortfall("bias", Interval(3.0, 2.0, 4.0), known(-1.0))

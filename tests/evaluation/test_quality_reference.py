from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from exporter.evaluation.context import QualityRules
from exporter.evaluation.figures import QUALITY_METRICS
from exporter.evaluation.quality_reference import QualityReference, quality_reference
from exporter.settings import Window
from tests.support.labelled import TASKS, make_labelled_reference, make_quality_reference, make_table
from tests.support.traffic import DAY, HOUR, WEEK


def make(task: str = "binary", rules: QualityRules | None = None, **changes: object) -> QualityReference:
    reference = replace(make_labelled_reference(task), **changes)
    found = quality_reference(reference, rules or QualityRules(), {"test_accuracy": 0.6, "r2": 0.4})
    assert found is not None
    return found


@pytest.mark.parametrize("task", TASKS)
def test_the_references_own_rows_are_the_baseline_of_every_metric(task: str) -> None:
    against = make(task)

    assert against.baselines.keys() == against.tolerances.keys() == set(QUALITY_METRICS[task])
    assert {baseline.source for baseline in against.baselines.values()} == {"reference"}
    assert all(baseline.figure.lower < baseline.figure.upper for baseline in against.baselines.values())


@pytest.mark.parametrize("split", ["train", "training"])
def test_rows_that_the_model_was_trained_on_promise_nothing(split: str) -> None:
    against = make(split=split)

    assert {metric: baseline.source for metric, baseline in against.baselines.items()} == {"accuracy": "run"}
    assert against.estimator is None
    assert "trained on" in against.no_estimate


def test_without_labels_the_run_and_the_configuration_promise() -> None:
    rules = QualityRules(baselines={"accuracy": 0.5, "recall": 0.7})

    against = make(rules=rules, outcomes=b"", labels=None)

    assert {metric: (b.source, b.figure.value) for metric, b in against.baselines.items()} == {
        "accuracy": ("run", 0.6),
        "recall": ("configuration", 0.7),
    }


def test_outcomes_that_cannot_be_read_are_none() -> None:
    assert make(outcomes=b"\x63" + bytes(60)).baselines.keys() == {"accuracy"}


def test_a_reference_that_does_not_say_what_is_predicted_has_no_quality() -> None:
    assert quality_reference(replace(make_labelled_reference("binary"), task=""), QualityRules(), {}) is None


def test_its_owner_says_what_is_tolerated() -> None:
    against = make(rules=QualityRules(tolerances={"recall": 0.2}))

    assert against.tolerances["recall"] == 0.2
    assert against.tolerances["precision"] == 0.05


def test_the_tolerance_of_a_bias_is_a_part_of_the_labels_deviation() -> None:
    against = make("regression")

    assert against.tolerances["bias"] == pytest.approx(1.0, rel=0.05)  # labels deviate by 10


@pytest.mark.parametrize("task", TASKS)
def test_quality_is_estimated_where_there_are_scores(task: str) -> None:
    against = make_quality_reference(task)

    assert (against.estimator is not None) == (task != "regression")
    assert bool(against.no_estimate) == (task == "regression")


def test_a_small_reference_teaches_nothing_of_scores() -> None:
    against = make_quality_reference("binary", rows=999)

    assert against.estimator is None
    assert "too few" in against.no_estimate


def test_a_declared_prevalence_is_the_one_that_is_promised() -> None:
    table = make_table("binary", 30_000)
    labels = np.array(table["label"])
    kept = (labels == 1) | (np.random.default_rng(0).random(30_000) < 0.1)
    thinned = table.filter(pa.array(kept))

    naive = make_quality_reference("binary", table=thinned)
    declared = make_quality_reference("binary", QualityRules(prevalence=float(labels.mean())), table=thinned)
    whole = make_quality_reference("binary", table=table)

    for metric in ("accuracy", "precision", "recall", "roc_auc"):
        expected = whole.baselines[metric].figure.value
        assert declared.baselines[metric].figure.value == pytest.approx(expected, abs=0.02), metric
    assert abs(naive.baselines["precision"].figure.value - whole.baselines["precision"].figure.value) > 0.1
    assert "log_loss" not in declared.baselines


# -- natural variation --------------------------------------------------------------------------------------

VARIATION = {DAY.seconds: {"accuracy": 0.1, "recall": 0.2}, WEEK.seconds: {"accuracy": 0.04}}


@pytest.mark.parametrize(
    ("metric", "window", "allowance"),
    [
        ("accuracy", DAY, 0.1),
        ("accuracy", WEEK, 0.04),
        ("recall", WEEK, 0.2),  # shorter stretches vary more
        ("accuracy", HOUR, np.nan),
        ("precision", DAY, np.nan),
    ],
)
def test_the_allowance_is_that_of_the_window_or_a_shorter_one(
    metric: str, window: Window, allowance: float
) -> None:
    against = make(quality_variation=VARIATION)

    assert against.allowance(metric, window) == pytest.approx(allowance, nan_ok=True)


def test_who_sets_a_tolerance_knows_how_much_a_metric_varies() -> None:
    against = make(
        rules=QualityRules(tolerances={"precision": 0.1, "accuracy": 0.1}), quality_variation=VARIATION
    )

    assert against.allowance("precision", DAY) == 0
    assert against.allowance("accuracy", DAY) == 0.1


def test_estimates_have_an_allowance_of_their_own() -> None:
    against = make(quality_variation=VARIATION, estimate_variation={DAY.seconds: {"accuracy": 0.01}})

    assert against.estimate_allowance("accuracy", WEEK) == 0.01

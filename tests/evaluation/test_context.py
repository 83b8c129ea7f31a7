"""Inputs that the parts of an evaluation share."""

from __future__ import annotations

import numpy as np

from exporter.config.models import ModelConfig
from exporter.evaluation.context import EvaluationContext, QualityRules, Thresholds, WindowSums
from tests.support.traffic import (
    DAY,
    EVEN,
    HOUR,
    NOW,
    WEEK,
    cells_of,
    make_column,
    make_reference,
    make_timeline,
)

REFERENCE = make_reference([make_column("age"), make_column("income")], [EVEN, EVEN])


def test_a_threshold_may_be_a_columns_own() -> None:
    thresholds = Thresholds(0.1, {"income": 0.3, "unknown": 0.5})

    assert thresholds.by_column(REFERENCE).tolist() == [0.1, 0.3]


def test_rules_are_those_of_the_configuration() -> None:
    assert QualityRules.of(ModelConfig()) == QualityRules()


def test_rows_are_independent_unless_effects_are_measured() -> None:
    assert EvaluationContext((HOUR, DAY), NOW).effects_of(REFERENCE).tolist() == [[1, 1], [1, 1]]


def test_a_window_longer_than_fine_blocks_has_the_effects_of_the_next_shorter_one() -> None:
    bursts = make_timeline(REFERENCE, {0: cells_of([EVEN, EVEN], 200)})
    fine = {start: block + block + block + block for start, block in bursts.fine.items()}
    bursts.fine.update(fine)

    effects = EvaluationContext((HOUR, DAY, WEEK), NOW).with_effects(REFERENCE, bursts).effects_of(REFERENCE)

    assert (effects[1] > 2).all()
    assert effects[2].tolist() == effects[1].tolist()


def test_windows_and_those_before_them_are_disjoint() -> None:
    timeline = make_timeline(REFERENCE, {0: cells_of([EVEN, EVEN], 50), 1: cells_of([EVEN, EVEN], 30)})

    sums = WindowSums.of(REFERENCE, timeline, EvaluationContext((DAY, WEEK), NOW))

    assert [each.rows for each in sums.current] == [50, 80]
    assert [each.rows for each in sums.previous] == [30, 0]
    assert sums.age_seconds == 2 * 86400


def test_a_version_without_rows_has_no_age() -> None:
    sums = WindowSums.of(REFERENCE, make_timeline(REFERENCE, {}), EvaluationContext((DAY,), NOW))

    assert (sums.current[0].rows, sums.age_seconds) == (0, -np.inf)

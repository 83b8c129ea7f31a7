"""Log loss and Brier score against scikit-learn's; calibration error against its calibration curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from exporter.measures.calibration import (
    brier_terms,
    calibration_error,
    equal_groups,
    log_loss_terms,
    sum_groups,
)

probabilities = st.floats(0, 1)


@given(st.lists(st.tuples(st.booleans(), probabilities), min_size=1, max_size=50))
def test_losses_of_two_classes_are_scikit_learns(rows: list[tuple[bool, float]]) -> None:
    labels, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])

    ours = log_loss_terms(np.where(labels, scores, 1 - scores)).mean()
    both = np.column_stack([1 - scores, scores])

    assert ours == pytest.approx(log_loss(labels, both, labels=[False, True]), rel=1e-6)
    expected = brier_score_loss(labels, scores, pos_label=True) if len(set(labels)) == 2 else None
    if expected is not None:
        assert brier_terms(scores, labels * 1.0).mean() == pytest.approx(expected)


def test_losses_of_several_classes_are_scikit_learns() -> None:
    draw = np.random.default_rng(0)
    labels, scores = draw.integers(0, 4, 300), draw.dirichlet(np.ones(4), 300)
    one_hot = np.eye(4)[labels]

    assert log_loss_terms((scores * one_hot).sum(axis=1)).mean() == pytest.approx(log_loss(labels, scores))
    assert brier_terms(scores, one_hot).mean() == pytest.approx(brier_score_loss(labels, scores))


def test_the_error_is_the_mean_distance_from_scikit_learns_curve() -> None:
    draw = np.random.default_rng(1)
    scores = draw.random(2000)
    labels = draw.random(2000) < scores**2
    true, predicted = calibration_curve(labels, scores, n_bins=10, strategy="uniform")
    places = np.minimum((scores * 10).astype(int), 9)
    rows = np.bincount(places, minlength=10)

    ours = calibration_error(np.bincount(places, labels), rows * 1.0, np.bincount(places, scores))

    assert ours == pytest.approx((np.abs(true - predicted) * rows).sum() / 2000)


def test_perfect_scores_have_no_error_and_constant_ones_that_of_their_mean() -> None:
    rows = np.array([100.0, 100])

    assert calibration_error(np.array([20.0, 70]), rows, np.array([20.0, 70])) == pytest.approx(0)
    assert calibration_error(
        np.array([20.0, 0]), np.array([200.0, 0]), np.array([100.0, 0])
    ) == pytest.approx(0.4)


def test_no_rows_are_no_figure() -> None:
    assert np.isnan(calibration_error(np.zeros(3), np.zeros(3), np.zeros(3)))
    assert equal_groups(np.zeros(3)).tolist() == [0, 0, 0]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=150).filter(any))
def test_groups_are_neighbours_and_hold_every_row_once(rows: list[int]) -> None:
    counts = np.array(rows, np.float64)

    groups = equal_groups(counts)

    assert (np.diff(groups) >= 0).all()
    assert groups.max() <= 9
    assert sum_groups(groups, counts).sum() == counts.sum()


def test_groups_have_a_tenth_of_the_rows_each_where_bins_are_fine() -> None:
    counts = np.random.default_rng(0).integers(5, 15, 147).astype(np.float64)

    sums = sum_groups(equal_groups(counts), counts)

    assert len(sums) == 10
    assert sums / counts.sum() == pytest.approx(0.1, abs=0.011)

"""Importance: shares, drift weighted by them, and drift of attributions."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.measures.importance import (
    attribution_drift,
    drift_importance,
    excess_drift,
    importance_shares,
)

NOTHING = float("nan")


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_only_ratios_of_weights_count(scale: float) -> None:
    shares = importance_shares(scale * np.array([6.0, 3.0, 1.0]))
    assert shares == pytest.approx([0.6, 0.3, 0.1])


def test_weights_without_one_above_zero_give_no_shares() -> None:
    assert np.isnan(importance_shares(np.zeros(3))).all()


def test_a_column_without_a_weight_has_no_share() -> None:
    assert importance_shares(np.array([1.0, NOTHING, 3.0])) == pytest.approx(
        [0.25, NOTHING, 0.75], nan_ok=True
    )


def test_excess_is_bounded_and_zero_up_to_the_limit() -> None:
    score = np.array([0.0, 0.2, 0.2000001, 0.6, 1e9, np.inf])
    excess = excess_drift(score, np.full(6, 0.2))
    assert excess[:2].tolist() == [0.0, 0.0]
    assert 0 < excess[2] < 1e-5
    assert excess[3:] == pytest.approx([2 / 3, 1.0, 1.0])


@pytest.mark.parametrize(("score", "limit"), [(NOTHING, 0.2), (0.3, NOTHING), (0.3, np.inf)])
def test_excess_is_unknown_without_a_score_or_a_limit(score: float, limit: float) -> None:
    assert np.isnan(excess_drift(np.array([score]), np.array([limit]))).all()


def test_shift_of_a_quarter_deviation_in_the_figures_of_psi() -> None:
    """N(0, 1) to N(.25, 1) and N(.5, 1) on deciles: PSI .059816 and .237749; the threshold is .1."""
    excess = excess_drift(np.array([0.059816, 0.237749]), np.full(2, 0.1))
    assert drift_importance(np.array([0.4, 0.6]), excess) == pytest.approx(0.6 * (1 - 0.1 / 0.237749))


def test_drift_weighs_as_much_as_its_column() -> None:
    shares = np.array([0.75, 0.2, 0.05])
    by_column = [drift_importance(shares, np.eye(3)[k]) for k in range(3)]
    assert by_column == pytest.approx(shares)
    assert drift_importance(shares, np.ones(3)) == pytest.approx(1.0)
    assert drift_importance(shares, np.zeros(3)) == 0.0


def test_columns_without_a_verdict_leave_their_share_to_the_others() -> None:
    shares = np.array([0.5, 0.3, 0.2])
    assert drift_importance(shares, np.array([0.4, NOTHING, 0.0])) == pytest.approx(0.5 * 0.4 / 0.7)


def test_nothing_is_said_if_most_of_the_importance_has_no_verdict() -> None:
    assert np.isnan(drift_importance(np.array([0.51, 0.49]), np.array([NOTHING, 0.9])))
    assert np.isnan(drift_importance(np.array([NOTHING, NOTHING]), np.array([0.9, 0.9])))


def test_attribution_drift_sees_what_ranks_do_not() -> None:
    """Share .226 of the model's attention moves, and no column changes its place."""
    clean = np.array([0.83, 0.06, 0.05, 0.03, 0.02, 0.01])
    broken = np.array([0.604, 0.15, 0.11, 0.08, 0.036, 0.02])
    assert (np.argsort(-clean) == np.argsort(-broken)).all()
    assert attribution_drift(broken, clean) == pytest.approx(0.226)
    assert attribution_drift(clean, clean) == 0.0

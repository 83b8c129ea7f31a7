"""Sums of errors against scikit-learn's figures of the same rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from exporter.measures.exact_sum import split, total
from exporter.measures.regression import SQUARES, TERMS, ErrorSums, terms
from exporter.typing import Floats

values = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


def sums_of(labels: Floats, predictions: Floats) -> ErrorSums:
    errors = predictions - labels
    labels = np.where(np.abs(labels) * 2.0**60 < np.abs(errors), 0.0, labels)  # all but 0
    ratios = np.divide(errors, labels, out=np.zeros(len(labels)), where=labels != 0)
    limbs = split(terms(errors, labels, ratios)).sum(axis=2)
    limbs, rests = np.split(limbs, [len(TERMS)], axis=1)
    limbs[:, [TERMS.index(term) for term in SQUARES]] += rests
    return ErrorSums(len(labels), int((labels == 0).sum()), tuple(total(term) for term in limbs.T))


@given(st.lists(st.tuples(values, values), min_size=2, max_size=60))
def test_figures_are_scikit_learns(rows: list[tuple[float, float]]) -> None:
    labels, predictions = np.array(rows).T
    sums = sums_of(labels, predictions)

    assert sums.mae == pytest.approx(metrics.mean_absolute_error(labels, predictions))
    assert sums.rmse == pytest.approx(metrics.root_mean_squared_error(labels, predictions))
    assert sums.bias == pytest.approx(np.mean(predictions - labels), abs=1e-9)
    if np.std(labels) > 1e-6 * (1 + np.abs(labels).max()):
        assert sums.r2 == pytest.approx(metrics.r2_score(labels, predictions), rel=1e-6, abs=1e-9)
    known = labels != 0
    if known.any():
        expected = metrics.mean_absolute_percentage_error(labels[known], predictions[known])
        assert sums.mape == pytest.approx(expected)


def test_no_rows_are_no_figures() -> None:
    none = sums_of(np.empty(0), np.empty(0))

    assert np.isnan([none.mae, none.rmse, none.bias, none.mape, none.r2, none.label_variance]).all()
    assert np.isnan([none.mae_variance, none.mse_variance, none.bias_variance]).all()
    assert np.isnan([none.mape_variance, none.r2_variance]).all()


def test_labels_that_do_not_vary_have_no_r2_and_zeros_no_mape() -> None:
    constant = sums_of(np.zeros(5), np.ones(5))

    assert np.isnan([constant.r2, constant.r2_variance, constant.mape, constant.mape_variance]).all()
    assert (constant.mae, constant.rmse, constant.bias, constant.mae_variance) == (1, 1, 1, 0)


def test_perfect_predictions() -> None:
    labels = np.arange(10.0)
    perfect = sums_of(labels, labels)

    assert (perfect.mae, perfect.rmse, perfect.bias, perfect.mape, perfect.r2) == (0, 0, 0, 0, 1)


def test_variances_are_those_of_drawn_samples() -> None:
    draw = np.random.default_rng(0)
    found = []
    for _ in range(1500):
        labels = draw.gamma(4, 2, size=300) + 1
        found.append(sums_of(labels, labels + draw.laplace(0.3, 0.5, size=300) * np.sqrt(labels)))

    for figure, variance, power in (
        ("mae", "mae_variance", 1),
        ("rmse", "mse_variance", 2),
        ("bias", "bias_variance", 1),
        ("mape", "mape_variance", 1),
        ("r2", "r2_variance", 1),
    ):
        drawn = np.var([getattr(sums, figure) ** power for sums in found])
        assert np.mean([getattr(sums, variance) for sums in found]) == pytest.approx(drawn, rel=0.12), figure


# -- variances ----------------------------------------------------------------------------------------------

# Numbers that are alike but for their last digits, of every size that can be summed, and all of a kind.
sizes = st.sampled_from([1e-12, 1e-6, 0.1, 1 / 3, 1.0, 3.2, 1e6, 1e12, 1e18])
nearly = st.builds(lambda size, steps: size * (1 + steps * 2.0**-50), sizes, st.integers(-3, 3))
alike = st.builds(lambda value, rows: [value] * rows, st.floats(-1e6, 1e6), st.integers(1, 40))
any_numbers = st.lists(nearly, min_size=1, max_size=40) | st.lists(values, min_size=1, max_size=40) | alike
VARIANCES = (
    "label_variance",
    "mae_variance",
    "bias_variance",
    "mse_variance",
    "mape_variance",
    "r2_variance",
)


@given(any_numbers, any_numbers)
def test_no_variance_is_negative(labels: list[float], predictions: list[float]) -> None:
    rows = min(len(labels), len(predictions))
    sums = sums_of(np.array(labels[:rows]), np.array(predictions[:rows]))

    for name in VARIANCES:
        variance = getattr(sums, name)
        assert np.isnan(variance) or variance >= 0, name


@given(st.floats(-1e9, 1e9), st.integers(2, 600), st.floats(0.01, 10), st.integers(0, 100))
def test_labels_that_are_all_alike_have_no_r2(label: float, rows: int, error: float, seed: int) -> None:
    predictions = label + np.random.default_rng(seed).normal(0, error, rows)

    sums = sums_of(np.full(rows, label), predictions)

    assert sums.label_variance == 0
    assert np.isnan([sums.r2, sums.r2_variance]).all()


@given(st.lists(st.tuples(values, values), min_size=2, max_size=60))
def test_variances_are_numpys(rows: list[tuple[float, float]]) -> None:
    labels, predictions = np.array(rows).T
    errors, n = predictions - labels, len(labels)
    sums = sums_of(labels, predictions)

    assert sums.label_variance == pytest.approx(np.var(labels), rel=1e-9, abs=1e-9)
    assert sums.bias_variance == pytest.approx(np.var(errors) / n, rel=1e-9, abs=1e-9)
    assert sums.mae_variance == pytest.approx(np.var(np.abs(errors)) / n, rel=1e-9, abs=1e-9)
    squares = errors**2
    assert sums.mse_variance == pytest.approx(np.var(squares) / n, rel=1e-9, abs=1e-14 * np.mean(squares**2))
    known = labels != 0
    if known.any():
        ratios = np.abs(errors[known] / labels[known])
        assert sums.mape_variance == pytest.approx(np.var(ratios) / known.sum(), rel=1e-9, abs=1e-9)
    if np.std(labels) > 1e-3 * (1 + np.abs(labels).max()):
        spread = np.var(labels)
        pulls = squares / spread - np.mean(squares) / spread * (labels - labels.mean()) ** 2 / spread
        assert sums.r2_variance == pytest.approx(
            np.var(pulls) / n, rel=1e-6, abs=1e-11 * np.mean(pulls**2 + (squares / spread) ** 2)
        )

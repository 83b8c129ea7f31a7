"""Sums of errors against scikit-learn's figures of the same rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from exporter.arrays import Floats
from exporter.measures.exact import split, total
from exporter.measures.regression import ErrorSums, terms

values = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


def sums_of(labels: Floats, predictions: Floats) -> ErrorSums:
    errors = predictions - labels
    ratios = np.divide(errors, labels, out=np.zeros(len(labels)), where=labels != 0)
    limbs = split(terms(errors, labels, ratios)).sum(axis=2)
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

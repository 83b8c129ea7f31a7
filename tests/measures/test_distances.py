import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, norm

from exporter.measures.distances import jensen_shannon, ks, mean_shift, total_variation
from exporter.measures.psi import psi
from exporter.typing import Floats

A, B = np.array([16, 18, 16, 14, 12, 12]) / 88, np.array([16, 16, 16, 16, 16, 8]) / 88
ORDERED = np.array(True)


def moments(values: Floats) -> Floats:
    return np.array([len(values), values.sum(), (values**2).sum()])


def test_jensen_shannon_of_a_small_table() -> None:
    assert jensen_shannon(A, B) == pytest.approx(0.068048, abs=1e-6)
    assert jensen_shannon(A, B) / np.sqrt(np.log(2)) == pytest.approx(0.081734, abs=1e-6)


def test_jensen_shannon_is_scipys_even_where_bins_are_empty() -> None:
    draw = np.random.default_rng(1)
    q, p = draw.dirichlet(np.full(8, 0.3), size=2).round(2)
    q, p = q / q.sum(), p / p.sum()

    assert jensen_shannon(q, p) == pytest.approx(jensenshannon(q, p))


def test_jensen_shannon_goes_from_nothing_to_the_root_of_ln_2() -> None:
    assert jensen_shannon(A, A) == 0
    assert jensen_shannon(np.array([1.0, 0]), np.array([0, 1.0])) == pytest.approx(np.sqrt(np.log(2)))


def test_for_small_drift_psi_is_eight_times_the_divergence() -> None:
    near = B + 0.002 * np.array([1, -1, 1, -1, 1, -1])

    assert psi(near, B) == pytest.approx(8 * jensen_shannon(near, B) ** 2, rel=0.01)


def test_total_variation_is_the_share_that_moved() -> None:
    assert total_variation(np.array([0.4, 0.3, 0.2, 0.1]), np.full(4, 0.25)) == pytest.approx(0.2)
    assert total_variation(np.array([1.0, 0]), np.array([0, 1.0])) == 1


def test_ks_on_the_bins_is_a_lower_bound_of_the_exact() -> None:
    draw = np.random.default_rng(2)
    window, reference = draw.normal(0.4, 1.3, 800), draw.normal(size=2000)
    edges = np.quantile(reference, np.arange(0.1, 0.95, 0.1))
    q, p = (np.bincount(np.searchsorted(edges, x), minlength=10) / len(x) for x in (window, reference))

    exact = ks_2samp(window, reference).statistic

    assert exact - 0.1 < ks(q, p, ORDERED) <= exact


def test_ks_of_a_shifted_normal_is_known() -> None:
    shift = 0.5
    edges = np.linspace(-4, 4.5, 400)
    q, p = (np.diff(norm.cdf(edges - d), prepend=0, append=1) for d in (shift, 0))

    assert ks(q, p, ORDERED) == pytest.approx(2 * norm.cdf(shift / 2) - 1, abs=1e-4)


def test_categories_have_no_ks() -> None:
    assert np.isnan(ks(A, B, np.array(False)))


def test_mean_shift_is_in_standard_deviations_of_the_reference() -> None:
    reference = np.random.default_rng(3).normal(5, 2, 10_000)

    shift = mean_shift(moments(reference + 1), moments(reference))

    assert shift == pytest.approx(1 / reference.std())


def test_there_is_no_mean_shift_without_values_or_from_a_constant() -> None:
    values, constant = np.array([1.0, 2, 3]), np.full(9, 0.3)

    assert np.isnan(mean_shift(moments(np.empty(0)), moments(values)))
    assert np.isnan(mean_shift(moments(values), moments(np.empty(0))))
    assert np.isnan(mean_shift(moments(values), moments(constant)))

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, norm

from exporter.measures.psi import noise, pool_rare, psi, sampling_floor, shares, standard_error
from exporter.typing import Floats
from tests.measures.tables import every

EVEN = np.full(10, 0.1)


def score(counts: Floats, reference: Floats) -> Floats:
    mask = every(counts)
    return psi(shares(counts, mask), shares(reference, mask))


def test_psi_of_two_small_tables() -> None:
    window, reference = np.array([16, 18, 16, 14, 12, 12]) / 88, np.array([16, 16, 16, 16, 16, 8]) / 88

    assert psi(window, reference) == pytest.approx(0.037218, abs=1e-6)


def test_psi_against_even_shares() -> None:
    window = np.array([0.05, 0.08, 0.09, 0.1, 0.1, 0.1, 0.1, 0.12, 0.13, 0.13])

    assert psi(window, EVEN) == pytest.approx(0.0595621, abs=1e-7)


@pytest.mark.parametrize(("shift", "expected"), [(0.25, 0.059816), (0.5, 0.237749)])
def test_psi_of_a_shifted_normal_on_the_deciles_of_the_reference(shift: float, expected: float) -> None:
    edges = norm.ppf(np.arange(0.1, 0.95, 0.1))
    window = np.diff(norm.cdf(edges - shift), prepend=0, append=1)

    assert psi(window, EVEN) == pytest.approx(expected, abs=1e-6)


def test_half_a_pseudo_count_keeps_an_empty_bin_finite() -> None:
    window, reference = np.array([[0.0, 1200.0]]), np.array([[600.0, 600.0]])

    assert np.isfinite(score(window, reference)).all()


def test_without_drift_psi_is_the_sampling_floor_on_average() -> None:
    draw = np.random.default_rng(7)
    window = draw.multinomial(1000, EVEN, size=4000).astype(np.float64)
    reference = draw.multinomial(1000, EVEN, size=4000).astype(np.float64)

    floor = sampling_floor(np.array(10), np.array(1000), np.array(1000))

    assert score(window, reference).mean() == pytest.approx(floor, abs=5e-4)


@pytest.mark.parametrize(("quantile", "critical"), [(0.95, 0.033838), (0.99, 0.043332)])
def test_without_drift_psi_over_its_noise_is_chi_square(quantile: float, critical: float) -> None:
    draw = np.random.default_rng(8)
    window = draw.multinomial(1000, EVEN, size=20_000).astype(np.float64)
    reference = draw.multinomial(1000, EVEN, size=20_000).astype(np.float64)

    assert chi2.ppf(quantile, 9) * noise(np.array(1000), np.array(1000)) == pytest.approx(critical, abs=1e-6)
    assert np.quantile(score(window, reference), quantile) == pytest.approx(critical, rel=0.03)


@pytest.mark.parametrize(("rows", "alarms"), [(50, 0.98), (100, 0.85), (200, 0.37), (500, 0.004)])
def test_psi_above_a_tenth_alone_is_a_false_alarm_in_most_small_windows(rows: int, alarms: float) -> None:
    draw = np.random.default_rng(9)
    window = draw.multinomial(rows, EVEN, size=5000).astype(np.float64)
    reference = draw.multinomial(rows, EVEN, size=5000).astype(np.float64)
    mask = every(window)

    fired = psi(shares(window, mask, 0.0), shares(reference, mask, 0.0)) > 0.1

    assert fired.mean() == pytest.approx(alarms, abs=0.02)


def test_the_standard_error_is_the_spread_of_psi_over_samples_that_drifted() -> None:
    draw = np.random.default_rng(10)
    drifted = np.array([0.05, 0.05, 0.05, 0.05, 0.1, 0.1, 0.1, 0.15, 0.15, 0.2])
    window = draw.multinomial(1000, drifted, size=4000).astype(np.float64)
    reference = draw.multinomial(3000, EVEN, size=4000).astype(np.float64)
    mask = every(window)
    q, p = shares(window, mask), shares(reference, mask)

    error = standard_error(q, p, np.array(1000), np.array(3000))

    assert error.mean() == pytest.approx(psi(q, p).std(), rel=0.05)


def test_there_is_no_floor_and_no_psi_without_rows() -> None:
    nothing, something = np.zeros((1, 4)), np.full((1, 4), 25.0)

    assert np.isnan(score(nothing, something)).all()
    assert np.isnan(score(something, nothing)).all()
    assert np.isnan(sampling_floor(np.array(4), np.array(0), np.array(100)))


# -- pooling ------------------------------------------------------------------------------------------------


def test_bins_with_fewer_than_five_expected_rows_become_one() -> None:
    reference = np.array([[48_000.0, 49_600, 1200, 800, 400]])
    window = np.array([[45.0, 49, 2, 3, 1]])

    pooled = pool_rare(window, reference, every(window))

    assert pooled.counts.tolist() == [[45, 49, 0, 0, 0, 6]]
    assert pooled.reference.tolist() == [[48_000, 49_600, 0, 0, 0, 2400]]
    assert pooled.mask.tolist() == [[True, True, False, False, False, True]]


def test_what_is_rare_does_not_depend_on_where_the_rows_fell() -> None:
    reference = np.array([[5000.0, 4990, 10]])

    healthy = pool_rare(np.array([[50.0, 50, 0]]), reference, every(reference))
    drifted = pool_rare(np.array([[0.0, 0, 100]]), reference, every(reference))

    assert healthy.mask[0, :3].tolist() == drifted.mask[0, :3].tolist() == [True, True, False]


def test_thirty_rows_keep_their_deciles() -> None:
    window, reference = np.full((1, 10), 3.0), np.full((1, 10), 10_000.0)

    assert pool_rare(window, reference, every(window)).mask[0, :10].all()


def test_a_small_reference_makes_bins_rare_too() -> None:
    window, reference = np.array([[90_000.0, 10_000]]), np.array([[19.0, 1]])

    assert pool_rare(window, reference, every(window)).mask.tolist() == [[True, False, True]]


def test_a_pooled_cell_is_still_seen_when_the_reference_has_nothing_there() -> None:
    window, reference = np.array([[950.0, 50, 0]]), np.array([[100_000.0, 0, 0]])

    pooled = pool_rare(window, reference, every(window))

    assert pooled.counts[0, -1] == 50
    assert pooled.mask[0, -1]
    assert psi(shares(pooled.counts, pooled.mask), shares(pooled.reference, pooled.mask)) > 0.3


def test_a_pooled_cell_without_any_row_is_no_bin() -> None:
    window, reference = np.array([[500.0, 500, 0]]), np.array([[50_000.0, 50_000, 0]])

    assert pool_rare(window, reference, every(window)).mask.tolist() == [[True, True, False, False]]


def test_effective_rows_decide_what_is_rare() -> None:
    window, reference = np.array([[970.0, 30]]), np.array([[97_000.0, 3000]])

    assert pool_rare(window, reference, every(window)).mask[0, 1]
    assert not pool_rare(window, reference, every(window), np.array([100.0])).mask[0, 1]


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=12), st.integers(0, 100))
def test_the_standard_error_is_never_of_a_negative_variance(counts: list[int], seed: int) -> None:
    window = np.array([counts], np.float64)
    reference = np.random.default_rng(seed).permutation(window[0])[None, :] + seed % 3
    q, p = shares(window, every(window)), shares(reference, every(reference))
    if not (window.sum() and reference.sum()):
        return

    error = standard_error(q, p, window.sum(-1), reference.sum(-1))

    of_window, of_reference = np.log(q / p) + 1 - p / q, np.log(p / q) + 1 - q / p
    expected = sum(
        np.cov(gradient[0], aweights=share[0], ddof=0) / rows.sum()
        for share, gradient, rows in ((q, of_window, window), (p, of_reference, reference))
    )
    assert error[0] == pytest.approx(np.sqrt(expected), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("count", [1, 7, 12345])
def test_without_any_difference_the_standard_error_is_0(count: int) -> None:
    window = np.full((1, 7), count * 1.0)
    even = shares(window, every(window))

    assert standard_error(even, even, window.sum(-1), window.sum(-1))[0] == 0

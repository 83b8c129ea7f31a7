import numpy as np
import pytest
from scipy.stats import chi2, chi2_contingency, false_discovery_control

from exporter.measures.significance import adjusted_significance, chi_square, p_value
from tests.measures.tables import every


def test_the_statistic_and_its_p_value_are_scipys() -> None:
    draw = np.random.default_rng(3)
    window = draw.integers(1, 60, size=(50, 7)).astype(np.float64)
    reference = draw.integers(1, 900, size=(50, 7)).astype(np.float64)

    statistic = chi_square(window, reference, every(window))
    p = p_value(statistic, np.full(50, 7))

    for column in range(50):
        expected = chi2_contingency([window[column], reference[column]], correction=False)
        assert statistic[column] == pytest.approx(expected.statistic)
        assert p[column] == pytest.approx(expected.pvalue)


def test_an_endless_reference_makes_it_the_one_sample_test() -> None:
    window, expected = np.array([[16.0, 16, 16, 16, 16, 8]]), np.array([[16.0, 18, 16, 14, 12, 12]])

    statistic = chi_square(window, 1e9 * expected, every(window))

    assert p_value(statistic, np.array([6])) == pytest.approx([0.67309], abs=1e-5)


def test_bins_without_a_row_do_not_matter() -> None:
    window, reference = np.array([[20.0, 30, 0]]), np.array([[300.0, 200, 0]])

    with_empty = chi_square(window, reference, every(window))

    assert with_empty == pytest.approx(chi_square(window[:, :2], reference[:, :2], every(window[:, :2])))


def test_effective_rows_count_for_less() -> None:
    window, reference = np.array([[400.0, 600]]), np.array([[5000.0, 5000]])

    tenth = chi_square(window, reference, every(window), np.array([100.0]))

    assert tenth == pytest.approx(chi_square(window / 10, reference, every(window)))


def test_there_is_no_statistic_without_rows() -> None:
    nothing, something = np.zeros((1, 3)), np.full((1, 3), 9.0)

    assert np.isnan(chi_square(nothing, something, every(nothing))).all()
    assert np.isnan(p_value(chi_square(something, nothing, every(nothing)), np.array([3]))).all()


def test_a_single_bin_is_never_significant() -> None:
    assert p_value(np.array([0.0]), np.array([1])).tolist() == [1.0]


def test_p_values_are_uniform_without_drift() -> None:
    draw = np.random.default_rng(4)
    window = draw.multinomial(500, np.full(8, 0.125), size=5000).astype(np.float64)
    reference = draw.multinomial(2000, np.full(8, 0.125), size=5000).astype(np.float64)

    p = p_value(chi_square(window, reference, every(window)), np.full(5000, 8))

    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.01)
    assert (p < 0.5).mean() == pytest.approx(0.5, abs=0.02)


def test_adjustment_is_benjamini_and_hochbergs() -> None:
    p = np.random.default_rng(5).uniform(size=(20, 30)) ** 3

    expected = -np.log10(false_discovery_control(p, axis=-1, method="bh"))

    assert adjusted_significance(p) == pytest.approx(expected)


def test_columns_without_a_p_value_do_not_count_as_tested() -> None:
    p = np.array([0.004, np.nan, 0.03, np.nan])

    adjusted = adjusted_significance(p)

    assert adjusted[[0, 2]] == pytest.approx(-np.log10([0.008, 0.03]))
    assert np.isnan(adjusted[[1, 3]]).all()


def test_significance_is_capped_where_p_values_end() -> None:
    p = p_value(np.array([1e3, 1e4, 1e9]), np.array([10, 10, 10]))

    last_told_apart = -chi2.logsf(1e3, 9) / np.log(10)
    assert adjusted_significance(p) == pytest.approx([last_told_apart, 300, 300])

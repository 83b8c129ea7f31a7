from __future__ import annotations

from collections.abc import Callable
from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from exporter.measures import intervals
from exporter.measures.intervals import NO_FIGURE, Interval, difference, effective_rows, known, wilson

shares = st.floats(0, 1)
rows = st.floats(0.5, 1e7)


def is_inside(interval: Interval) -> bool:
    return interval.lower <= interval.value <= interval.upper


@pytest.mark.parametrize(("hits", "trials"), [(0, 50), (3, 50), (27, 30), (50, 50), (600, 1000)])
def test_wilsons_interval_is_scipys(hits: int, trials: int) -> None:
    theirs = binomtest(hits, trials).proportion_ci(0.99, method="wilson")

    assert wilson(hits / trials, trials)[1:] == pytest.approx((theirs.low, theirs.high))


@given(shares, rows)
def test_intervals_of_shares_hold_the_share_and_stay_within_0_and_1(share: float, count: float) -> None:
    for interval in (
        wilson(share, count),
        intervals.f1(share, count),
        intervals.roc_auc(share, share * (1 - share) / count, count),
    ):
        assert is_inside(interval)
        assert 0 <= interval.lower <= interval.upper <= 1


@given(shares, rows, st.floats(1.1, 100))
def test_more_rows_never_make_it_wider(share: float, count: float, factor: float) -> None:
    for interval in (wilson, intervals.f1):
        few, many = interval(share, count), interval(share, count * factor)
        assert many.lower >= few.lower - 1e-12
        assert many.upper <= few.upper + 1e-12


@pytest.mark.parametrize(
    "interval",
    [
        wilson(np.nan, 100),
        wilson(0.5, 0),
        intervals.f1(np.nan, 100),
        intervals.macro(np.nan, [], 0),
        intervals.roc_auc(np.nan, 0.1, 10),
        intervals.roc_auc(0.5, 0.1, 0),
        intervals.mean(np.nan, np.nan),
        intervals.root(np.nan, np.nan),
        intervals.calibration_error(np.zeros(3), np.zeros(3), np.zeros(3), 1.0),
    ],
)
def test_without_rows_there_is_no_figure(interval: Interval) -> None:
    assert all(map(isnan, interval))
    assert all(map(isnan, NO_FIGURE))


def test_a_perfect_share_is_not_certain() -> None:
    assert wilson(1.0, 200).lower < 0.97
    assert intervals.f1(1.0, 200).lower < 0.99
    assert intervals.roc_auc(1.0, 0.0, 200).lower < 0.99
    assert intervals.macro(1.0, [wilson(1.0, 200)] * 3, 3, variance=0.0).lower < 0.99


def test_weights_make_rows_worth_less() -> None:
    weights = np.array([1.0, 1, 1, 9])

    assert effective_rows(weights.sum(), (weights**2).sum()) == pytest.approx(144 / 84)
    assert effective_rows(np.array(0.0), np.array(0.0)) == 0


def test_a_mean_is_as_uncertain_as_its_variance_says() -> None:
    assert intervals.mean(5.0, 0.01) == pytest.approx((5, 5 - 0.25758, 5 + 0.25758), abs=1e-5)
    assert intervals.mean(0.1, 0.01, lowest=0.0).lower == 0
    assert intervals.root(3.0, 0.01) == pytest.approx(
        (3, np.sqrt(9 - 0.25758), np.sqrt(9 + 0.25758)), abs=1e-5
    )


def test_a_figures_distance_from_0_can_be_0_if_the_figure_can() -> None:
    assert intervals.absolute(Interval(-2, -3, -1)) == (2, 1, 3)
    assert intervals.absolute(Interval(2, 1, 3)) == (2, 1, 3)
    assert intervals.absolute(Interval(-0.5, -2, 1)) == (0.5, 0, 2)


def test_the_difference_of_two_shares_is_newcombes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "Z", norm.ppf(0.975))  # his table is of 95 %

    ours = difference(wilson(56 / 70, 70), wilson(48 / 80, 80))

    assert ours == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


@given(shares, rows, shares, rows)
def test_differences_are_opposite(first: float, first_rows: float, second: float, second_rows: float) -> None:
    one, other = wilson(first, first_rows), wilson(second, second_rows)

    forth, back = difference(one, other), difference(other, one)

    assert is_inside(forth)
    assert (forth.lower, forth.upper) == pytest.approx((-back.upper, -back.lower))


def test_a_promise_adds_nothing_to_the_uncertainty() -> None:
    figure = wilson(0.8, 500)

    assert difference(known(0.9), figure) == pytest.approx((0.1, 0.9 - figure.upper, 0.9 - figure.lower))


# -- how often the truth is inside --------------------------------------------------------------------------


def coverage(truth: float, draw: Callable[[], Interval], times: int = 600) -> float:
    drawn = [draw() for _ in range(times)]
    return float(np.mean([interval.lower <= truth <= interval.upper for interval in drawn]))


def test_a_share_is_inside_in_99_of_100() -> None:
    draw = np.random.default_rng(0)

    assert coverage(0.95, lambda: wilson(draw.binomial(200, 0.95) / 200, 200), 4000) > 0.985


def test_an_f1_is_inside_in_99_of_100() -> None:
    draw = np.random.default_rng(0)
    true = 2 * 0.15 / (2 * 0.15 + 0.05 + 0.08)

    def drawn() -> Interval:
        hits, false, missed, _ = draw.multinomial(400, [0.15, 0.05, 0.08, 0.72])
        union = hits + false + missed
        return intervals.f1(2 * hits / (hits + union), union)

    assert coverage(true, drawn, 3000) > 0.985


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.2])
def test_a_calibration_error_is_inside_in_99_of_100(gap: float) -> None:
    draw = np.random.default_rng(0)
    scores, count = np.linspace(0.05, 0.75, 10), np.full(10, 50.0)

    def drawn() -> Interval:
        positives = draw.binomial(50, scores + gap).astype(np.float64)
        return intervals.calibration_error(positives, count, scores * count, 1.0)

    assert coverage(gap, drawn) > 0.98


def test_rows_in_bursts_make_a_calibration_error_less_certain() -> None:
    sums = np.array([20.0, 30]), np.array([100.0, 100]), np.array([10.0, 40])

    once, burst = intervals.calibration_error(*sums, 1.0), intervals.calibration_error(*sums, 10.0)

    assert once.value == burst.value
    assert burst.lower < once.lower < once.upper < burst.upper


def test_an_area_is_at_most_as_certain_as_the_rarer_class_allows() -> None:
    assert intervals.roc_auc(0.9999, 1e-12, 30).lower < 0.93


def test_macro_averages_of_independent_classes_are_normal_ones_for_many_rows() -> None:
    classes = [wilson(0.8, 10_000), wilson(0.6, 10_000)]
    deviation = np.sqrt((0.16 + 0.24) / 10_000) / 2

    interval = intervals.macro(0.7, classes, 2)

    assert interval.lower == pytest.approx(0.7 - norm.ppf(0.995) * deviation, abs=2e-4)
    assert interval.upper == pytest.approx(0.7 + norm.ppf(0.995) * deviation, abs=2e-4)
    assert intervals.macro(0.7, classes, 2, variance=0.01).lower == pytest.approx(0.7 - 0.2576, abs=1e-3)


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1.0, 1e160, 1e307])
def test_differences_go_with_the_size_of_the_figures(size: float) -> None:
    first, second = Interval(3 * size, 2 * size, 5 * size), Interval(1 * size, 0.5 * size, 2 * size)

    found = difference(first, second)

    expected = difference(Interval(3, 2, 5), Interval(1, 0.5, 2))
    assert list(found) == pytest.approx([end * size for end in expected], rel=1e-12)


def test_what_is_beyond_all_numbers_is_no_figure() -> None:
    with pytest.raises(OverflowError):
        intervals.scaled(Interval(1, 0, 2), 1024)
    assert intervals.scaled(Interval(1, 0, 1.5), 1023).lower == 0

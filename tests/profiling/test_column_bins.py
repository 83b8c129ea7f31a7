"""Bins are frozen from the reference: atoms, quantiles and tails of numbers, the most frequent categories."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.formats.columns import Texts, Times, Values, from_python, text_hash
from exporter.measures.psi import pool_rare, psi, shares
from exporter.profiling.column_bins import number_column, profile_column
from exporter.reference.binning import bin_columns
from exporter.reference.bins import BinLayout, Column, ColumnKind
from exporter.typing import Floats

# -- numbers ------------------------------------------------------------------------------------------------


def profile(numbers: object, timestamps: Floats | None = None) -> Column:
    return profile_column("x", "feature", "number", np.asarray(numbers, np.float64), timestamps)


def bins_of(column: Column, values: object) -> list[int]:
    """The bin of each value; beyond the bins are missing and mismatch."""
    layout = BinLayout((column,))
    numbers = np.asarray(values, np.float64)
    cells: list[int] = (
        bin_columns(layout, {("feature", "x"): numbers}, len(numbers), numbers).cells[0].tolist()
    )
    return cells


def score(column: Column, reference: Floats, window: Floats) -> float:
    """PSI of the window, as it is judged."""
    counts = [np.bincount(bins_of(column, values), minlength=column.bins)[None].astype(np.float64)
              for values in (window, reference)]  # fmt: skip
    pooled = pool_rare(*counts, np.ones((1, column.bins), np.bool_))
    return float(psi(shares(pooled.counts, pooled.mask), shares(pooled.reference, pooled.mask))[0])


def test_quantiles_and_tails_are_edges_midway_between_neighbours() -> None:
    column = profile(np.random.default_rng(0).permutation(10_000))

    tenths = [1000 * k - 0.5 for k in range(1, 10)]
    tails = [9.5, 99.5, 499.5, 9499.5, 9899.5, 9989.5]
    assert column.edges[1:-1].tolist() == sorted([*tenths, *tails])


def test_a_frequent_value_has_a_bin_of_its_own() -> None:
    values = np.concatenate([np.zeros(500), np.full(50, 7.0), np.linspace(1, 100, 450)])
    bins = bins_of(profile(values), values)

    assert len({*bins[:500]}) == len({*bins[500:550]}) == 1
    assert bins.count(bins[0]) == 500
    assert bins.count(bins[500]) == 50


def test_a_value_just_short_of_a_twentieth_shares_its_bin() -> None:
    values = np.concatenate([np.full(49, 50.25), np.linspace(1, 100, 951)])
    bins = bins_of(profile(values), values)

    assert bins.count(bins[0]) > 49


def test_small_integers_are_atoms() -> None:
    values = np.repeat(np.arange(7.0), [400, 200, 100, 100, 100, 60, 40])
    column = profile(values)

    assert column.edges[1:-1].tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]


def test_zeros_that_go_away_are_seen() -> None:
    draw = np.random.default_rng(1)
    reference = np.concatenate([np.zeros(4600), draw.lognormal(3, 1, 400)])
    window = draw.lognormal(3, 1, 5000)

    assert score(profile(reference), reference, window) == pytest.approx(9.6, abs=0.5)


def test_float32_of_price_points_is_no_drift() -> None:
    draw = np.random.default_rng(2)
    prices = np.array([0.99, 1.29, 1.99, 2.49, 4.99, 7.95, 9.99, 12.3, 19.9, 24.95, 49.9, 79.99, 99.9])
    reference, window = (draw.choice(prices, 10_000) for _ in range(2))
    column = profile(reference)

    narrow = window.astype(np.float32).astype(np.float64)
    assert score(column, reference, narrow) == score(column, reference, window) < 0.01
    assert score(column, reference, reference.astype(np.float32).astype(np.float64)) == 0


def test_a_unit_that_changes_is_out_of_range() -> None:
    reference = np.random.default_rng(3).normal(1000, 100, 5000)

    assert set(bins_of(profile(reference), reference * 1.609)) & {0, profile(reference).bins - 1}
    assert score(profile(reference), reference, reference * 1.609) > 5


def test_one_outlier_does_not_move_the_bins() -> None:
    values = np.random.default_rng(4).normal(size=5000)
    edges, with_outlier = profile(values).edges, profile([*values, 1e6]).edges

    np.testing.assert_allclose(with_outlier[1:-1], edges[1:-1], atol=0.1)


def test_moments_are_centred_scaled_and_winsorised() -> None:
    values = np.random.default_rng(5).normal(10, 2, 10_000)
    column = profile([*values, 1e308, -1e308])

    assert column.center == pytest.approx(10, abs=0.1)
    assert column.scale == pytest.approx(2, abs=0.1)
    assert -30 < column.low < 0
    assert 20 < column.high < 50


@pytest.mark.parametrize("values", [[5.0] * 200, [5.0]], ids=["constant", "one row"])
def test_a_constant_has_one_bin_and_what_differs_is_out_of_range(values: list[float]) -> None:
    column = profile(values)

    assert bins_of(column, [5.0, np.float32(5.0), 5.1, 4.9, math.inf, math.nan]) == [1, 1, 2, 0, 2, 3]
    assert column.unjudged == ""
    assert column.scale == 5.0


def test_a_constant_zero_has_one_bin_as_well() -> None:
    assert bins_of(profile(np.zeros(10)), [0.0, -0.0, 1e-9, -1e-9]) == [1, 1, 2, 0]


@pytest.mark.parametrize("values", [[math.nan] * 5, [math.inf, math.nan]], ids=["missing", "infinite"])
def test_a_column_without_values_is_not_judged(values: list[float]) -> None:
    column = profile(values)

    assert column.unjudged == "the reference has no value in it"
    assert bins_of(column, [1.0, math.nan]) == [0, 1]


EXTREMES = st.sampled_from(
    [0.0, 5e-324, 1e-323, 1e308, -1e308, 1.7976931348623157e308, math.inf, -math.inf, math.nan]
)


@given(st.lists(st.floats() | EXTREMES | st.integers(-3, 3).map(float), min_size=1, max_size=60))
def test_bins_are_sound_whatever_the_numbers(values: list[float]) -> None:
    column = profile(values)
    finite = [value for value in values if math.isfinite(value)]
    assume(finite)
    bins = dict(zip(map(repr, values), bins_of(column, values), strict=True))

    assert (np.diff(column.edges) > 0).all()
    assert not np.isnan(column.edges).any()
    assert len(set(column.cell_names)) == column.cells
    for value in values:
        place = bins[repr(value)]
        if math.isnan(value):
            assert place == column.bins
        elif math.isinf(value):
            assert place == (column.bins - 1 if value > 0 else 0)
        else:
            assert 0 < place < column.bins - 1
    atoms = {value for value in finite if finite.count(value) >= len(finite) / 20}
    for atom in atoms:
        assert {value for value in finite if bins[repr(value)] == bins[repr(atom)]} == {atom}
    assert all(map(math.isfinite, (column.center, column.scale, column.low, column.high)))
    assert column.scale > 0


# -- what is not judged -------------------------------------------------------------------------------------

HOURS = np.arange(1000) * 3600.0 + 1.7e9


def nature(numbers: object, timestamps: Floats | None = None) -> str:
    return profile(numbers, timestamps).unjudged.partition(":")[0]


def test_a_running_number_is_recognised() -> None:
    assert nature(np.arange(1000) + 7e6) == "looks like a running number"
    assert nature(-np.cumsum(np.random.default_rng(0).integers(1, 9, 1000))) == "looks like a running number"


def test_what_grows_with_the_time_of_the_row_is_a_clock() -> None:
    shuffled = np.random.default_rng(0).permutation(1000)
    year = np.repeat([2010.0, 2011.0, 2012.0, 2013.0], 250)

    assert nature(HOURS[shuffled], HOURS[shuffled]) == "looks like a clock"
    assert nature(year[shuffled], HOURS[shuffled]) == "looks like a clock"


def test_what_measures_is_judged() -> None:
    draw = np.random.default_rng(0)

    assert nature(draw.normal(size=1000), HOURS) == ""
    assert nature(np.tile(np.arange(24.0), 50)[:1000], HOURS) == ""  # the hour of the day
    assert nature(draw.integers(0, 10, 1000), HOURS) == ""
    assert nature(np.cumsum(draw.normal(size=1000)), HOURS) == ""  # wanders, but not one way
    assert nature(np.full(1000, 3.0), HOURS) == ""


def test_a_hundred_rows_are_needed_to_recognise_anything() -> None:
    assert nature(np.arange(99.0)) == ""
    assert nature([*np.arange(99.0), math.nan, math.inf]) == ""
    assert nature(np.arange(100.0)) == "looks like a running number"


def test_only_features_are_left_out_for_their_nature() -> None:
    column = profile_column("score", "score", "number", np.arange(1000.0), None)

    assert column.unjudged == ""


def test_huge_numbers_that_grow_do_not_overflow() -> None:
    assert nature(np.repeat([1e308, -1e308], 100), HOURS[:200]) in ("", "looks like a clock")


# -- categories ---------------------------------------------------------------------------------------------


def categories(values: Values, role: str = "feature", kind: ColumnKind = "category") -> Column:
    return profile_column("x", role, kind, values, None)  # type: ignore[arg-type]


def test_the_thirty_most_frequent_are_listed_and_the_others_known() -> None:
    values = [f"c{k:02d}" for k in range(40) for _ in range(100 - k)]
    column = categories(from_python(values))

    assert column.categories == tuple(f"c{k:02d}" for k in range(30))
    assert column.known.tolist() == sorted(text_hash(f"c{k:02d}") for k in range(30, 40))
    assert column.known_complete
    assert column.unjudged == ""


def test_equally_frequent_ones_are_listed_by_name() -> None:
    assert categories(from_python(["b", "a", "c", "c"])).categories == ("c", "a", "b")


def test_one_category_in_several_notations_is_listed_once() -> None:
    assert categories(from_python([1, 1.0, True, "1", "01"])).categories == ("1", "01")


def test_missing_and_mismatched_values_are_no_categories() -> None:
    assert categories(from_python(["a", None, math.nan, [1], {}])).categories == ("a",)


def test_a_column_of_nothing_is_not_judged() -> None:
    for kind in ("category", "boolean"):
        assert categories(from_python([None, None]), kind=kind).unjudged == "the reference has no value in it"


def test_values_that_hardly_repeat_look_like_an_id() -> None:
    column = categories(from_python([f"id {k}" for k in range(1000)]))

    assert column.unjudged == "looks like an id: 1000 different values in 1000 rows"
    assert categories(from_python([f"id {k}" for k in range(99)])).unjudged == ""
    assert categories(from_python([f"id {k}" for k in range(1000)]), role="prediction").unjudged == ""
    assert categories(from_python([f"id {k % 500}" for k in range(1000)])).unjudged == ""


def test_a_million_categories_are_too_many_to_know() -> None:
    rows = np.arange(1_000_000)
    column = categories(Texts(rows, [f"id {k}" for k in rows.tolist()]))

    assert len(column.categories) == 30
    assert len(column.known) == 0
    assert not column.known_complete
    assert column.unjudged.startswith("looks like an id")


def test_texts_that_are_no_names_are_known_but_not_listed() -> None:
    long = "x" * 1001
    column = categories(from_python([long] * 5 + ["x" * 1000]))

    assert column.categories == ("x" * 1000,)
    assert column.known.tolist() == [text_hash(long)]


def test_fifty_thousand_rare_ones_are_known() -> None:
    assert categories(from_python([f"id {k}" for k in range(50_030)])).known_complete
    assert not categories(from_python([f"id {k}" for k in range(50_031)])).known_complete


def test_a_switch_has_both_values_even_if_the_reference_has_one() -> None:
    column = categories(np.array([1.0, 1.0, math.nan]), kind="boolean")

    assert column.categories == ("0", "1")
    assert column.cell_names == (
        "00 false",
        "01 true",
        "02 (other)",
        "03 (unseen)",
        "04 (missing)",
        "05 (mismatch)",
    )


# -- dates --------------------------------------------------------------------------------------------------


def test_a_date_has_bins_of_ages_in_seconds() -> None:
    births = HOURS - np.random.default_rng(0).uniform(0, 1e9, 1000)
    column = profile_column("born", "feature", "time", Times(births), HOURS)

    assert column.kind == "time"
    assert column.unjudged == ""
    assert column.edges[0] >= 0
    assert column.edges[-1] <= 1.001e9


def test_a_date_that_stands_still_ages_with_the_clock() -> None:
    column = profile_column("since", "feature", "time", Times(np.full(1000, 1.6e9)), HOURS)

    assert column.unjudged.startswith("looks like a running number")


def test_a_date_without_times_of_the_rows_is_not_judged() -> None:
    column = profile_column("born", "feature", "time", Times(HOURS), None)

    assert (
        column.unjudged == "a date is judged by its age, and the reference has no timestamp to take it from"
    )
    assert column.cell_names == ("00 (any)", "01 (missing)", "02 (mismatch)")


def test_the_bins_of_one_reference_are_the_same_every_time() -> None:
    values = np.random.default_rng(6).normal(size=5000)

    np.testing.assert_array_equal(
        number_column("x", "feature", "number", values).edges,
        number_column("x", "feature", "number", values[::-1]).edges,
    )


# -- moments ------------------------------------------------------------------------------------------------

ORDINARY = np.random.default_rng(6).normal(10, 2, 500)


@pytest.mark.parametrize("outlier", [1e78, 1e154, 1.7e308, -1.7e308])
@pytest.mark.parametrize("rows", [10, 500])
def test_one_value_beyond_all_measure_does_not_decide_the_unit_of_the_others(
    outlier: float, rows: int
) -> None:
    column = profile([*ORDINARY[:rows], outlier])

    assert 0.5 < column.scale < 1e4 * 2
    assert abs(column.center) < 1e4 * 2


@pytest.mark.parametrize("power", [-1000, -500, 500, 1000])
def test_the_unit_goes_with_the_numbers(power: int) -> None:
    column, usual = profile(np.ldexp(ORDINARY, power)), profile(ORDINARY)

    assert column.scale == pytest.approx(math.ldexp(usual.scale, power), rel=1e-9)
    assert column.center == pytest.approx(math.ldexp(usual.center, power), rel=1e-9)


def test_a_constant_is_measured_in_units_of_itself() -> None:
    assert [profile([value] * 50).scale for value in (1e-300, 0.0, -3.0, 1e300)] == [1e-300, 1, 3, 1e300]

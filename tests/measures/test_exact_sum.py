from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.measures.exact_sum import MAX_EXPONENT, on_grid, split, square, total

numbers = st.floats(-1e60, 1e60).filter(lambda x: x == 0 or abs(x) > 1e-12)


@given(st.lists(numbers, max_size=50))
def test_a_sum_is_the_exact_sum(values: list[float]) -> None:
    limbs = split(np.array(values))

    assert total(limbs.sum(axis=1)) == sum(map(Fraction, values), Fraction(0))


@given(st.lists(numbers, min_size=1, max_size=20), numbers)
def test_what_is_taken_back_leaves_nothing(values: list[float], typo: float) -> None:
    limbs = split(np.array([*values, typo])).sum(axis=1) - split(np.array([typo]))[:, 0]

    assert (limbs == split(np.array(values)).sum(axis=1)).all()


def test_bits_that_are_too_low_are_cut_off_of_each_number_by_itself() -> None:
    assert total(split(np.array([1e-40, 1e-40])).sum(axis=1)) == 0
    assert total(split(np.array([3 * 2.0**-97]))[:, 0]) == Fraction(1, 2**96)


def test_the_largest_numbers_have_their_place() -> None:
    largest = np.nextafter(2.0**MAX_EXPONENT, 0)

    assert total(split(np.array([largest, -largest, 1.0])).sum(axis=1)) == 1
    with pytest.raises(AssertionError):
        split(np.array([2.0**MAX_EXPONENT]))


def test_any_shape_is_split() -> None:
    assert split(np.ones((3, 4))).shape == (12, 3, 4)
    assert split(np.empty((2, 0))).shape == (12, 2, 0)


@given(st.lists(st.floats(-(2.0**69), 2.0**69), min_size=1, max_size=20))
def test_squares_of_numbers_on_the_grid_are_summed_exactly(numbers: list[float]) -> None:
    grid = on_grid(np.array(numbers))

    found = total(split(np.stack(square(grid))).sum(axis=(1, 2)))

    assert found == sum((Fraction(x) ** 2 for x in grid.tolist()), Fraction())
    assert np.abs(grid - numbers).max() <= 2.0**-49

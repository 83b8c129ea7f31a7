"""Sums of numbers without rounding, so that what was added can be taken back whatever came in between.

A label of 1e12 that was a typo and is corrected an hour later would leave nothing of a sum of ordinary
float64: they are rounded away next to it. So a number is cut into *limbs*, integers of 32 bits and a sign,
and limbs are added up as integers. Order, repeats and corrections then make no difference at all.

    number = sum over j of limb[j] * 2 ** (32 j - 96)

Limbs hold numbers below 2 ** 288; bits below 2 ** -96 are cut off, of each number by itself. An int64 has
room for the limbs of two billion of them.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from exporter.typing import Floats, Ints

LIMBS = 12
LIMB_BITS = 32
LOWEST = 96  # the lowest bit is 2 ** -LOWEST
MAX_EXPONENT = LIMBS * LIMB_BITS - LOWEST
GRID_BITS = LOWEST // 2  # squares of multiples of 2 ** -GRID_BITS have no bit below the lowest


def split(numbers: Floats) -> Ints:
    """(...) numbers below 2 ** 288 -> (LIMBS, ...) limbs, each with the number's sign.

    >>> int(split(np.array([1.5]))[3, 0])
    1
    >>> float(total(split(np.array([1e12, 0.5, -1e12])).sum(axis=1)))
    0.5
    """
    limbs = np.zeros((LIMBS, *numbers.shape), np.int64)
    rest = np.trunc(numbers * 2.0**LOWEST)
    largest = int(np.frexp(np.abs(rest).max(initial=0.0))[1])
    assert largest <= MAX_EXPONENT + LOWEST, "the number is too large"
    # Powers of two scale without rounding, and what is taken off cancels the upper bits: all of it is exact.
    for place in reversed(range(-(-largest // LIMB_BITS))):
        unit = 2.0 ** (LIMB_BITS * place)
        limb = np.trunc(rest / unit)
        limbs[place] = limb
        rest -= limb * unit
    return limbs


def on_grid(numbers: Floats) -> Floats:
    """The nearest multiples of 2 ** -GRID_BITS.

    >>> float(on_grid(np.array([1 + 2.0**-50]))[0])
    1.0
    """
    return np.ldexp(np.rint(np.ldexp(numbers, GRID_BITS)), -GRID_BITS)


def square(numbers: Floats) -> tuple[Floats, Floats]:
    """Squares and their rounding errors, whose sums are exact (Dekker 1971).

    A variance is the mean of squares less the square of the mean: never negative if the squares are exact,
    and 0 only where all numbers are alike.

    >>> high, low = square(np.array([1 + 2.0**-30]))
    >>> float(high[0]) == 1 + 2.0**-29, float(low[0]) == 2.0**-60
    (True, True)
    """
    upper = numbers * (2.0**27 + 1)
    upper = upper - (upper - numbers)  # the upper 26 bits: squares of both halves are exact
    lower = numbers - upper
    high = numbers * numbers
    return high, ((upper * upper - high) + 2 * upper * lower) + lower * lower


def total(limbs: Ints) -> Fraction:
    """(LIMBS,) sums of limbs -> the exact sum."""
    whole = sum(int(limb) << (LIMB_BITS * place) for place, limb in enumerate(limbs))
    return Fraction(whole, 1 << LOWEST)

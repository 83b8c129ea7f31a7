"""Sums of floats without rounding, from which any summand can be subtracted again exactly.

With float64 sums, a mistaken label of 1e12 that is corrected an hour later would destroy the sum: the other
labels are rounded away next to it. So a number is split into *limbs*, signed integers of 32 bits, and limbs
are summed as integers. The result depends on neither order nor corrections.

    number = sum over j of limb[j] * 2 ** (32 j - 96)

Limbs represent numbers below 2 ** 288; bits of a number below 2 ** -96 are truncated. An int64 holds the sum
of two billion limbs.
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
    """(LIMBS, ...) limbs of (...) numbers below 2 ** 288, each with the number's sign.

    >>> int(split(np.array([1.5]))[3, 0])
    1
    >>> float(total(split(np.array([1e12, 0.5, -1e12])).sum(axis=1)))
    0.5
    """
    limbs = np.zeros((LIMBS, *numbers.shape), np.int64)
    rest = np.trunc(numbers * 2.0**LOWEST)
    largest = int(np.frexp(np.abs(rest).max(initial=0.0))[1])
    assert largest <= MAX_EXPONENT + LOWEST, "the number is too large"
    # Exact: powers of two scale without rounding, and each subtraction cancels the upper bits.
    for place in reversed(range(-(-largest // LIMB_BITS))):
        unit = 2.0 ** (LIMB_BITS * place)
        limb = np.trunc(rest / unit)
        limbs[place] = limb
        rest -= limb * unit
    return limbs


def on_grid(numbers: Floats) -> Floats:
    """Numbers rounded to multiples of 2 ** -GRID_BITS.

    >>> float(on_grid(np.array([1 + 2.0**-50]))[0])
    1.0
    """
    return np.ldexp(np.rint(np.ldexp(numbers, GRID_BITS)), -GRID_BITS)


def square(numbers: Floats) -> tuple[Floats, Floats]:
    """Squares and their rounding errors, which add up to the exact squares (Dekker 1971).

    A variance is the mean of squares minus the square of the mean. With exact squares it is never negative,
    and 0 only where all numbers are equal.

    >>> high, low = square(np.array([1 + 2.0**-30]))
    >>> float(high[0]) == 1 + 2.0**-29, float(low[0]) == 2.0**-60
    (True, True)
    """
    upper = numbers * (2.0**27 + 1)
    upper = upper - (upper - numbers)  # the upper 26 bits, so that squares of both halves are exact
    lower = numbers - upper
    high = numbers * numbers
    return high, ((upper * upper - high) + 2 * upper * lower) + lower * lower


def total(limbs: Ints) -> Fraction:
    """Exact sum from (LIMBS,) sums of limbs."""
    whole = sum(int(limb) << (LIMB_BITS * place) for place, limb in enumerate(limbs))
    return Fraction(whole, 1 << LOWEST)

"""Quality of predicted numbers, from sums over the rows.

With e = prediction - label, a positive bias means that predictions are too high. Labels are measured from a
fixed centre in a fixed unit, both of the reference, so that their variance is no small difference of large
numbers. Sums, squares included, are exact fractions and are converted to floats after subtraction: a variance
is never negative, and 0 only where all rows are equal. Third and fourth powers are rounded; variances that
are differences of them include a bound of the rounding error.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import nan, sqrt

import numpy as np

from exporter.measures.exact_sum import LOWEST, on_grid, square
from exporter.typing import Floats

# y is the label; the ratios e / y are over the rows whose label is not 0.
TERMS = ("e", "|e|", "e2", "e4", "y", "y2", "y3", "y4", "e2y", "e2y2", "|e/y|", "(e/y)2")
# Terms that are summed exactly, as a square and its rounding error.
SQUARES = ("e2", "y2", "(e/y)2")
# Error of a sum of rounded powers: relative to the sum, and absolute by truncation.
_ROUNDING, _CUT_OFF = Fraction(1, 1 << 50), Fraction(1, 1 << LOWEST)


def terms(errors: Floats, labels: Floats, ratios: Floats) -> Floats:
    """(TERMS + SQUARES, rows) summands; the last rows are the rounding errors of the squares.

    Args:
        errors: (rows,) prediction - label.
        labels: (rows,) from the fixed centre, in the fixed unit.
        ratios: (rows,) e / label, 0 where the label is 0.
    """
    errors, labels, ratios = on_grid(errors), on_grid(labels), on_grid(ratios)
    (e2, e2_rest), (y2, y2_rest), (r2, r2_rest) = map(square, (errors, labels, ratios))
    of_labels = (labels, y2, y2 * labels, y2**2, e2 * labels, e2 * y2)
    firsts = (errors, np.abs(errors), e2, e2**2, *of_labels, np.abs(ratios), r2)
    return np.stack([*firsts, e2_rest, y2_rest, r2_rest])


@dataclass(frozen=True)
class ErrorSums:
    """Sums over labelled rows, and the figures that follow from them.

    `rows` is their number, `zeros` that of the rows whose label is 0, `sums` are by `TERMS`, in powers of the
    label's unit. Figures are NaN without rows.
    """

    rows: int
    zeros: int
    sums: tuple[Fraction, ...]

    def _mean(self, term: str) -> Fraction:
        return self.sums[TERMS.index(term)] / self.rows

    @property
    def bias(self) -> float:
        """Mean of prediction - label."""
        return float(self._mean("e")) if self.rows else nan

    @property
    def mae(self) -> float:
        """Mean absolute error."""
        return float(self._mean("|e|")) if self.rows else nan

    @property
    def rmse(self) -> float:
        """Root mean squared error."""
        return sqrt(self._mean("e2")) if self.rows else nan

    @property
    def mape(self) -> float:
        """Mean of |e / label| as a share, not a percentage, over the rows whose label is not 0."""
        known = self.rows - self.zeros
        return float(self.sums[TERMS.index("|e/y|")] / known) if known else nan

    @property
    def label_variance(self) -> float:
        """Population variance of the labels; 0 only where they are all equal."""
        return float(self._spread) if self.rows else nan

    @property
    def r2(self) -> float:
        """Coefficient of determination: 1 - mean squared error / variance of the labels; NaN if that is 0."""
        if not self.rows or self._spread <= 0:
            return nan
        return float(1 - self._mean("e2") / self._spread)

    @property
    def _spread(self) -> Fraction:
        return self._mean("y2") - self._mean("y") ** 2

    # -- variances of these figures, of independent rows ----------------------------------------------------

    @property
    def bias_variance(self) -> float:
        return float(self._mean("e2") - self._mean("e") ** 2) / self.rows if self.rows else nan

    @property
    def mae_variance(self) -> float:
        return float(self._mean("e2") - self._mean("|e|") ** 2) / self.rows if self.rows else nan

    @property
    def mse_variance(self) -> float:
        """Variance of the mean squared error."""
        if not self.rows:
            return nan
        fourth, second = self._mean("e4"), self._mean("e2")
        return float(max(fourth - second**2, Fraction()) + _bound(fourth, second)) / self.rows

    @property
    def mape_variance(self) -> float:
        known = self.rows - self.zeros
        if not known:
            return nan
        mean, square = (self.sums[TERMS.index(term)] / known for term in ("|e/y|", "(e/y)2"))
        return float(square - mean**2) / known

    @property
    def r2_variance(self) -> float:
        """Variance by the delta method: that of the mean of e^2 / V - (1 - R2) (y - mean)^2 / V.

        V is the labels' variance.
        """
        if not self.rows or self._spread <= 0:
            return nan
        mean = self._mean("y")
        rest = self._mean("e2") / self._spread  # 1 - R2
        y2, e2 = self._mean("y2"), self._mean("e2")
        fourth = self._mean("y4") - 4 * mean * self._mean("y3") + 6 * mean**2 * y2 - 3 * mean**4
        cross = self._mean("e2y2") - 2 * mean * self._mean("e2y") + mean**2 * e2
        second = self._mean("e4") - 2 * rest * cross + rest**2 * fourth
        # Bounds all powers above; a product of two is at most the mean of their squares.
        powers = self._mean("e4") + 8 * rest**2 * (self._mean("y4") + mean**4 + y2**2)
        variance = max(second, Fraction()) + _bound(powers, e2 + rest**2 * y2)
        return float(variance / self._spread**2) / self.rows


def _bound(powers: Fraction, squares: Fraction) -> Fraction:
    """Bound of the rounding error of a difference of powers; 0 if the squares are 0."""
    return _ROUNDING * powers + _CUT_OFF if squares else Fraction()

"""Quality of predicted numbers from sums over the rows.

With e = prediction - label: a positive bias means that the model predicts too much. Labels come in as
distances from a fixed centre, in a fixed unit, both of the reference: their variance is then not a small
difference of large numbers. Sums are exact fractions, squares included, and become floats after the
differences were taken: a variance is never negative, and 0 only where all rows are alike. Third and fourth
powers are rounded; the variances that are differences of those include a bound of the rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import nan, sqrt

import numpy as np

from exporter.measures.exact_sum import LOWEST, on_grid, square
from exporter.typing import Floats

# y is the label; the ratios e / y are of the rows whose label is not 0.
TERMS = ("e", "|e|", "e2", "e4", "y", "y2", "y3", "y4", "e2y", "e2y2", "|e/y|", "(e/y)2")
# Terms that are summed exactly, in two parts.
SQUARES = ("e2", "y2", "(e/y)2")
# Error of a sum of rounded powers: relative to the powers, and cut off from each.
_ROUNDING, _CUT_OFF = Fraction(1, 1 << 50), Fraction(1, 1 << LOWEST)


def terms(errors: Floats, labels: Floats, ratios: Floats) -> Floats:
    """(TERMS + SQUARES, rows) summands, the second parts of the squares last.

    `ratios` (rows,) are e / y, 0 where y is 0.
    """
    errors, labels, ratios = on_grid(errors), on_grid(labels), on_grid(ratios)
    (e2, e2_rest), (y2, y2_rest), (r2, r2_rest) = map(square, (errors, labels, ratios))
    of_labels = (labels, y2, y2 * labels, y2**2, e2 * labels, e2 * y2)
    firsts = (errors, np.abs(errors), e2, e2**2, *of_labels, np.abs(ratios), r2)
    return np.stack([*firsts, e2_rest, y2_rest, r2_rest])


@dataclass(frozen=True)
class ErrorSums:
    """`rows` rows, `sums` by `TERMS` in units of the label (its powers), `zeros` rows whose label is 0."""

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
        """Root of the mean squared error."""
        return sqrt(self._mean("e2")) if self.rows else nan

    @property
    def mape(self) -> float:
        """Mean of |e / label|, a share and no percentage, over the rows whose label is not 0."""
        known = self.rows - self.zeros
        return float(self.sums[TERMS.index("|e/y|")] / known) if known else nan

    @property
    def label_variance(self) -> float:
        """Variance of the labels, of the population; 0 only where they are all alike."""
        return float(self._spread) if self.rows else nan

    @property
    def r2(self) -> float:
        """Share of the labels' variance that the predictions explain; NaN where they do not vary."""
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
        """Of the mean squared error, whose root the RMSE is."""
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
        """By the delta method: of the mean of e^2 / V - (1 - R2) (y - mean)^2 / V, V the labels' variance."""
        if not self.rows or self._spread <= 0:
            return nan
        mean = self._mean("y")
        rest = self._mean("e2") / self._spread  # 1 - R2
        y2, e2 = self._mean("y2"), self._mean("e2")
        fourth = self._mean("y4") - 4 * mean * self._mean("y3") + 6 * mean**2 * y2 - 3 * mean**4
        cross = self._mean("e2y2") - 2 * mean * self._mean("e2y") + mean**2 * e2
        second = self._mean("e4") - 2 * rest * cross + rest**2 * fourth
        # Of all powers above; each product of two is at most the mean of their squares.
        powers = self._mean("e4") + 8 * rest**2 * (self._mean("y4") + mean**4 + y2**2)
        variance = max(second, Fraction()) + _bound(powers, e2 + rest**2 * y2)
        return float(variance / self._spread**2) / self.rows


def _bound(powers: Fraction, squares: Fraction) -> Fraction:
    """Bound of the rounding error of a difference of powers; 0 where all powers are 0."""
    return _ROUNDING * powers + _CUT_OFF if squares else Fraction()

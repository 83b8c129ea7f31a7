"""99 % confidence intervals of the quality figures, from the same counts and sums as the figures.

    accuracy, precision, recall        Wilson's score interval
    f1                                 Wilson's interval of the Jaccard index TP / (TP + FP + FN), transformed
    macro averages                     combined from the classes' intervals as independent; for F1 at least as
                                       wide as by the delta method, since one error lowers two classes
    roc_auc                            Wilson's interval with as many rows as DeLong's variance implies
    log_loss, brier, mae, bias, mape   normal, of a mean
    rmse                               square root of the normal interval of the mean square
    r2                                 normal, with the delta method's variance
    calibration_error                  simulated: noise alone increases it, so no closed form is valid
    difference to the baseline         Newcombe's, from both intervals

Rows are *effective* rows: divided by the design effect, and by Kish's design effect where they are weighted.
"""

from __future__ import annotations

from functools import lru_cache
from math import hypot, inf, isfinite, ldexp, nan, sqrt
from typing import NamedTuple

import numpy as np

from exporter.measures import calibration
from exporter.typing import Bools, Floats

Z = 2.5758293035489004  # the normal distribution's 99.5 % quantile
_SEED = 0  # the interval of an unchanged figure must not change
_DRAWS = 2000


class Interval(NamedTuple):
    """A figure with its 99 % confidence interval; all NaN where there is no figure."""

    value: float
    lower: float
    upper: float


NO_FIGURE = Interval(nan, nan, nan)


def known(value: float) -> Interval:
    """Interval of an exactly known figure, such as a declared baseline."""
    return Interval(value, value, value)


def effective_rows(weights: Floats, squares: Floats) -> Floats:
    """Effective number of weighted rows, (sum w)^2 / sum w^2 (Kish 1965), from (...) sums of w and w^2."""
    return np.divide(weights**2, squares, out=np.zeros(np.shape(weights)), where=np.asarray(squares) > 0)


def wilson(share: float, rows: float, z: float | None = None) -> Interval:
    """Wilson's interval of a share (1927), valid also for few rows and for shares of 0 and 1.

    `z` is a quantile of the normal distribution, by default that of 99 %.

    >>> [round(x, 4) for x in wilson(0.9, 200)]
    [0.9, 0.8319, 0.9424]
    >>> [round(x, 4) for x in wilson(1.0, 200)]
    [1.0, 0.9679, 1.0]
    """
    if not rows > 0 or not isfinite(share):
        return NO_FIGURE
    z = Z if z is None else z
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * sqrt(max(share * (1 - share), 0.0) / rows + z**2 / (4 * rows**2))
    # at 0 and at 1 rounding may put the share just outside
    return Interval(share, min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share))


def f1(value: float, rows: float) -> Interval:
    """Interval of an F1, which is 2 J / (1 + J) with J the share of TP in `rows` = TP + FP + FN."""
    if not rows > 0 or not isfinite(value):
        return NO_FIGURE
    _, low, high = wilson(value / (2 - value), rows)
    return Interval(value, min(2 * low / (1 + low), value), max(2 * high / (1 + high), value))


def macro(value: float, shares: list[Interval], classes: int, variance: float = 0.0) -> Interval:
    """Interval of a mean over classes from the classes' intervals, as independent (Zou and Donner 2008).

    Args:
        value: the mean.
        shares: of the classes that have one; a class without a share counts as 0.
        classes: number of classes that the mean is over.
        variance: of the mean by another method; the interval is at least as wide as it implies.
    """
    if not classes or not isfinite(value):
        return NO_FIGURE
    below = hypot(*(share.value - share.lower for share in shares)) / classes
    above = hypot(*(share.upper - share.value for share in shares)) / classes
    least = Z * sqrt(variance)
    return Interval(value, max(value - max(below, least), 0.0), min(value + max(above, least), 1.0))


def roc_auc(area: float, variance: float, fewest: float) -> Interval:
    """Interval of an area under the ROC curve: that of a share with the same variance.

    A normal interval could leave [0, 1]. Where the classes hardly overlap, few pairs determine the variance,
    so the number of rows is limited to twice that of the rarer class, `fewest`, which follows from the
    variance of Hanley and McNeil (1982).
    """
    if not isfinite(area) or not fewest > 0:
        return NO_FIGURE
    rows = area * (1 - area) / variance if variance > 0 else inf
    return wilson(area, min(rows, 2 * fewest))


def mean(value: float, variance: float, lowest: float = -inf) -> Interval:
    """Interval of a mean with the given variance, by the central limit theorem; not below `lowest`."""
    if not isfinite(value) or not isfinite(variance):
        return NO_FIGURE
    half = Z * sqrt(max(variance, 0.0))
    return Interval(value, max(value - half, lowest), value + half)


def root(value: float, variance: float) -> Interval:
    """Interval of `value`, the square root of a mean that has the given variance."""
    square = mean(value**2, variance, lowest=0.0)
    if not isfinite(square.value):
        return NO_FIGURE
    return Interval(value, min(sqrt(square.lower), value), max(sqrt(square.upper), value))


def scaled(interval: Interval, exponent: int) -> Interval:
    """Interval multiplied by 2 ** exponent.

    Raises:
        OverflowError: the result is beyond the largest float.
    """
    return Interval(*(ldexp(end, exponent) for end in interval))


def absolute(interval: Interval) -> Interval:
    """Interval of the figure's absolute value."""
    value, lower, upper = interval
    nearest = 0.0 if lower <= 0 <= upper else min(abs(lower), abs(upper))
    return Interval(abs(value), nearest, max(abs(lower), abs(upper)))


def calibration_error(positives: Floats, rows: Floats, scores: Floats, effect: float) -> Interval:
    """Interval of the expected calibration error of (groups,) sums.

    Noise alone increases the error: that of perfect scores is never 0. By the triangle inequality it exceeds
    the true error by at most the sum over groups of |e_g|, the noise of each group, whose 99.5 % quantile is
    simulated for the lower end. For the upper end, noise has the signs of the groups' distances.
    """
    value = float(calibration.calibration_error(positives, rows, scores))
    if not isfinite(value):
        return NO_FIGURE
    there: Bools = rows > 0
    positives, rows = positives[there], rows[there]
    # Half a positive and half a negative are added: a group of one class has noise, too.
    share = np.clip((positives + 0.5) / (rows + 1), 0.0, 1.0)
    deviation = np.sqrt(effect * rows * share * (1 - share)) / rows.sum()
    noise = float(np.quantile(_distances(len(rows)) @ deviation, 0.995))
    return Interval(value, max(value - noise, 0.0), value + Z * float(np.sqrt((deviation**2).sum())))


@lru_cache(maxsize=16)
def _distances(groups: int) -> Floats:
    """(draws, groups) absolute values of standard normal draws."""
    drawn = np.random.default_rng(_SEED).standard_normal((_DRAWS, groups))
    return np.abs(drawn)


def difference(first: Interval, second: Interval) -> Interval:
    """Interval of first - second, as independent (Newcombe 1998, method 10; Zou and Donner 2008).

    >>> [round(x, 3) for x in difference(wilson(0.8, 500), wilson(0.9, 2000))]
    [-0.1, -0.152, -0.054]
    """
    value = first.value - second.value
    below = hypot(first.value - first.lower, second.upper - second.value)
    above = hypot(first.upper - first.value, second.value - second.lower)
    return Interval(value, value - below, value + above)

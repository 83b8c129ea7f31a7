"""Optional distances between a window and the reference; no verdict uses them.

Shares have no pseudo-count and bins are not pooled, so that values are comparable with other tools'. NaN
without rows on either side.
"""

from __future__ import annotations

import numpy as np

from exporter.typing import Bools, Floats


def jensen_shannon(q: Floats, p: Floats) -> Floats:
    """Jensen-Shannon distance of shares (..., bins), natural logarithm, 0 to sqrt(ln 2) = 0.833.

    Square root of the mean Kullback-Leibler divergence of both from their mean (Lin 1991; it is a metric, see
    Endres and Schindelin 2003). For small drift, PSI is about 8 times its square.

    >>> window, reference = np.array([16, 18, 16, 14, 12, 12]) / 88, np.array([16, 16, 16, 16, 16, 8]) / 88
    >>> round(float(jensen_shannon(window, reference)), 6)
    0.068048
    """
    middle = (q + p) / 2
    divergence = (_relative_entropy(q, middle) + _relative_entropy(p, middle)) / 2
    return np.sqrt(np.maximum(divergence, 0.0))  # rounding may leave it just below zero


def total_variation(q: Floats, p: Floats) -> Floats:
    """Total variation distance: half the sum of |q - p|, 0 to 1.

    It is the share of rows that would have to move to another bin.

    >>> round(float(total_variation(np.array([0.4, 0.3, 0.2, 0.1]), np.full(4, 0.25))), 3)
    0.2
    """
    distance: Floats = np.abs(q - p).sum(axis=-1) / 2
    return distance


def ks(q: Floats, p: Floats, ordered: Bools) -> Floats:
    """Kolmogorov-Smirnov statistic on the bins, 0 to 1: the largest gap between cumulative shares.

    A lower bound of the exact statistic, which also compares between the edges. NaN for columns that are not
    `ordered`.
    """
    gap = np.abs(np.cumsum(q - p, axis=-1)).max(axis=-1)
    return np.where(ordered, gap, np.nan)


def mean_shift(moments: Floats, reference: Floats) -> Floats:
    """|mean - reference mean| in standard deviations of the reference.

    Args:
        moments: (..., 3) count, sum and sum of squares of standardised values, winsorised so that one value
            of 1e308 does not dominate.
        reference: (..., 3) the same of the reference.

    NaN without values on either side, or where the reference does not vary.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = moments[..., 1] / moments[..., 0]
        reference_mean = reference[..., 1] / reference[..., 0]
        variance = reference[..., 2] / reference[..., 0] - reference_mean**2
        shift = np.abs(mean - reference_mean) / np.sqrt(np.maximum(variance, 0.0))
    # a difference of squares of values around one: less is rounding
    return np.where(variance > 1e-12, shift, np.nan)


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    ratio = np.divide(p, q, out=np.ones_like(q), where=(p > 0) & (q > 0))
    entropy: Floats = (p * np.log(ratio)).sum(axis=-1)
    return entropy

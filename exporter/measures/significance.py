"""Significance of a difference between two samples: chi-square test, adjusted for the number of columns.

With enough rows every difference is significant, however small. So significance is a condition of a verdict
and never the score.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaincc

from exporter.typing import Bools, Floats

MAX_SIGNIFICANCE = 300.0


def chi_square(counts: Floats, reference: Floats, mask: Bools, effective: Floats | None = None) -> Floats:
    """Pearson's two-sample statistic (..., columns); NaN without rows on either side.

        X2 = sum((c/n - r/M)^2 / pool) / (1/n + 1/M),   pool = (c + r) / (n + M)

    Equals `scipy.stats.chi2_contingency([c, r], correction=False)`. With `effective` rows, the window is
    taken as that many rows with the same shares (first-order correction of Rao and Scott 1981).

    >>> mask = np.full(6, True)
    >>> window, reference = np.array([16.0, 18, 16, 14, 12, 12]), np.array([16.0, 16, 16, 16, 16, 8])
    >>> statistic = chi_square(window, reference, mask)
    >>> round(float(p_value(statistic, mask.sum())), 5)
    0.89853
    """
    rows, reference_rows = counts.sum(-1), reference.sum(-1)
    effective = rows if effective is None else effective
    with np.errstate(divide="ignore", invalid="ignore"):
        q = counts / rows[..., None]
        p = reference / reference_rows[..., None]
        n, m = effective[..., None], reference_rows[..., None]
        pool = (q * n + p * m) / (n + m)
        terms = np.where(mask & (pool > 0), (q - p) ** 2 / pool, 0.0)
        statistic = terms.sum(-1) / (1 / effective + 1 / reference_rows)
    return np.where((rows > 0) & (reference_rows > 0), statistic, np.nan)


def p_value(statistic: Floats, bins: Floats) -> Floats:
    """Upper tail of the chi-square distribution with B - 1 degrees of freedom; 1 for a single bin.

    Zero only below about 1e-300.
    """
    freedom = np.maximum(np.asarray(bins) - 1, 1)
    p: Floats = np.where(np.asarray(bins) > 1, gammaincc(freedom / 2, statistic / 2), 1.0)
    return np.where(np.isnan(statistic), np.nan, p)


def adjusted_significance(p: Floats) -> Floats:
    """-log10 of p-values (..., columns) adjusted by Benjamini and Hochberg (1995), at most 300.

    The k-th smallest of m p-values is multiplied by m / k, and limited to the adjusted value of the next
    larger one. NaN stays NaN and does not count in m.

    >>> adjusted_significance(np.array([0.01, 0.1, np.nan, 0.0])).round(3)
    array([  1.824,   1.   ,     nan, 300.   ])
    """
    with np.errstate(divide="ignore"):
        logs = -np.log10(p)
    order = np.argsort(-logs, axis=-1)  # most significant first, NaN last
    ranked = np.take_along_axis(logs, order, axis=-1)
    tested = np.sum(~np.isnan(p), axis=-1, keepdims=True)
    rank = np.arange(1, p.shape[-1] + 1)
    with np.errstate(divide="ignore"):
        scaled = ranked - np.log10(np.maximum(tested, 1)) + np.log10(rank)
    # from the least significant on, each is at least as significant as the one before
    monotone = np.fmax.accumulate(scaled[..., ::-1], axis=-1)[..., ::-1]
    adjusted = np.empty_like(logs)
    np.put_along_axis(adjusted, order, monotone, axis=-1)
    return np.where(np.isnan(p), np.nan, np.clip(adjusted, 0.0, MAX_SIGNIFICANCE))

"""Population stability index (PSI), the drift score that is judged, with its sampling distribution.

    PSI = sum over bins of (q - p) ln(q / p)

with q the share of a bin in the window and p in the reference: the symmetric Kullback-Leibler divergence
(Jeffreys 1946; Yurdakul and Naranjo 2020 for its distribution).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from exporter.typing import Bools, Floats

PSEUDO_COUNT = 0.5
EXPECTED_COUNT = 5.0


class Pooled(NamedTuple):
    """Counts of window and reference after pooling, and the mask of bins; (..., columns, bins + 1) each."""

    counts: Floats
    reference: Floats
    mask: Bools


def pool_rare(counts: Floats, reference: Floats, mask: Bools, effective: Floats | None = None) -> Pooled:
    """Merge bins with few expected rows into one cell, the last of the result.

    A bin is rare if the reference's share gives it fewer than five expected rows in the smaller of the two
    samples (Cochran's rule) and it holds less than half an even share; without the second condition, thirty
    rows over deciles would be merged into one cell, which shows no drift. Rare bins depend on the reference
    and on the number of rows only, never on the window's distribution.

    The pooled cell stays separate even if it is small: values that the reference hardly has appear there, and
    merging it with a frequent bin would hide them. The half pseudo-count bounds the effect of a single row.
    If neither sample has a row in it, it is masked and does not count as a bin.

    Args:
        counts: (..., columns, bins) rows of the window.
        reference: (columns, bins), or with the leading dimensions of `counts`: rows of the reference.
        mask: (columns, bins) True for the bins that a column has.
        effective: (..., columns) effective rows of the window, by default its rows.
    """
    if effective is None:
        effective = counts.sum(-1)
    reference_rows = reference.sum(-1)
    smaller = np.minimum(effective, reference_rows)[..., None]
    # count/rows < limit as count < limit * rows, which needs no care for empty references
    even = reference_rows[..., None] / np.maximum(mask.sum(-1), 1)[..., None]
    rare = mask & (smaller * reference < EXPECTED_COUNT * reference_rows[..., None]) & (reference < even / 2)
    kept = mask & ~rare

    def pooled(cells: Floats) -> Floats:
        rest = np.where(rare, cells, 0.0).sum(-1, keepdims=True)
        return np.concatenate([np.where(kept, cells, 0.0), rest], axis=-1)

    window, base = pooled(counts), pooled(reference)
    seen = (window[..., -1:] + base[..., -1:]) > 0
    return Pooled(window, base, np.concatenate([kept, seen], axis=-1))


def shares(counts: Floats, mask: Bools, pseudo_count: float = PSEUDO_COUNT) -> Floats:
    """Share of each of the B bins: (c + a) / (n + a B), with pseudo-count a (Jeffreys' prior for a = 1/2).

    Zero where masked; NaN for a column without rows.

    >>> shares(np.array([[3.0, 1.0]]), np.array([[True, True]]))
    array([[0.7, 0.3]])
    """
    rows = counts.sum(-1, keepdims=True)
    total = rows + pseudo_count * mask.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (counts + pseudo_count) / total
    return np.where(rows > 0, np.where(mask, share, 0.0), np.nan)


def psi(q: Floats, p: Floats) -> Floats:
    """PSI of the shares q and p (..., bins); bins where both are 0 are left out.

    >>> mask = np.full(4, True)
    >>> window, reference = np.array([480.0, 360.0, 240.0, 120.0]), np.full(4, 500.0)
    >>> round(float(psi(shares(window, mask), shares(reference, mask))), 6)
    0.227336
    """
    total: Floats = np.sum((q - p) * _log_ratio(q, p), axis=-1)
    return total


def sampling_floor(bins: Floats, rows: Floats, reference_rows: Floats) -> Floats:
    """Expected PSI without drift, (B - 1) k with k = 1/n + 1/M; NaN without rows on either side.

    Without drift PSI / k is about chi-square with B - 1 degrees of freedom.

    >>> float(sampling_floor(np.array(9), np.array(1000), np.array(1000)))
    0.016
    """
    return (bins - 1) * noise(rows, reference_rows)


def noise(rows: Floats, reference_rows: Floats) -> Floats:
    """k = 1/n + 1/M, the variance of a difference of shares per unit of p (1 - p); NaN without rows."""
    with np.errstate(divide="ignore"):
        k = 1 / np.asarray(rows, np.float64) + 1 / np.asarray(reference_rows, np.float64)
    return np.where(np.isfinite(k), k, np.nan)


def standard_error(q: Floats, p: Floats, rows: Floats, reference_rows: Floats) -> Floats:
    """Standard error of the PSI by the delta method, from both samples being multinomial.

    With g = dPSI/dq = ln(q/p) + 1 - p/q, the window's part is (E_q g^2 - (E_q g)^2) / n; the reference's
    likewise. It vanishes without drift, where PSI has a chi-square distribution and the sampling floor is
    used instead.
    """
    log_ratio = _log_ratio(q, p)
    both = (q > 0) & (p > 0)
    ratio = np.divide(q, p, out=np.ones(np.broadcast(q, p).shape), where=both)
    gradient_q = log_ratio + 1 - 1 / ratio
    gradient_p = -log_ratio + 1 - ratio

    def variance(share: Floats, gradient: Floats) -> Floats:
        mean = np.sum(share * gradient, axis=-1, keepdims=True)
        spread: Floats = np.sum(share * (gradient - mean) ** 2, axis=-1)
        return spread

    with np.errstate(divide="ignore", invalid="ignore"):
        total = variance(q, gradient_q) / rows + variance(p, gradient_p) / reference_rows
    return np.sqrt(total)


def _log_ratio(q: Floats, p: Floats) -> Floats:
    # A share of zero on one side only is infinitely far away; on both sides there is no bin.
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio = np.log(q) - np.log(p)
    return np.where((q == 0) & (p == 0), 0.0, log_ratio)

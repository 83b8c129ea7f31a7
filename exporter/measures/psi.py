"""Population stability index, the judged drift score, with what sampling alone does to it.

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
    """Counts of the window and of the reference after pooling, (..., columns, bins + 1) each, and their
    mask."""

    counts: Floats
    reference: Floats
    mask: Bools


def pool_rare(counts: Floats, reference: Floats, mask: Bools, effective: Floats | None = None) -> Pooled:
    """Put the bins that are too rare to be compared one by one into one cell, the last of the result.

    Rare is a bin in which fewer than five rows are expected in the smaller of the two samples by the
    reference's share (Cochran's rule), unless it holds at least half an even share: thirty rows over deciles
    would otherwise end in a single cell that sees nothing. What is rare follows from the reference and the
    number of rows alone, never from where the window's rows fell.

    A pooled cell that is still small stays a cell of its own. It is where values appear that the reference
    hardly has, so merging it with a healthy bin would hide them; the half pseudo-count bounds what a single
    row can do there. If no row of either sample is in it, it is masked and does not count as a bin.

    Args:
        counts: (..., columns, bins) rows of the window.
        reference: the same of the reference, without or with the leading dimensions.
        mask: (columns, bins) bins that a column has.
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
    """(c + a) / (n + a B) for each of the B bins, with a the pseudo-count (Jeffreys' prior for a = 1/2).

    Zero where masked. NaN for a column without rows, whose shares nobody knows.

    >>> shares(np.array([[3.0, 1.0]]), np.array([[True, True]]))
    array([[0.7, 0.3]])
    """
    rows = counts.sum(-1, keepdims=True)
    total = rows + pseudo_count * mask.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (counts + pseudo_count) / total
    return np.where(rows > 0, np.where(mask, share, 0.0), np.nan)


def psi(q: Floats, p: Floats) -> Floats:
    """PSI of shares (..., bins); bins with neither share are left out.

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
    likewise. It vanishes without drift, where the PSI is not normal but chi-square and the sampling floor
    takes its place.
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
    # A share of zero on one side is infinitely far from any on the other; on both sides it is no bin at all.
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio = np.log(q) - np.log(p)
    return np.where((q == 0) & (p == 0), 0.0, log_ratio)

"""Design effect: rows per independent row in a window.

Rows are dependent where a client sends ten similar requests in a row, a retry sends all rows twice, or a
batch job sends sorted data. Such rows vary more between blocks of time than independent ones. The *design
effect* (Kish 1965) is the ratio of the variances; n rows are worth n / effect independent ones, the effective
rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exporter.measures.layout import CellLayout
from exporter.typing import Floats, Ints

# Degrees of freedom below which blocks are compared across the whole window instead of within hours.
MIN_FREEDOM = 5
# Weight of the typical column's effect in that of each column, in rows.
PRIOR_ROWS = 100.0


def design_effect(counts: npt.NDArray[np.integer], groups: Ints, layout: CellLayout) -> Floats:
    """(columns,) variance of the blocks' counts over the variance of independent rows; at least 1.

        sum over blocks and bins of (c - n p)^2  /  sum of n p (1 - p) (1 - n / N) N / (N - 1)

    with n the rows of a block, N those of its hour and p the hour's shares; the last two factors correct for
    the shares being estimated from the same rows. The variance is around each hour's shares rather than the
    window's, since traffic differs between noon and night. The sums run over all bins, so that frequent bins,
    whose shares are known best, weigh most.

    Where few hours have two blocks with rows, the variance is around the window's shares instead. The rows of
    a single block (a daily batch) are taken as independent.

    A column that hardly varies in the window, such as a flag that was never set, says little about its own
    effect. So the effect of the typical column is mixed into each, with the weight of a hundred rows: bursts
    are of whole rows.

    Args:
        counts: (blocks, cells) in order of time.
        groups: (blocks,) the hour of each block, in any numbering.
        layout: of the cells.

    Returns:
        (columns,), 1 where there is too little data.
    """
    occupied = counts.any(axis=1)
    counts, groups = counts[occupied], groups[occupied]
    if len(counts) < 2:
        return np.ones(len(layout.mask))
    hours = np.split(counts, np.flatnonzero(np.diff(groups)) + 1)
    observed, expected, freedom = _dispersion(hours, layout)
    sparse = freedom < MIN_FREEDOM
    if sparse.any():
        across_observed, across_expected, _ = _dispersion([counts], layout)
        observed = np.where(sparse, across_observed, observed)
        expected = np.where(sparse, across_expected, expected)
    typical = _typical_effect(observed, expected)
    effect: Floats = (observed + PRIOR_ROWS * typical) / (expected + PRIOR_ROWS)
    return np.maximum(effect, 1.0)


def _typical_effect(observed: Floats, expected: Floats) -> float:
    """Median effect of the columns with enough expected variance, else the effect of all columns together."""
    telling = expected >= PRIOR_ROWS
    if telling.any():
        return float(np.median(observed[telling] / expected[telling]))
    return float(observed.sum() / expected.sum()) if expected.sum() >= 1 else 1.0


def _dispersion(groups: list[npt.NDArray[np.integer]], layout: CellLayout) -> tuple[Floats, Floats, Floats]:
    """Observed and expected variance over groups and bins, and degrees of freedom per bin, all (columns,)."""
    starts = layout.offsets[:-1]
    column = np.repeat(np.arange(len(starts)), np.diff(layout.offsets))
    observed = np.zeros(len(column))
    expected, freedom = np.zeros(len(starts)), np.zeros(len(starts))
    # One hour at a time: arrays that stay in the processor's cache are several times faster than whole days.
    for counts in groups:
        values = counts.astype(np.float32)
        values[:, layout.offsets[1:] - 2] = 0  # missing
        values[:, layout.offsets[1:] - 1] = 0  # mismatch
        rows = np.add.reduceat(values, starts, axis=1)
        total = rows.sum(axis=0, dtype=np.float64)
        known = np.maximum(total, 1)
        share = values.sum(axis=0) / known[column]
        values -= rows[:, column] * share.astype(np.float32)
        observed += np.einsum("bc,bc->c", values, values)
        within = np.maximum(total - np.einsum("bc,bc->c", rows, rows, dtype=np.float64) / known, 0.0)
        unlike = np.add.reduceat(share * np.maximum(1 - share, 0.0), starts)
        expected += within * unlike * total / np.maximum(total - 1, 1)
        freedom += (rows > 0).sum(axis=0) - (total > 0)
    return np.add.reduceat(observed, starts), expected, freedom

"""Effective rows: how many independent rows a window is worth.

One customer sends ten alike requests in a row, a retry sends everything twice, a batch job comes sorted. Such
rows vary more between blocks of time than independent ones would; the *design effect* (Kish 1965) is by how
much, and n rows are worth n / effect.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exporter.measures.layout import Layout
from exporter.typing import Floats, Ints

# Below so many blocks to compare within their hours, blocks are compared across the whole window.
MIN_FREEDOM = 5
# How much of the typical column's effect goes into each, in rows' worth of expected variance.
PRIOR_ROWS = 100.0


def design_effect(counts: npt.NDArray[np.integer], groups: Ints, layout: Layout) -> Floats:
    """Variance of the blocks' counts around their group's shares, over that of independent rows; at least 1.

        sum over blocks and bins of (c - n p)^2  /  sum of n p (1 - p) (1 - n / N) N / (N - 1)

    with n the rows of a block, N those of its group and p the group's shares; the last two factors are for
    the shares coming from the same rows. Around each hour's shares rather than the window's, since a day is
    not expected to look the same at noon and at night. The sums run over all bins, so that frequent bins,
    which are known well, count most.

    Traffic so sparse that few hours have two blocks with rows is measured around the window's shares instead.
    A single block (a daily batch) tells nothing: its rows are taken as independent.

    A column that hardly varies in the window, such as a flag that nobody happened to set, tells little about
    its own effect. So the effect of the typical column is mixed into each, with the weight of a hundred rows:
    what comes in bursts is whole rows.

    Args:
        counts: (blocks, cells) in order of time.
        groups: (blocks,) the hour of each block, in any numbering.
        layout: of the cells.

    Returns:
        (columns,), 1 where nothing can be told.
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
    """The median of the columns that tell enough, or else of all of them together."""
    telling = expected >= PRIOR_ROWS
    if telling.any():
        return float(np.median(observed[telling] / expected[telling]))
    return float(observed.sum() / expected.sum()) if expected.sum() >= 1 else 1.0


def _dispersion(groups: list[npt.NDArray[np.integer]], layout: Layout) -> tuple[Floats, Floats, Floats]:
    """Observed and expected variance over groups and bins, and degrees of freedom per bin, all (columns,)."""
    starts = layout.offsets[:-1]
    column = np.repeat(np.arange(len(starts)), np.diff(layout.offsets))
    observed = np.zeros(len(column))
    expected, freedom = np.zeros(len(starts)), np.zeros(len(starts))
    # An hour at a time: arrays that stay in the processor's cache are several times faster than whole days.
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

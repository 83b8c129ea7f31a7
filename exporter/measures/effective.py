"""Effective rows: how many independent rows a window is worth.

One customer sends ten alike requests in a row, a retry sends everything twice, a batch job comes sorted. Such
rows vary more between blocks of time than independent ones would; the *design effect* (Kish 1965) is by how
much, and n rows are worth n / effect.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exporter.arrays import Floats, Ints
from exporter.measures.layout import Layout

# Below so many blocks to compare within their hours, blocks are compared across the whole window.
MIN_FREEDOM = 5


def design_effect(counts: npt.NDArray[np.integer], groups: Ints, layout: Layout) -> Floats:
    """Variance of the blocks' counts around their group's shares, over that of independent rows; at least 1.

        sum over blocks and bins of (c - n p)^2  /  sum of n p (1 - p) (1 - n / N) N / (N - 1)

    with n the rows of a block, N those of its group and p the group's shares; the last two factors are for
    the shares coming from the same rows. Around each hour's shares rather than the window's, since a day is
    not expected to look the same at noon and at night. The sums run over all bins, so that frequent bins,
    which are known well, count most.

    Traffic so sparse that few hours have two blocks with rows is measured around the window's shares instead.
    A single block (a daily batch) tells nothing: its rows are taken as independent.

    Args:
        counts: (blocks, cells) in order of time.
        groups: (blocks,) the hour of each block, in any numbering.
        layout: of the cells.

    Returns:
        (columns,), 1 where nothing can be told.
    """
    occupied = counts.any(axis=1)
    values = counts[occupied].astype(np.float32)
    if len(values) < 2:
        return np.ones(len(layout.mask))
    values[:, layout.offsets[1:] - 2] = 0
    values[:, layout.offsets[1:] - 1] = 0
    effect, freedom = _dispersion(values, groups[occupied], layout)
    sparse = freedom < MIN_FREEDOM
    if sparse.any():
        across, _ = _dispersion(values, np.zeros(len(values), np.int64), layout)
        effect = np.where(sparse, across, effect)
    return np.maximum(effect, 1.0)


def _dispersion(values: npt.NDArray[np.float32], groups: Ints, layout: Layout) -> tuple[Floats, Ints]:
    """Observed over expected variance, (columns,), 1 where unknown, and its degrees of freedom per bin."""
    firsts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
    group = np.cumsum(np.diff(groups, prepend=groups[0]) != 0)
    starts = layout.offsets[:-1]
    column = np.repeat(np.arange(len(starts)), np.diff(layout.offsets))

    rows = np.add.reduceat(values, starts, axis=1)
    total = np.add.reduceat(rows, firsts, axis=0)
    share = np.add.reduceat(values, firsts, axis=0) / np.maximum(total, 1)[:, column]
    residual = values - rows[:, column] * share[group]
    np.square(residual, out=residual)
    observed = np.add.reduceat(residual.sum(axis=0, dtype=np.float64), starts)

    squares = np.add.reduceat(rows.astype(np.float64) ** 2, firsts, axis=0)
    one_less = np.maximum(total - 1, 1)
    unlike = 1 - np.add.reduceat(np.square(share, dtype=np.float64), starts, axis=1)
    expected = ((total - squares / np.maximum(total, 1)) * unlike * total / one_less).sum(axis=0)
    freedom = (rows > 0).sum(axis=0) - (total > 0).sum(axis=0)
    # A constant column varies by rounding errors alone.
    known = expected > 1e-3
    effect = np.divide(observed, expected, out=np.ones(len(starts)), where=known)
    return effect, freedom

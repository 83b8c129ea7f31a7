"""Natural variation: how far the reference itself moves from one stretch as long as a window to the next.

An hour or a day is not a sample of the months that a model was trained on: weather, weekdays and seasons make
it differ from them without anything being wrong. So the reference is cut, by its timestamps, into chunks as
long as the window, and what the chunks do is allowed to every window later.
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
import numpy.typing as npt

from exporter.arrays import Bools, Floats, Ints
from exporter.measures.layout import Layout
from exporter.measures.psi import pool_rare, psi, sampling_floor, shares
from exporter.measures.quality import CHECKS, MIN_ROWS, applicable, hits, ratio

# The .99 quantile of an exponential distribution is ln(100) = 4.6 times its mean. From the mean, since the
# .99 quantile of a few dozen chunks is the worst of them: two blizzard days would blind a column for good.
TAIL = 4.6
MAX_DRIFT = 0.5
MIN_CHUNKS = 14
# Of a chunk, as of a window, before its shares of odd values say anything.
MIN_CHUNK_ROWS = MIN_ROWS
# With fewer, the half pseudo-count pulls the excess further than 0.01 below zero, where 4.6 times it would
# hide half of the threshold's worth of real variation; and the mean of 14 noisier chunks would itself vary by
# more than 0.05.
MIN_DRIFT_ROWS = 100
MAX_CHUNKS = 1000  # more would cost memory and not make the mean better


def natural_variation(
    chunks: npt.NDArray[np.integer], layout: Layout
) -> tuple[int, dict[str, Floats]] | None:
    """What the chunks of a reference allow to a window of their length.

    Drift is 4.6 x the mean signed excess (PSI - sampling floor) of each chunk against all the others
    together, within [0, 0.5]; the quality checks are 4.6 x the mean absolute deviation of a chunk's share
    from the whole's. Signed, so that sampling noise averages out; leave-one-out, so that a chunk is not
    compared with itself.

    Args:
        chunks: (chunks, cells) counts of each chunk, cut by time, never by the order of rows.
        layout: of the cells.

    Returns:
        How many chunks were used and, by the names `drift`, `missing`, `type_mismatch`, `unseen`,
        `out_of_range`, arrays (columns,). None with fewer than 14 chunks of at least 30 rows. Drift takes
        only chunks in which the column has 100 values; with fewer than 14 of those it is the maximum of 0.5,
        which leaves gross drift to be seen in windows too short for more. It is NaN where an average chunk is
        beyond that maximum: the hour of the day in a window of an hour, the weekday in one of a day. Nobody
        can tell drift from that.
    """
    rows = layout.rows(chunks).max(axis=-1, initial=0)  # every column counts every row
    chunks = chunks[rows >= MIN_CHUNK_ROWS]
    if len(chunks) < MIN_CHUNKS:
        return None
    allowed, used = natural_drift(chunks, layout)
    allowed = np.where((used >= MIN_CHUNKS) | np.isnan(allowed), np.minimum(allowed, MAX_DRIFT), MAX_DRIFT)
    variation = {"drift": allowed}

    chunks = _thin(chunks)
    found, of = hits(chunks, layout)
    for check in CHECKS:
        overall = ratio(found[check].sum(axis=0), of[check].sum(axis=0))
        deviation = np.abs(ratio(found[check], of[check]) - overall)
        mean, _ = _mean(deviation, np.isfinite(deviation))
        variation[check] = np.where(applicable(layout)[check], TAIL * mean, 0.0)
    return len(chunks), variation


def natural_drift(
    chunks: npt.NDArray[np.integer], layout: Layout, effects: Floats | float = 1.0
) -> tuple[Floats, Ints]:
    """4.6 x the mean signed excess of each chunk against all the others together, at least 0.

    Args:
        chunks: (chunks, cells) counts of each.
        layout: of the cells.
        effects: (columns,) rows per independent row.

    Returns:
        (columns,) the drift that is allowed, NaN where the mean excess alone is beyond 0.5, and how many
        chunks it is from: those in which the column has 100 effective values.
    """
    whole = layout.pad(chunks.sum(axis=0))
    counts = layout.pad(_thin(chunks))
    rest = whole - counts
    n, m = counts.sum(-1) / effects, rest.sum(-1) / effects
    pooled = pool_rare(counts, rest, layout.mask, n)
    score = psi(shares(pooled.counts, pooled.mask), shares(pooled.reference, pooled.mask))
    excess = score - sampling_floor(pooled.mask.sum(-1), n, m)
    mean, used = _mean(excess, (n >= MIN_DRIFT_ROWS) & (m > 0))
    rough, _ = _mean(excess, (n >= MIN_CHUNK_ROWS) & (m > 0))
    return np.where(rough > MAX_DRIFT, np.nan, np.maximum(TAIL * mean, 0.0)), used


def _thin(chunks: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Every so many, so that there are at most MAX_CHUNKS."""
    return chunks[:: -(-len(chunks) // MAX_CHUNKS)]


def quality_allowance(worse: Floats, errors: Floats) -> float:
    """How much worse a quality figure may be in a window because it is so in the reference's own chunks.

        4.6 sqrt(mean(max(worse, 0))^2 - (1 + 2.9 / sqrt(chunks)) mean(errors^2) / (2 pi))

    Of a normal distribution the mean of the part beyond its middle is 1 / sqrt(2 pi) of the deviation, so the
    second term is what chance does, and a standard deviation of that more, or chance would be allowed for in
    every other reference. The rest is natural, and 4.6 times a mean is a tail, as of drift. Only what is
    worse counts: days that are better than the others excuse nothing.

    Args:
        worse: (chunks,) how much worse each chunk is than all the others together; negative is better.
        errors: (chunks,) standard errors of these.

    >>> round(quality_allowance(np.array([0.1, -0.1, 0.1, -0.1]), np.zeros(4)), 3)
    0.23
    >>> quality_allowance(np.array([0.1, -0.1, 0.1, -0.1]), np.full(4, 0.2))
    0.0
    """
    found = float(np.maximum(worse, 0.0).mean()) ** 2
    chance = (1 + 2.9 / sqrt(len(worse))) * float((errors**2).mean()) / (2 * pi)
    return TAIL * sqrt(max(found - chance, 0.0))


def _mean(values: Floats, where: Bools) -> tuple[Floats, Ints]:
    """Mean over the chunks, 0 without any, and how many they are."""
    count = where.sum(axis=0)
    return np.where(where, values, 0.0).sum(axis=0) / np.maximum(count, 1), count

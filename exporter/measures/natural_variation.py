"""Natural variation: how far the reference itself moves from one stretch as long as a window to the next.

An hour or a day is not a sample of the months that a model was trained on: weather, weekdays and seasons make
it differ from them without anything being wrong. So the reference is cut, by its timestamps, into chunks as
long as the window, and what the chunks do is allowed to every window later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, log, pi, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri

from exporter.measures.data_quality import CHECKS, MIN_ROWS, applicable, hits, ratio
from exporter.measures.layout import Layout
from exporter.measures.psi import pool_rare, psi, sampling_floor, shares
from exporter.typing import Bools, Floats, Ints

# Limits are what one day in a quarter of all columns is beyond, of twenty at least.
QUARTER_DAYS, MIN_COLUMNS = 91, 20
TAIL = 4.6  # of an exponential distribution, the .99 quantile: ln(100)
MIN_CHUNKS = 14
MAX_CHUNKS = 2000  # more would cost memory and not make the mean better
# Of a chunk, as of a window, before its shares of odd values say anything.
MIN_CHUNK_ROWS = MIN_ROWS
# With fewer, the half pseudo-count pulls the excess further than 0.01 below zero, where a tail of it
# would hide real variation; and the mean of 14 noisier chunks would itself vary by more than 0.05.
MIN_DRIFT_ROWS = 100
# Of the chunks, by number, that have to tell. Nights and weekends too thin to be chunks may be unlike others.
MIN_TOLD = 0.8
# Of the mean of single chunks, what that of two adjacent ones is taken for where it is less: a few dozen do
# not tell it well. It is what days give that are alike by 0.7.
ALIKE = 0.54
GROSS_DRIFT = 3  # times the limit: drift that one window is enough for
UNKNOWN_DRIFT = 1.0  # of a column with values in too few chunks: gross drift is left to be seen
MAX_MEAN_DRIFT = 0.5
SEASON_MARGIN, SEASON_DEVIATIONS = 1.25, 8.0  # of what an hour or a weekday usually is
MIN_SEASON_CHUNKS = 4
DAY_SECONDS, WEEK_SECONDS = 86400, 604800


def natural_variation(
    chunks: npt.NDArray[np.integer],
    layout: Layout,
    seconds: int = DAY_SECONDS,
    numbers: Ints | None = None,
    longer: Mapping[str, Floats] | None = None,
) -> tuple[int, dict[str, Floats]] | None:
    """What the chunks of a reference allow to a window of their length.

    With e the excess (PSI - sampling floor) of a chunk against all the others together, and m the smaller one
    of two adjacent chunks, since drift takes two adjacent windows, or one three times beyond the limit:

        drift = the largest of   tail mean(m),   0.54 tail mean(e),   season(m),   season(e) / 3

    The excess is signed, so that sampling noise averages out, and leave-one-out, so that a chunk is not
    compared with itself. `tail` is 12 for up to twenty columns, see `_chance`. The quality checks are 7.5
    means of the absolute deviation of a chunk's share from the whole's, without what chance does in so many
    rows, or the usual one at an hour of the week.

    `season` is for what is unlike the rest at its own time only, a night in windows of an hour or a weekend
    in those of a day: of the most unusual hour of the week 1.25 median + 8 median absolute deviations.

    Thin chunks are put together with others of the same hour of the week, or of the day: with fewer than 100
    rows for drift, 30 for the checks. So they tell of the seasons and not of single days.

    Args:
        chunks: (chunks, cells) counts of each chunk, cut by time, never by the order of rows.
        layout: of the cells.
        seconds: length of a chunk.
        numbers: (chunks,) increasing, in time; without them each chunk follows the one before.
        longer: what chunks of more seconds allow, and these at least.

    Returns:
        How many chunks have enough rows by themselves for the checks and, by the names `drift`, `missing`,
        `type_mismatch`, `unseen`, `out_of_range`, arrays (columns,). None if there are fewer than 14, or if
        they are of less than 80 % of the time. A column with values in fewer than 14 chunks that were not
        put together is allowed a drift of 1 at least. Drift is NaN where an average chunk is beyond 0.5:
        nobody can tell drift from that.
    """
    if numbers is None:
        numbers = np.arange(len(chunks))
    of_drift = _sufficient_chunks(chunks, layout, seconds, numbers, MIN_DRIFT_ROWS)
    of_checks = _sufficient_chunks(chunks, layout, seconds, numbers, MIN_CHUNK_ROWS)
    if of_drift is None or of_checks is None:
        return None
    variation = {"drift": _drift(of_drift, layout), **_checks(of_checks, layout)}
    if longer is not None:
        variation = {name: np.maximum(allowed, longer[name]) for name, allowed in variation.items()}
    return int(of_checks.single.sum()), variation


def _drift(chunks: _Chunks, layout: Layout) -> Floats:
    excess, n = _excess(chunks.counts, layout)
    excess = np.where((n >= MIN_DRIFT_ROWS) & np.isfinite(excess), excess, np.nan)
    following = np.append(excess[1:], excess[-1:], axis=0)
    lasting = np.where(chunks.followed[:, None], np.fmin(excess, following), excess)
    lastingly = np.maximum(_mean(lasting), ALIKE * _mean(excess))
    seasons = np.maximum(_season(lasting, chunks.phases), _season(excess, chunks.phases) / GROSS_DRIFT)
    allowed = np.maximum(float(chdtri(1, _chance(layout))) * lastingly, seasons)
    known = np.isfinite(excess[chunks.single]).sum(axis=0) >= MIN_CHUNKS
    allowed = np.maximum(allowed, np.where(known, 0.0, UNKNOWN_DRIFT))
    return np.where(_mean(excess) > MAX_MEAN_DRIFT, np.nan, allowed)


def _chance(layout: Layout) -> float:
    """Of one column on one day to be beyond its limit, the quantile of what its chunks do.

    In means: of chi-square with one degree of freedom for drift, as PSI goes with the square of a shift and
    shifts from day to day are about normal, and exponential for shares. From the mean, since a quantile of a
    few dozen chunks is the worst of them: two blizzard days would blind a column for good. For windows of an
    hour too, whose weather is that of their day.
    """
    return 1 / (max(len(layout.mask), MIN_COLUMNS) * QUARTER_DAYS)


def _checks(chunks: _Chunks, layout: Layout) -> dict[str, Floats]:
    found, of = hits(chunks.counts, layout)
    applies = applicable(layout)
    allowed = {}
    for check in CHECKS:
        overall = ratio(found[check].sum(axis=0), of[check].sum(axis=0))
        deviation = np.abs(ratio(found[check], of[check]) - overall)
        # Of a normal distribution the mean absolute deviation is sqrt(2 / pi) of the standard one.
        chance = 2 / pi * overall * (1 - overall) * _mean(ratio(np.ones_like(of[check]), of[check]))
        natural = np.sqrt(np.maximum(_mean(deviation) ** 2 - chance, 0.0))
        most = np.maximum(-log(_chance(layout)) * natural, _season(deviation, chunks.phases, deviations=0.0))
        allowed[check] = np.where(applies[check], np.nan_to_num(most), 0.0)
    return allowed


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
    excess, n = _excess(chunks, layout, effects)
    telling = np.where(n >= MIN_DRIFT_ROWS, excess, np.nan)
    used = np.isfinite(telling).sum(axis=0)
    rough = _mean(np.where(n >= MIN_CHUNK_ROWS, excess, np.nan))
    return np.where(rough > MAX_MEAN_DRIFT, np.nan, np.maximum(TAIL * _mean(telling), 0.0)), used


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
    largest = float(max(np.abs(worse).max(), np.abs(errors).max()))
    if not 0 < largest < inf:
        return largest
    # In units of the largest, whose square is neither infinite nor 0.
    found = float(np.maximum(worse / largest, 0.0).mean()) ** 2
    chance = (1 + 2.9 / sqrt(len(worse))) * float(((errors / largest) ** 2).mean()) / (2 * pi)
    return largest * TAIL * sqrt(max(found - chance, 0.0))


def _excess(
    chunks: npt.NDArray[np.integer], layout: Layout, effects: Floats | float = 1.0
) -> tuple[Floats, Floats]:
    """PSI - sampling floor of each chunk against all the others together, and its rows, (chunks, columns)."""
    counts = layout.pad(chunks)
    rest = counts.sum(axis=0) - counts
    n, m = counts.sum(-1) / effects, rest.sum(-1) / effects
    pooled = pool_rare(counts, rest, layout.mask, n)
    score = psi(shares(pooled.counts, pooled.mask), shares(pooled.reference, pooled.mask))
    return score - sampling_floor(pooled.mask.sum(-1), n, m), n


@dataclass(frozen=True)
class _Chunks:
    """`counts` (chunks, cells); `phases` (chunks,) the hour of the week, or of the day, of each; `single`
    whether it is none of several put together, `followed` whether the next one is such, and adjacent."""

    counts: npt.NDArray[np.integer]
    phases: Ints
    single: Bools
    followed: Bools


def _sufficient_chunks(
    chunks: npt.NDArray[np.integer], layout: Layout, seconds: int, numbers: Ints, min_rows: int
) -> _Chunks | None:
    """Chunks of enough rows, thin ones put together with their like; None if these are too few."""
    rows = layout.rows(chunks).max(axis=-1, initial=0)  # every column counts every row
    chunks, numbers, rows = chunks[rows > 0], numbers[rows > 0], rows[rows > 0]
    for period in (WEEK_SECONDS, DAY_SECONDS):
        phases = numbers % max(period // seconds, 1)
        together = _join_thin(phases, rows, min_rows)
        told = sum(map(len, together)) / max(len(chunks), 1)
        if told >= MIN_TOLD and len(together) >= MIN_CHUNKS:
            first = np.array([places[0] for places in together])
            single = np.array([len(places) == 1 for places in together])
            next_too = (np.diff(numbers[first]) == 1) & single[1:] & single[:-1]
            return _Chunks(
                counts=np.stack([chunks[places].sum(axis=0, dtype=np.int64) for places in together]),
                phases=phases[first],
                single=single,
                followed=np.append(next_too, False),
            )
    return None


def _join_thin(phases: Ints, rows: Floats, min_rows: int) -> list[list[int]]:
    """Places of chunks that go together, in order of time; those that stay too thin are left out."""
    waiting: dict[int, list[int]] = {}
    found = []
    for place, phase in enumerate(phases.tolist()):
        together = [place] if rows[place] >= min_rows else [*waiting.pop(phase, ()), place]
        if rows[together].sum() >= min_rows:
            found.append(together)
        else:
            waiting[phase] = together
    return sorted(found)


def _mean(values: Floats) -> Floats:
    """(columns,) mean over the chunks, 0 where there is none."""
    known = np.isfinite(values)
    mean: Floats = np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return mean


def _season(values: Floats, phases: Ints, deviations: float = SEASON_DEVIATIONS) -> Floats:
    """(columns,) what the most unusual phase that has four values allows."""
    largest = np.zeros(values.shape[1])
    for phase in np.unique(phases):
        of_phase = values[phases == phase]
        enough = np.isfinite(of_phase).sum(axis=0) >= MIN_SEASON_CHUNKS
        if enough.any():
            known = of_phase[:, enough]
            usual = np.nanmedian(known, axis=0)
            deviation = np.nanmedian(np.abs(known - usual), axis=0)
            allowed = SEASON_MARGIN * usual + deviations * deviation
            largest[enough] = np.maximum(largest[enough], allowed)
    return largest

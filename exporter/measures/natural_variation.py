"""Natural variation: how much the reference varies between stretches of time as long as a window.

An hour or a day is no random sample of the months that a model was trained on: it differs from them because
of weather, weekdays and seasons, without any fault. So the reference is cut by its timestamps into chunks as
long as the window, and windows may later deviate as much as the chunks do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, log, pi, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri

from exporter.measures.data_quality import DATA_QUALITY_CHECKS, MIN_CHECK_ROWS, applicable, hits, ratio
from exporter.measures.layout import CellLayout
from exporter.measures.psi import pool_rare, psi, sampling_floor, shares
from exporter.settings import DAY_SECONDS
from exporter.typing import Bools, Floats, Ints

# One day in a quarter exceeds the limit of any column; at least this many columns are assumed.
QUARTER_DAYS, MIN_COLUMNS = 91, 20
TAIL = 4.6  # of an exponential distribution, the .99 quantile: ln(100)
MIN_CHUNKS = 14
MAX_CHUNKS = 2000  # more would cost memory and not make the mean better
# Rows that a chunk, like a window, needs for its shares of odd values.
MIN_CHUNK_ROWS = MIN_CHECK_ROWS
# With fewer rows the half pseudo-count biases the excess by more than 0.01 below zero, which would hide real
# variation; and the mean of 14 noisier chunks would itself vary by more than 0.05.
MIN_DRIFT_ROWS = 100
# Share of the chunks that need enough rows. Nights and weekends with too few may differ from the others.
MIN_TOLD = 0.8
# Least ratio of the mean of two adjacent chunks to that of single ones, which a few dozen chunks do not
# determine well. Days with an autocorrelation of 0.7 give it.
ALIKE = 0.54
GROSS_DRIFT = 3  # times the limit: drift for which one window is enough
UNKNOWN_DRIFT = 1.0  # allowance of a column with values in too few chunks: gross drift is still detected
MAX_MEAN_DRIFT = 0.5
SEASON_MARGIN, SEASON_DEVIATIONS = 1.25, 8.0  # factors of the median and of the deviation of a phase
MIN_SEASON_CHUNKS = 4
WEEK_SECONDS = 7 * DAY_SECONDS


def natural_variation(
    chunks: npt.NDArray[np.integer],
    layout: CellLayout,
    seconds: int = DAY_SECONDS,
    numbers: Ints | None = None,
    longer: Mapping[str, Floats] | None = None,
) -> tuple[int, dict[str, Floats]] | None:
    """Allowances for drift and for quality checks in windows as long as the chunks of a reference.

    With e the excess (PSI - sampling floor) of a chunk over all others together, and m the smaller excess of
    two adjacent chunks, since drift takes two adjacent windows, or one three times beyond the limit:

        drift = the largest of   tail mean(m),   0.54 tail mean(e),   season(m),   season(e) / 3

    The excess is signed, so that sampling noise averages out, and leave-one-out, so that a chunk is not
    compared with itself. `tail` is 12 for up to twenty columns, see `_chance`. The allowance of a quality
    check is 7.5 times the mean absolute deviation of a chunk's share from the overall share, after the part
    expected by chance is removed, or the usual deviation at an hour of the week if that is larger.

    `season` covers stretches that are unusual at their own time only, such as nights in windows of an hour or
    weekends in those of a day: 1.25 median + 8 median absolute deviations of the most unusual hour of the
    week.

    Chunks with fewer rows than 100 for drift or 30 for the checks are merged with others of the same hour of
    the week, or of the day. Merged chunks inform about seasons and not about single days.

    Args:
        chunks: (chunks, cells) counts of each chunk, cut by time, never by the order of rows.
        layout: of the cells.
        seconds: length of a chunk.
        numbers: (chunks,) of each chunk in time, increasing; by default chunks are consecutive.
        longer: allowances of longer chunks, which are the least allowances of these.

    Returns:
        The number of unmerged chunks with enough rows for the checks, and arrays (columns,) by the names
        `drift`, `missing`, `type_mismatch`, `unseen`, `out_of_range`. None if there are fewer than 14 chunks,
        or if they cover less than 80 % of the time. A column with values in fewer than 14 unmerged chunks has
        a drift of at least 1. Drift is NaN where the mean excess is above 0.5: drift cannot be distinguished
        from that.
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


def _drift(chunks: _Chunks, layout: CellLayout) -> Floats:
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


def _chance(layout: CellLayout) -> float:
    """Probability that one column exceeds its limit on one day.

    The limit is the corresponding quantile of a distribution with the chunks' mean: chi-square with one
    degree of freedom for drift, since PSI is proportional to the square of a shift and shifts from day to day
    are about normal, and exponential for shares. The mean is used since a high quantile of a few dozen chunks
    is their maximum: two blizzard days would hide all drift of a column. It holds for windows of an hour,
    too, since hours vary with their day.
    """
    return 1 / (max(len(layout.mask), MIN_COLUMNS) * QUARTER_DAYS)


def _checks(chunks: _Chunks, layout: CellLayout) -> dict[str, Floats]:
    found, of = hits(chunks.counts, layout)
    applies = applicable(layout)
    allowed = {}
    for check in DATA_QUALITY_CHECKS:
        overall = ratio(found[check].sum(axis=0), of[check].sum(axis=0))
        deviation = np.abs(ratio(found[check], of[check]) - overall)
        # Of a normal distribution the mean absolute deviation is sqrt(2 / pi) of the standard one.
        chance = 2 / pi * overall * (1 - overall) * _mean(ratio(np.ones_like(of[check]), of[check]))
        natural = np.sqrt(np.maximum(_mean(deviation) ** 2 - chance, 0.0))
        most = np.maximum(-log(_chance(layout)) * natural, _season(deviation, chunks.phases, deviations=0.0))
        allowed[check] = np.where(applies[check], np.nan_to_num(most), 0.0)
    return allowed


def natural_drift(
    chunks: npt.NDArray[np.integer], layout: CellLayout, effects: Floats | float = 1.0
) -> tuple[Floats, Ints]:
    """Drift allowance of chunks: 4.6 times their mean signed excess over all others together, at least 0.

    Args:
        chunks: (chunks, cells) counts of each.
        layout: of the cells.
        effects: (columns,) rows per independent row.

    Returns:
        (columns,) allowed drift, NaN where the mean excess alone is above 0.5, and (columns,) the number of
        chunks used, in which the column has 100 effective values.
    """
    excess, n = _excess(chunks, layout, effects)
    telling = np.where(n >= MIN_DRIFT_ROWS, excess, np.nan)
    used = np.isfinite(telling).sum(axis=0)
    rough = _mean(np.where(n >= MIN_CHUNK_ROWS, excess, np.nan))
    return np.where(rough > MAX_MEAN_DRIFT, np.nan, np.maximum(TAIL * _mean(telling), 0.0)), used


def quality_allowance(worse: Floats, errors: Floats) -> float:
    """Allowance for a quality figure in a window, from its variation between the reference's own chunks.

        4.6 sqrt(mean(max(worse, 0))^2 - (1 + 2.9 / sqrt(chunks)) mean(errors^2) / (2 pi))

    The mean of the positive part of a centred normal variable is 1 / sqrt(2 pi) of its standard deviation. So
    the second term is the part expected by chance plus one standard deviation of it; without that addition,
    every other reference would have an allowance by chance alone. The rest is natural variation; 4.6 times a
    mean is a tail, as for drift. Chunks that are better than the others do not increase the allowance.

    Args:
        worse: (chunks,) how much worse each chunk is than all others together; negative is better.
        errors: (chunks,) standard errors of `worse`.

    >>> round(quality_allowance(np.array([0.1, -0.1, 0.1, -0.1]), np.zeros(4)), 3)
    0.23
    >>> quality_allowance(np.array([0.1, -0.1, 0.1, -0.1]), np.full(4, 0.2))
    0.0
    """
    largest = float(max(np.abs(worse).max(), np.abs(errors).max()))
    if not 0 < largest < inf:
        return largest
    # In units of the largest, so that squares neither overflow nor vanish.
    found = float(np.maximum(worse / largest, 0.0).mean()) ** 2
    chance = (1 + 2.9 / sqrt(len(worse))) * float(((errors / largest) ** 2).mean()) / (2 * pi)
    return largest * TAIL * sqrt(max(found - chance, 0.0))


def _excess(
    chunks: npt.NDArray[np.integer], layout: CellLayout, effects: Floats | float = 1.0
) -> tuple[Floats, Floats]:
    """(chunks, columns) excess (PSI - sampling floor) of each chunk over all others, and its rows."""
    counts = layout.pad(chunks)
    rest = counts.sum(axis=0) - counts
    n, m = counts.sum(-1) / effects, rest.sum(-1) / effects
    pooled = pool_rare(counts, rest, layout.mask, n)
    score = psi(shares(pooled.counts, pooled.mask), shares(pooled.reference, pooled.mask))
    return score - sampling_floor(pooled.mask.sum(-1), n, m), n


@dataclass(frozen=True)
class _Chunks:
    """Chunks with enough rows: their counts (chunks, cells), and by chunk (chunks,):

    `phases` the hour of the week or of the day; `single` True if it was not merged with others; `followed`
    True if the next chunk is adjacent and neither was merged.
    """

    counts: npt.NDArray[np.integer]
    phases: Ints
    single: Bools
    followed: Bools


def _sufficient_chunks(
    chunks: npt.NDArray[np.integer], layout: CellLayout, seconds: int, numbers: Ints, min_rows: int
) -> _Chunks | None:
    """Chunks with enough rows, smaller ones merged by phase; None if there are too few."""
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
    """Indices of chunks to merge, in order of time; chunks that stay too small are left out."""
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
    """(columns,) mean over the chunks with a value, 0 where there is none."""
    known = np.isfinite(values)
    mean: Floats = np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return mean


def _season(values: Floats, phases: Ints, deviations: float = SEASON_DEVIATIONS) -> Floats:
    """(columns,) allowance of the most unusual phase with at least four values."""
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

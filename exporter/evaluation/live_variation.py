"""Natural variation of a version's windows: from the reference, a prior, or learned. Pure.

Without timestamps in the reference, the difference between days is unknown. A *prior* allowance is used until
two weeks of traffic are stored. Then the allowance is learned from chunks of the last weeks, as long as a
window, that had not drifted by the prior. Drifted chunks are not used, so a version that was broken from its
first hour on keeps the prior. The result depends on stored blocks only, and is the same after a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exporter.aggregates.chunks import sum_blocks
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.comparison import compare
from exporter.evaluation.context import EvaluationContext
from exporter.measures.natural_variation import (
    GROSS_DRIFT,
    MIN_CHUNKS,
    MIN_DRIFT_ROWS,
    natural_variation,
)
from exporter.reference.profile import Reference
from exporter.settings import DAY_SECONDS, Window
from exporter.typing import Bools, Floats, Ints

# Seven days have one weekend, too few to measure the difference between weekends.
MIN_DAYS = 14
# Chosen by the study: with 0.5, weekends of strongly seasonal columns and most winter storms are drift.
PRIOR_DRIFT = 1.0
# Newest days, not used if there are enough others, so that a step is reported before it is learned.
PAUSE_DAYS = 5
# Allowance for the first hours of a version, and for windows shorter than a day, whose variation is unknown.
FIRST_HOURS_DRIFT = 2.0
MAX_LEARNED_CELLS = (
    1_000_000  # of the chunks of one window; of more chunks, pairs of adjacent ones are sampled
)


@dataclass(frozen=True)
class LiveVariation:
    """Natural variation learned from whole days before `day` (days since the epoch).

    `drift` is by window length in seconds, (columns,): the prior for a column with too few days without
    drift, NaN for one whose windows differ so much that there is no limit. `learned` (columns,) is True for
    columns with a learned allowance.
    """

    reference: Reference
    threshold: Floats
    day: int
    drift: dict[int, Floats]
    learned: Bools


def allowed_drift(
    reference: Reference,
    windows: Sequence[Window],
    window: Window,
    age_seconds: float,
    live: LiveVariation | None = None,
) -> Floats:
    """(columns,) natural variation of a window, NaN where it is unknown, which makes a verdict impossible.

    The first night of a version is no full day: until a window is full, the allowance of a shorter one is
    used, or a wide one with which only gross drift is detected.

    Args:
        reference: of all columns that are judged together.
        windows: all windows that are judged.
        window: one of them.
        age_seconds: age of the version's oldest row at the end of the window.
        live: learned variation, for a reference without natural variation.
    """
    if reference.provisional:
        taught = [seconds for seconds in live.drift if seconds <= window.seconds] if live is not None else []
        if live is not None and taught:
            return live.drift[max(taught)]
        return np.full(len(reference.columns), _prior(windows, window, age_seconds))
    known = [seconds for seconds in reference.variation if seconds <= window.seconds]
    covered = [seconds for seconds in known if seconds <= age_seconds]
    if covered:
        return reference.variation[max(covered)].drift
    return np.full(len(reference.columns), FIRST_HOURS_DRIFT if known else np.nan)


def _prior(windows: Sequence[Window], window: Window, age_seconds: float = np.inf) -> float:
    """Prior allowance of a window, NaN if it has no verdict.

    An hour never resembles a whole reference: a column of times would drift in every hour. So windows shorter
    than a day have no verdict, if there is a longer one.
    """
    if window.seconds >= DAY_SECONDS and age_seconds >= DAY_SECONDS:
        return PRIOR_DRIFT
    longest = max(windows)
    return FIRST_HOURS_DRIFT if window.seconds >= min(longest.seconds, DAY_SECONDS) else np.nan


def learn_variation(reference: Reference, timeline: Timeline, context: EvaluationContext) -> LiveVariation:
    """Learn natural variation from the whole days before now, or reuse that of an evaluation on this day.

    Args:
        reference: one without natural variation of its own.
        timeline: counts in its bins.
        context: see `EvaluationContext`.
    """
    day, threshold = int(context.now // DAY_SECONDS), context.thresholds.by_column(reference)
    known = context.before.live if context.before is not None else None
    if (
        known is not None
        and known.reference is reference
        and known.day == day
        and np.array_equal(known.threshold, threshold)
    ):
        return known
    windows = context.windows
    drift: dict[int, Floats] = {}
    learned = np.zeros(len(reference.columns), np.bool_)
    longer: list[_Chunks] = []
    at_least = np.zeros(len(reference.columns))
    for window in sorted(windows, reverse=True):
        if window.seconds < timeline.settings.coarse_seconds:  # a coarse block cannot be cut
            continue
        chunks = _cut(reference, timeline, window, threshold, day * DAY_SECONDS, longer)
        longer.append(chunks)
        allowed, enough = _learn(reference, chunks)
        if enough.any():
            allowed = np.where(np.isnan(allowed), np.nan, np.maximum(allowed, at_least))
            at_least = np.where(enough, np.nan_to_num(allowed), at_least)
            drift[window.seconds] = np.where(enough, allowed, _prior(windows, window))
            learned |= enough
    return LiveVariation(reference, threshold, day, drift, learned)


@dataclass(frozen=True)
class _Chunks:
    """Chunks as long as a window.

    `numbers` (chunks,) since the epoch, `counts` (chunks, cells), and (chunks, columns) their `excess` over
    the reference, True where they have `drifted`, and `rows` with a value.
    """

    seconds: int
    numbers: Ints
    counts: Ints
    excess: Floats
    drifted: Bools
    rows: Floats

    def drifted_at(self, times: Ints) -> Bools:
        """(times, columns) True where the chunk that contains a time has drifted; False without a chunk."""
        numbers = times // self.seconds
        places = np.clip(np.searchsorted(self.numbers, numbers), 0, len(self.numbers) - 1)
        found: Bools = self.drifted[places] & (self.numbers[places] == numbers)[:, None]
        return found


def _cut(
    reference: Reference,
    timeline: Timeline,
    window: Window,
    threshold: Floats,
    end: int,
    longer: Sequence[_Chunks],
) -> _Chunks:
    """Chunks between the oldest block and `end`; one within a drifted chunk of `longer` has drifted, too."""
    blocks = {start: block.counts for start, _, block in timeline.blocks()}
    first = -(-min(blocks, default=end) // DAY_SECONDS)
    last = max(end // DAY_SECONDS - PAUSE_DAYS, min(end // DAY_SECONDS, first + MIN_DAYS))
    inside = sorted(
        s
        for s in blocks
        if first * DAY_SECONDS <= s // window.seconds * window.seconds
        and (s // window.seconds + 1) * window.seconds <= last * DAY_SECONDS
    )
    places = np.array([s // window.seconds for s in inside], np.int64)
    most = max(2 * MIN_CHUNKS, MAX_LEARNED_CELLS // reference.cells)
    numbers, counts = sum_blocks(blocks, inside, places, reference.cells, most)

    found = compare(
        reference.cell_layout, reference.counts, counts, np.ones((len(counts), len(reference.columns)))
    )
    limit = threshold + (PRIOR_DRIFT if window.seconds >= DAY_SECONDS else FIRST_HOURS_DRIFT)
    beyond = (found.excess > limit) & (found.rows >= MIN_DRIFT_ROWS)
    together = beyond[1:] & beyond[:-1] & (np.diff(numbers) == 1)[:, None]
    drifted = beyond & (found.excess > GROSS_DRIFT * limit)
    drifted[1:] |= together
    drifted[:-1] |= together
    for chunks in longer:
        if len(chunks.numbers):
            drifted |= chunks.drifted_at(numbers * window.seconds)
    return _Chunks(window.seconds, numbers, counts, found.excess, drifted, found.rows)


def _learn(reference: Reference, chunks: _Chunks) -> tuple[Floats, Bools]:
    """(columns,) allowance learned from chunks without drift, and True for columns with enough of them.

    It is (sqrt(v) + sqrt(o))^2, with v the natural variation among the chunks, as of a reference with
    timestamps, and o their mean excess over the reference, which is within the prior: shifts add up, and PSI
    is proportional to the square of a shift.
    """
    columns = len(reference.columns)
    none = np.full(columns, np.nan), np.zeros(columns, np.bool_)
    telling = ~chunks.drifted & (chunks.rows >= MIN_DRIFT_ROWS)
    days = chunks.numbers * chunks.seconds // DAY_SECONDS
    _, first = np.unique(days, return_index=True)
    if len(first) < MIN_DAYS:
        return none
    enough: Bools = np.logical_or.reduceat(telling, first, axis=0).sum(axis=0) >= MIN_DAYS
    enough &= telling.sum(axis=0) >= MIN_CHUNKS
    kept = chunks.counts * np.repeat(~chunks.drifted, np.diff(reference.offsets), axis=1)
    measured = natural_variation(kept, reference.cell_layout, chunks.seconds, chunks.numbers)
    if measured is None or not enough.any():
        return none
    offset = np.where(telling, chunks.excess, 0.0).sum(axis=0) / np.maximum(telling.sum(axis=0), 1)
    allowed = (np.sqrt(measured[1]["drift"]) + np.sqrt(np.maximum(offset, 0.0))) ** 2
    return allowed, enough

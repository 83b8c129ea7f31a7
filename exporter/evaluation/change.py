"""(what a version counted in the weeks before, what it counts now) -> which columns changed. Pure.

Drift compares with the reference, change with the version's own recent past. So it needs no timestamps in the
reference, and it sees a change in a version that never looked like its reference.

    |<------- four weeks: the base ------->|< three days >|< before >|< window >|
                                                                                now

The base is cut into chunks as long as the window. How far these are from each other is what a window may be
from all of them (`measures.variation`), daily and weekly seasons included: a window of 24 hours has every
hour of the day, and 28 days have every weekday four times. Windows that are no whole days are not compared,
and neither are those of which fewer than 14 fit into the base, such as a week: that is too few for a tail.

A change is told once a window and the one before it are both beyond the limit; a single day is no change,
whatever happened on it. That takes one and a half to two days. The base ends before both and three days
earlier still, so that a change which stays is told for days before it becomes a part of the base, and with
that of what is normal: it ends five to ten days after it began. As long as both sides of a change are in the
base the limit is higher, or there is none, which is no verdict: for four weeks more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from exporter.aggregates.block import Block
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.comparison import UNDECIDED, compare, explain, judge
from exporter.evaluation.context import EvaluationContext, WindowSums
from exporter.measures.natural_variation import MIN_CHUNKS, natural_drift
from exporter.measures.significance import adjusted_significance
from exporter.reference.profile import Reference
from exporter.settings import Window
from exporter.typing import Bools, Floats, Ints

DAY_SECONDS, HOUR_SECONDS = 86400, 3600
BASE_SECONDS = 28 * DAY_SECONDS
PAUSE_SECONDS = 3 * DAY_SECONDS
# Of the usual rows, those of the hours in which no row came. A window with a greater gap is another mixture
# of day and night, whatever its columns do.
MAX_ABSENT = 0.1
NO_WHOLE_DAY = "hours of the day that usually bring rows have brought none"


@dataclass(frozen=True)
class ChangeEvaluation:
    """One window. All arrays are (columns,), in the reference's order; NaN where there is no figure.

    `limit` is threshold + sampling floor + what the base's own chunks allow. `verdict` is DRIFTED (changed),
    STABLE or UNDECIDED, and `undecided` says why it is that, empty where it is not.
    """

    window: Window
    score: Floats
    limit: Floats
    significance: Floats
    verdict: npt.NDArray[np.int8]
    undecided: tuple[str, ...]


@dataclass(frozen=True)
class Base:
    """What a window is compared with: `counts` (cells,), `natural` (columns,) drift that its chunks allow,
    NaN where they are too few or too different, `hours` (hours of the day,) rows that come in each."""

    counts: Ints
    natural: Floats
    hours: Ints


@dataclass(frozen=True)
class RecentPast:
    """The base of each window that has one, by its length in seconds, as it was in an `hour`.

    Chunks are whole coarse blocks, so they stay what they are for an hour but for rows that come very late.
    """

    reference: Reference
    hour: int
    bases: dict[int, Base]


def is_compared(window: Window) -> bool:
    """Whether a window of this length can be compared with its past at all."""
    return window.seconds % DAY_SECONDS == 0 and BASE_SECONDS // window.seconds >= MIN_CHUNKS


def recall(reference: Reference, timeline: Timeline, context: EvaluationContext) -> RecentPast:
    """The weeks before each window; those of the evaluation before, if that was in the same hour."""
    hour = int(context.now // HOUR_SECONDS)
    known = context.before.past if context.before is not None else None
    if known is not None and known.reference is reference and known.hour == hour:
        return known
    bases = {}
    for window, effect in zip(context.windows, context.effects_of(reference), strict=True):
        if is_compared(window):
            base = _recall_base(reference, timeline, window, effect, context.now)
            if base is not None:
                bases[window.seconds] = base
    return RecentPast(reference, hour, bases)


def _recall_base(
    reference: Reference, timeline: Timeline, window: Window, effect: Floats, now: float
) -> Base | None:
    end = now - 2 * window.seconds - PAUSE_SECONDS
    parts: dict[int, list[Block]] = {}
    found: list[tuple[int, Block]] = []
    for start, length, block in timeline.blocks():
        place = (end - (start + length)) // window.seconds
        if 0 <= place < BASE_SECONDS // window.seconds:
            parts.setdefault(int(place), []).append(block)
            found.append((start, block))
    if len(parts) < MIN_CHUNKS:
        return None
    chunks = np.stack(
        [np.sum([block.counts for block in blocks], axis=0, dtype=np.int64) for blocks in parts.values()]
    )
    natural, used = natural_drift(chunks, reference.layout, effect)
    return Base(
        counts=chunks.sum(axis=0),
        natural=np.where(used >= MIN_CHUNKS, natural, np.nan),
        hours=_rows_by_hour(found, timeline),
    )


def judge_change(
    past: RecentPast, timeline: Timeline, sums: WindowSums, context: EvaluationContext
) -> tuple[ChangeEvaluation, ...]:
    """Measure and judge the windows that have a base.

    The rules are those of drift, but that both windows have to be beyond the limit. There is no verdict while
    hours that usually bring rows have brought none.

    Args:
        past: what the windows are compared with.
        timeline: the blocks.
        sums: counts in the windows of the context.
        context: its effects are those of the base, too.
    """
    windows, now = context.windows, context.now
    chosen = [index for index, window in enumerate(windows) if window.seconds in past.bases]
    if not chosen:
        return ()
    reference = past.reference
    bases = [past.bases[windows[index].seconds] for index in chosen]
    counts = np.stack([base.counts for base in bases])
    effects = context.effects_of(reference)[chosen]
    natural = np.stack([base.natural for base in bases])
    comparisons = []
    covered = []
    for counted, age in ((sums.current, 0), (sums.previous, 1)):
        seen = np.stack([counted[index].counts for index in chosen])
        comparisons.append(compare(reference.layout, counts, seen, effects, effects))
        covered.append(
            np.array(
                [
                    _covers_the_day(timeline, windows[index], base, now - age * windows[index].seconds)
                    for index, base in zip(chosen, bases, strict=True)
                ]
            )
        )
    now_change, then_change = comparisons
    then_change = replace(then_change, size=np.where(covered[1][:, None], then_change.size, 0.0))
    judged = np.array([not column.unjudged for column in reference.columns])
    significance = adjusted_significance(np.where(judged, now_change.p, np.nan))
    limit = context.thresholds.by_column(reference) + natural
    verdict = judge(now_change, then_change, limit, significance, confirmed=True)
    verdict[:, ~judged] = UNDECIDED
    verdict[~covered[0]] = UNDECIDED
    undecided = explain(now_change, limit, verdict, [column.unjudged for column in reference.columns])
    return tuple(
        ChangeEvaluation(
            window=windows[index],
            score=now_change.score[row],
            limit=limit[row] + now_change.floor[row],
            significance=significance[row],
            verdict=verdict[row],
            undecided=undecided[row] if covered[0][row] else (NO_WHOLE_DAY,) * len(judged),
        )
        for row, index in enumerate(chosen)
    )


def _covers_the_day(timeline: Timeline, window: Window, base: Base, end: float) -> bool:
    """Whether rows came in nearly all hours of the day that usually bring some, or in the hour beside."""
    start = end - window.seconds
    inside = [(s, block) for s, length, block in timeline.blocks() if start < s + length and s < end]
    came: Bools = _rows_by_hour(inside, timeline) > 0
    near = came | np.roll(came, 1) | np.roll(came, -1)
    return bool(base.hours[~near].sum() <= MAX_ABSENT * base.hours.sum())


def _rows_by_hour(blocks: Sequence[tuple[int, Block]], timeline: Timeline) -> Ints:
    """(hours of the day,), or fewer where a coarse block is longer than an hour."""
    length = max(HOUR_SECONDS, timeline.settings.coarse_seconds)
    hours = np.zeros(max(DAY_SECONDS // length, 1), np.int64)
    for start, block in blocks:
        hours[start // length % len(hours)] += block.rows
    return hours

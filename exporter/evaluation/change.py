"""Changes of columns against the version's own recent past. Pure.

Drift is measured against the reference, change against the weeks before. So change needs no timestamps in the
reference, and is detected in a version that never resembled its reference.

    |<------- four weeks: the base ------->|< three days >|< before >|< window >|
                                                                                now

The base is cut into chunks as long as the window. A window may differ from the base as much as the chunks
differ from each other (`measures.natural_variation`), daily and weekly seasons included: a window of 24 hours
has every hour of the day, and 28 days have every weekday four times. Windows that are not whole days are not
compared, nor are those of which fewer than 14 fit into the base, such as a week: a tail cannot be estimated.

A change is reported once a window and the one before it are both beyond the limit, which takes one and a half
to two days; a single unusual day is no change. The base ends three days before both windows, so that a
lasting change is reported for days before it becomes a part of the base: it ends five to ten days after it
began. While both sides of a change are in the base, for four more weeks, the limit is higher, or there is no
verdict.
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
from exporter.settings import DAY_SECONDS, HOUR_SECONDS, Window
from exporter.typing import Bools, Floats, Ints

BASE_SECONDS = 28 * DAY_SECONDS
PAUSE_SECONDS = 3 * DAY_SECONDS
# Largest share of the usual rows that is of hours in which no row came. With a greater gap, a window is
# another mixture of day and night.
MAX_ABSENT = 0.1
NO_WHOLE_DAY = "hours of the day that usually have rows have none"


@dataclass(frozen=True)
class ChangeEvaluation:
    """One window. All arrays are (columns,), in the reference's order; NaN where there is no figure.

    `limit` is threshold + sampling floor + allowance from the base's chunks. `verdict` is DRIFTED (changed),
    STABLE or UNDECIDED; `undecided` is the reason, empty where there is a verdict.
    """

    window: Window
    score: Floats
    limit: Floats
    significance: Floats
    verdict: npt.NDArray[np.int8]
    undecided: tuple[str, ...]


@dataclass(frozen=True)
class Base:
    """The weeks that a window is compared with.

    `counts` (cells,); `natural` (columns,) drift that its chunks allow, NaN if they are too few or differ too
    much; `hours` (hours of the day,) rows in each.
    """

    counts: Ints
    natural: Floats
    hours: Ints


@dataclass(frozen=True)
class RecentPast:
    """Bases by window length in seconds, as of an `hour`, which is counted since the epoch.

    Chunks are whole coarse blocks, so that they change within an hour only by very late rows.
    """

    reference: Reference
    hour: int
    bases: dict[int, Base]


def is_compared(window: Window) -> bool:
    """True if windows of this length are compared with their past."""
    return window.seconds % DAY_SECONDS == 0 and BASE_SECONDS // window.seconds >= MIN_CHUNKS


def find_past(reference: Reference, timeline: Timeline, context: EvaluationContext) -> RecentPast:
    """Bases of the windows; those of the evaluation before are used if it was in the same hour."""
    hour = int(context.now // HOUR_SECONDS)
    known = context.before.past if context.before is not None else None
    if known is not None and known.reference is reference and known.hour == hour:
        return known
    bases = {}
    for window, effect in zip(context.windows, context.effects_of(reference), strict=True):
        if is_compared(window):
            base = _find_base(reference, timeline, window, effect, context.now)
            if base is not None:
                bases[window.seconds] = base
    return RecentPast(reference, hour, bases)


def _find_base(
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
    natural, used = natural_drift(chunks, reference.cell_layout, effect)
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
        comparisons.append(compare(reference.cell_layout, counts, seen, effects, effects))
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
    unjudged = [column.unjudged for column in reference.columns]
    reasons = explain(now_change, limit, significance, verdict, unjudged)
    undecided = [tuple(reason.text for reason in of_window) for of_window in reasons]
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
    """True if rows came in, or next to, nearly all hours of the day that usually have rows."""
    start = end - window.seconds
    inside = [(s, block) for s, length, block in timeline.blocks() if start < s + length and s < end]
    came: Bools = _rows_by_hour(inside, timeline) > 0
    near = came | np.roll(came, 1) | np.roll(came, -1)
    return bool(base.hours[~near].sum() <= MAX_ABSENT * base.hours.sum())


def _rows_by_hour(blocks: Sequence[tuple[int, Block]], timeline: Timeline) -> Ints:
    """(hours of the day,) rows in each; fewer entries if a coarse block is longer than an hour."""
    length = max(HOUR_SECONDS, timeline.settings.coarse_seconds)
    hours = np.zeros(max(DAY_SECONDS // length, 1), np.int64)
    for start, block in blocks:
        hours[start // length % len(hours)] += block.rows
    return hours

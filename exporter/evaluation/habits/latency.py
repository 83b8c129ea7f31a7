"""Limit on the latency of a version, by its own past: (blocks, now) -> p95 and limit.

The limit is twice the 95th percentile of the hourly p95 of a week, without the latest day, and at least a
tenth of a second. A slow batch every night is usual, and slow answers become usual after a day and eight
hours at the earliest.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from exporter.aggregates.block import LATENCY_BOUNDS
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.habits.limits import Habit
from exporter.settings import DAY_SECONDS
from exporter.typing import Floats, Ints

LONG_SECONDS = 1800
SHORT_SECONDS = 300  # and the block it begins in: a slow minute is out of it before the alert is due
MIN_PREDICTIONS = 100  # or the p95 would rest on fewer than five
MIN_AGE_SECONDS = 2 * DAY_SECONDS
PAST_SECONDS = 8 * DAY_SECONDS  # of which the latest day is left out
FACTOR, LEAST_SECONDS = 2.0, 0.1


def judge_latency(timeline: Timeline, now: float) -> Habit:
    """95th percentile of the last half hour or ten minutes, the lower one, and its limit, in seconds.

    Args:
        timeline: a snapshot, which no other thread writes to.
        now: seconds since the epoch.
    """
    recent = _latencies(timeline, now - LONG_SECONDS)
    if recent.sum() < MIN_PREDICTIONS:
        return Habit()
    figures = [percentile95(recent), percentile95(_latencies(timeline, now - SHORT_SECONDS))]
    return Habit(float(np.nanmin(figures)), _limit(timeline, now))


def _latencies(timeline: Timeline, after: float) -> Ints:
    """(buckets,) latencies of the fine blocks that end after a time."""
    length = timeline.settings.block_seconds
    blocks = [block.latency for start, block in timeline.fine.items() if start + length > after]
    return np.sum(blocks, axis=0, dtype=np.int64) if blocks else np.zeros(len(LATENCY_BOUNDS) + 1, np.int64)


def _limit(timeline: Timeline, now: float) -> float | None:
    if timeline.oldest() > now - MIN_AGE_SECONDS:
        return None
    length = timeline.settings.coarse_seconds
    hours: dict[int, Ints] = defaultdict(lambda: np.zeros(len(LATENCY_BOUNDS) + 1, np.int64))
    for start, _, block in timeline.blocks():
        if now - PAST_SECONDS < start < now - DAY_SECONDS:
            hours[start // length] += block.latency
    known = [latency for latency in hours.values() if latency.any()]
    if not known:
        return None
    return max(FACTOR * float(np.quantile(percentiles95(np.array(known)), 0.95)), LEAST_SECONDS)


def percentile95(latency: Ints) -> float:
    """95th percentile of a histogram (buckets,); NaN of an empty one."""
    return float(percentiles95(latency[None])[0]) if latency.any() else float("nan")


def percentiles95(latency: Ints) -> Floats:
    """(n,) 95th percentiles of histograms (n, buckets) that are not empty, interpolated within their buckets.

    Latencies beyond the last bound count as the last bound, as in Prometheus' `histogram_quantile`.
    """
    edges: Floats = np.array([0.0, *LATENCY_BOUNDS, LATENCY_BOUNDS[-1]])
    upto = np.cumsum(latency, axis=1)
    rank = 0.95 * upto[:, -1]
    place = (upto < rank[:, None]).sum(axis=1)
    every = np.arange(len(latency))
    part = (rank - upto[every, place] + latency[every, place]) / latency[every, place]
    found: Floats = edges[place] + part * (edges[place + 1] - edges[place])
    return found

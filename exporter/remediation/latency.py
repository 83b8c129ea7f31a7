"""Latency of a version now, against the hours of the past week, as the alert `ModelLatencyHigh` judges it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from exporter.aggregates.block import LATENCY_BOUNDS
from exporter.aggregates.timeline import Timeline
from exporter.settings import DAY_SECONDS
from exporter.typing import Ints

QUANTILE = 0.95
RECENT_SECONDS = 1800
LATEST_SECONDS = 600
PAST_DAYS = (8, 1)  # the week that ended a day ago
MIN_ROWS = 100
MIN_SECONDS = 0.1
FACTOR = 2


def histogram_quantile(counts: Ints, quantile: float = QUANTILE) -> float:
    """Quantile of a latency histogram in seconds, interpolated as PromQL does; NaN without rows.

    Args:
        counts: (len(LATENCY_BOUNDS) + 1,) by bucket, not cumulative.
        quantile: from 0 to 1.

    >>> histogram_quantile(np.array([0, 0, 0, 0, 0, 50, 50, 0, 0, 0, 0, 0, 0, 0]), 0.5)
    0.05
    """
    total = int(counts.sum())
    if not total:
        return math.nan
    rank, below = quantile * total, np.concatenate(([0], counts.cumsum()))
    bucket = int(np.searchsorted(below[1:], rank))
    if bucket >= len(LATENCY_BOUNDS):
        return LATENCY_BOUNDS[-1]
    start, end = (0.0, *LATENCY_BOUNDS)[bucket], LATENCY_BOUNDS[bucket]
    return start + (end - start) * float(rank - below[bucket]) / float(counts[bucket])


def latency_verdict(timeline: Timeline, now: float) -> bool | None:
    """True if latency is high now, None if there are too few rows, now or in the past week, to tell.

    Args:
        timeline: a snapshot of the version's blocks.
        now: seconds since the epoch.
    """
    blocks = [(start, length, block.latency) for start, length, block in timeline.blocks()]

    def since(seconds: float) -> Ints:
        return _total(latency for start, length, latency in blocks if start + length > now - seconds)

    recent = since(RECENT_SECONDS)
    oldest, newest = (now - days * DAY_SECONDS for days in PAST_DAYS)
    hours = [
        histogram_quantile(latency)
        for start, length, latency in blocks
        if length == timeline.settings.coarse_seconds and oldest <= start and start + length <= newest
    ]
    hours = [found for found in hours if found > 0]
    if recent.sum() < MIN_ROWS or not hours:
        return None
    now_seconds = histogram_quantile(recent)
    latest = histogram_quantile(since(LATEST_SECONDS))
    usual = float(np.quantile(hours, QUANTILE))
    return now_seconds > MIN_SECONDS and min(now_seconds, latest, key=_nan_last) > FACTOR * usual


def _nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _total(counts: Iterable[Ints]) -> Ints:
    total = np.zeros(len(LATENCY_BOUNDS) + 1, np.int64)
    for each in counts:
        total += each
    return total

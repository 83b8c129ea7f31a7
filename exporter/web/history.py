"""Figures of a version over time, from its counts in memory. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from exporter.aggregates.outcomes import Outcomes, tally
from exporter.aggregates.state import VersionCounts
from exporter.evaluation.comparison import compare
from exporter.evaluation.figures import measure_each
from exporter.evaluation.weighting import plain_tables
from exporter.measures import data_quality
from exporter.settings import DAY_SECONDS, HOUR_SECONDS
from exporter.typing import Floats, Ints

PERIODS = 48  # coarse blocks: two days of hours
LABELLED_PERIODS = 14  # of 24 coarse blocks each: two weeks of days
COARSE_PER_LABELLED = 24
MIN_ROWS = 30  # of a period, for a point
MIN_LABELS = 30


@dataclass(frozen=True)
class History:
    """Figures of successive periods, the oldest first; NaN in those with too few rows.

    `rows` (periods,), `drift` (periods, columns) is PSI beyond noise, `checks` (periods, columns) by check of
    data quality. `quality` is by metric, in periods of `COARSE_PER_LABELLED`.
    """

    period_seconds: int
    rows: Ints
    drift: Floats
    checks: Mapping[str, Floats] = field(default_factory=dict)
    quality: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def period(self) -> str:
        """Length of a period, for people."""
        return length_of(self.period_seconds)

    @property
    def span(self) -> str:
        """Length of all periods."""
        return length_of(PERIODS * self.period_seconds)

    @property
    def labelled_period(self) -> str:
        """Length of a period of quality."""
        return length_of(COARSE_PER_LABELLED * self.period_seconds)

    @property
    def labelled_span(self) -> str:
        """Length of all periods of quality."""
        return length_of(LABELLED_PERIODS * COARSE_PER_LABELLED * self.period_seconds)


def find_history(counts: VersionCounts, metrics: Sequence[str], now: float) -> History:
    """Measure the periods up to now.

    Args:
        counts: of the version.
        metrics: of quality.
        now: in seconds since the epoch.
    """
    reference, timeline = counts.reference, counts.timeline.snapshot(now)
    length = timeline.settings.coarse_seconds
    first = int(now // length) - PERIODS + 1
    rows, cells = np.zeros(PERIODS, np.int64), np.zeros((PERIODS, reference.cells), np.int64)
    for start, _, block in timeline.blocks():
        place = start // length - first
        if 0 <= place < PERIODS:
            rows[place] += block.rows
            cells[place] += block.counts.astype(np.int64)
    known = rows >= MIN_ROWS
    drift = np.full((PERIODS, len(reference.columns)), np.nan)
    checks = {}
    if known.any():
        layout = reference.cell_layout
        effects = np.ones((int(known.sum()), len(reference.columns)))
        found = compare(layout, reference.counts, cells[known], effects)
        drift[known] = np.where(found.rows >= MIN_ROWS, np.maximum(found.excess, 0.0), np.nan)
        failed, of = data_quality.hits(cells, layout)
        checks = {name: data_quality.ratio(failed[name], of[name]) for name in failed}
    return History(length, rows, drift, checks, _quality(counts, metrics, now, length))


def _quality(
    counts: VersionCounts, metrics: Sequence[str], now: float, length: int
) -> dict[str, Sequence[float]]:
    if counts.layout is None or not metrics:
        return {}
    period = COARSE_PER_LABELLED * length
    first = int(now // period) - LABELLED_PERIODS + 1
    parts: list[list[Outcomes]] = [[] for _ in range(LABELLED_PERIODS)]
    for start, outcomes in dict(counts.outcomes).items():  # a copy: another thread writes
        if 0 <= (place := start // period - first) < LABELLED_PERIODS:
            parts[place].append(outcomes)
    found: dict[str, Sequence[float]] = {}
    days = [tally(counts.layout, each) if each else None for each in parts]
    for place, day in enumerate(days):
        if day is not None and day.rows >= MIN_LABELS:
            figures = measure_each(counts.layout, day, plain_tables(day)).figures
            for metric in metrics:
                values = found.setdefault(metric, [np.nan] * LABELLED_PERIODS)
                assert isinstance(values, list)
                values[place] = figures[metric].value if metric in figures else np.nan
    return found


def length_of(seconds: int) -> str:
    """Return a length of time for a label.

    >>> [length_of(seconds) for seconds in (3600, 48 * 3600, 86400, 14 * 86400, 12, 48 * 12)]
    ['hour', '48 hours', 'day', '14 days', '12 seconds', '10 minutes']
    """
    for unit, name in ((DAY_SECONDS, "day"), (HOUR_SECONDS, "hour"), (60, "minute")):
        if seconds == unit:
            return name
        if seconds > (2 if unit < DAY_SECONDS else 3) * unit:
            return f"{round(seconds / unit)} {name}s"
    return f"{seconds} seconds"

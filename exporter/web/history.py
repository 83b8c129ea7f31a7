"""Figures of a version over time, from its counts in memory. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from exporter.aggregates.block import Block
from exporter.aggregates.outcomes import Outcomes, tally
from exporter.aggregates.state import VersionCounts
from exporter.evaluation.comparison import compare
from exporter.evaluation.figures import measure_each
from exporter.evaluation.weighting import plain_tables
from exporter.measures import data_quality
from exporter.reference.profile import Reference
from exporter.settings import DAY_SECONDS, HOUR_SECONDS
from exporter.typing import Floats, Ints

PERIODS = 48  # coarse blocks: two days of hours
LABELLED_PERIODS = 14  # of 24 coarse blocks each: two weeks of days
COARSE_PER_LABELLED = 24
MIN_ROWS = 30  # of a period, for a point
MIN_LABELS = 30
CHECKS = ("missing", "type_mismatch", "unseen", "out_of_range")


class _Day(NamedTuple):
    """Outcomes of the hours of a day, and the figures that were measured from them."""

    hours: list[Outcomes]
    figures: Mapping[str, float]


@dataclass(frozen=True)
class History:
    """Figures of successive periods, the oldest first; NaN in those with too few rows.

    Attributes:
        period_seconds: length of a period.
        first: number of the first period, since the epoch.
        rows: (periods,).
        figures: (1 + checks, periods, columns) drift as PSI beyond noise, then shares of rows by check.
        quality: by metric, in periods of `COARSE_PER_LABELLED`.
        days: those periods, by number.
    """

    period_seconds: int
    first: int
    rows: Ints
    figures: Floats
    quality: Mapping[str, Sequence[float]]
    days: Mapping[int, _Day] = field(repr=False)

    @property
    def drift(self) -> Floats:
        """(periods, columns)"""
        drift: Floats = self.figures[0]
        return drift

    def check(self, name: str) -> Floats:
        """(periods, columns) share of rows that fail a check of data quality."""
        share: Floats = self.figures[1 + CHECKS.index(name)]
        return share

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


def find_history(
    counts: VersionCounts, metrics: Sequence[str], now: float, before: History | None = None
) -> History:
    """Measure the periods up to now.

    Args:
        counts: of the version.
        metrics: of quality.
        now: in seconds since the epoch.
        before: of the same version and reference, whose days with the same labels are taken over.
    """
    reference, timeline = counts.reference, counts.timeline.snapshot(now)
    length = timeline.settings.coarse_seconds
    first = int(now // length) - PERIODS + 1
    blocks: list[list[Block]] = [[] for _ in range(PERIODS)]
    for start, _, block in timeline.blocks():
        if 0 <= (place := start // length - first) < PERIODS:
            blocks[place].append(block)
    rows = np.array([sum(block.rows for block in each) for each in blocks], np.int64)
    figures = np.full((1 + len(CHECKS), PERIODS, len(reference.columns)), np.nan)
    fresh = rows >= MIN_ROWS
    if before is not None and 0 <= (moved := first - before.first) < PERIODS:
        # Counts only grow, so a period with as many rows as before has the same.
        same = rows[: PERIODS - moved] == before.rows[moved:]
        figures[:, : PERIODS - moved][:, same] = before.figures[:, moved:][:, same]
        fresh[: PERIODS - moved] &= ~same
    places = np.flatnonzero(fresh)
    if len(places):
        cells = np.stack([np.sum([b.counts for b in blocks[k]], axis=0, dtype=np.int64) for k in places])
        figures[:, places] = _measure(reference, cells)
    days = _days(counts, metrics, now, length, before.days if before is not None else {})
    quality = {
        metric: [day.figures.get(metric, np.nan) for day in days.values()]
        for metric in metrics
        if any(metric in day.figures for day in days.values())
    }
    return History(length, first, rows, figures, quality, days)


def _measure(reference: Reference, cells: Ints) -> Floats:
    """(1 + checks, periods, columns) drift, and shares that fail each check, of counts (periods, cells)."""
    layout, effects = reference.cell_layout, np.ones((len(cells), len(reference.columns)))
    found = compare(layout, reference.counts, cells, effects)
    failed, of = data_quality.hits(cells, layout)
    return np.stack(
        [
            np.where(found.rows >= MIN_ROWS, np.maximum(found.excess, 0.0), np.nan),
            *(data_quality.ratio(failed[name], of[name]) for name in CHECKS),
        ]
    )


def _days(
    counts: VersionCounts, metrics: Sequence[str], now: float, length: int, before: Mapping[int, _Day]
) -> dict[int, _Day]:
    """The days by number, the oldest first; empty if quality cannot be measured."""
    layout = counts.layout
    if layout is None or not metrics:
        return {}
    period = COARSE_PER_LABELLED * length
    last = int(now // period)
    parts: dict[int, list[Outcomes]] = {day: [] for day in range(last - LABELLED_PERIODS + 1, last + 1)}
    for start, outcomes in dict(counts.outcomes).items():  # a copy: another thread writes
        if (day := start // period) in parts:
            parts[day].append(outcomes)
    found = {}
    for day, hours in parts.items():
        known = before.get(day)
        if known is not None and known.hours == hours and set(metrics) <= known.figures.keys():
            found[day] = known
            continue
        rows = tally(layout, hours) if hours else None
        figures = {}
        if rows is not None and rows.rows >= MIN_LABELS:
            figures = measure_each(layout, rows, plain_tables(rows), only=metrics).figures
        found[day] = _Day(hours, {m: figures[m].value if m in figures else np.nan for m in metrics})
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

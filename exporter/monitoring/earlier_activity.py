"""Arrivals from before they were recorded, from the counted blocks: (blocks) -> hours of activity.

An older release kept blocks only, by the predictions' own time. They stand for arrivals once a day of record
has shown that the version's predictions come when they are made: of a batch about yesterday the blocks say
nothing on when it came.
"""

from __future__ import annotations

import numpy as np

from exporter.aggregates.activity import ACTIVITY_HOURS, HOUR, STRETCHES, Hours, no_hours
from exporter.aggregates.timeline import Timeline
from exporter.fleet import Version
from exporter.settings import HOUR_SECONDS

DAY = 24  # hours that have to be compared
AGREEMENT = 0.9  # of the hours with predictions that had arrivals
BUSY_ROWS = 120  # of an hour, with which each of its stretches is taken to have had one


class EarlierActivity:
    """Adds earlier hours to those that were recorded, and remembers what it found of each version."""

    def __init__(self) -> None:
        self._earlier: dict[int, Hours] = {}

    def add_to(self, recorded: Hours | None, version: Version, since: float, now: float) -> Hours:
        """Recorded hours of a version, after the ones from its blocks if these stand for arrivals.

        Args:
            recorded: hours with arrivals, None without any.
            version: with the blocks.
            since: time at which the record of all versions begins. Blocks of later hours without an arrival
                came afterwards.
            now: seconds since the epoch.
        """
        recorded = no_hours() if recorded is None else recorded
        if version.key not in self._earlier:
            found = _hours_of_blocks(version, recorded, since, now)
            if found is None:
                return recorded
            self._earlier[version.key] = found
        earlier = self._earlier[version.key]
        return np.concatenate([earlier, recorded]) if len(earlier) else recorded


def _hours_of_blocks(version: Version, recorded: Hours, since: float, now: float) -> Hours | None:
    """Hours of the blocks before the record began, none if they do not stand for arrivals; None: not yet."""
    if version.counts is None or not len(recorded):
        return None
    begin = int(recorded["start"][0])
    if now - begin < DAY * HOUR_SECONDS:
        return None
    rows = rows_by_hour(version.counts.timeline.snapshot(now))
    compared = {hour for hour in rows if begin <= hour < now - HOUR_SECONDS}
    arrived = set(recorded["start"][recorded["predictions"] > 0].tolist())
    if not compared or len(compared & arrived) < AGREEMENT * len(compared):
        return no_hours()
    end = min(begin, since)
    before = sorted(hour for hour in rows if begin - ACTIVITY_HOURS * HOUR_SECONDS <= hour < end)
    found = np.zeros(len(before), HOUR)
    found["start"] = before
    found["predictions"] = [rows[hour] for hour in before]
    found["stretches"] = np.where(found["predictions"] >= BUSY_ROWS, 2**STRETCHES - 1, 1)
    found["last_prediction"] = found["last_label"] = found["coverage"] = np.nan
    return found


def rows_by_hour(timeline: Timeline) -> dict[int, int]:
    """Predictions by the hour of their own time."""
    rows: dict[int, int] = {}
    for start, _, block in timeline.blocks():
        hour = start // HOUR_SECONDS * HOUR_SECONDS
        rows[hour] = rows.get(hour, 0) + block.rows
    return rows

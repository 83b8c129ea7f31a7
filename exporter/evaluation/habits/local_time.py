"""Local time of a calendar: (times) <-> (local times), and which of them are on holidays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from exporter.config.calendar import Calendar
from exporter.settings import DAY_SECONDS, HOUR_SECONDS
from exporter.typing import Bools, Floats, Ints

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LocalTime:
    """Seconds since the epoch on the clocks of a time zone, so that a week is always as long.

    Args:
        calendar: with the time zone and the holidays in its days.
    """

    def __init__(self, calendar: Calendar) -> None:
        self._zone = calendar.timezone
        self._holidays = np.array(sorted(day.toordinal() for day in calendar.days), np.int64)
        self._holidays -= _EPOCH.toordinal()

    def local(self, times: Floats | Ints) -> Floats:
        """Local times of times in seconds since the epoch."""
        if self._zone == "UTC":
            return np.asarray(times, np.float64)
        hours, places = np.unique(np.asarray(times) // HOUR_SECONDS, return_inverse=True)
        offsets = np.array([_offset(self._zone, int(hour)) for hour in hours.tolist()], np.float64)
        return np.asarray(times, np.float64) + offsets[places]

    def utc(self, local: float) -> float:
        """Time at which clocks show a local time, the first one where they do so twice."""
        first = local - _offset(self._zone, int(local // HOUR_SECONDS))
        return local - _offset(self._zone, int(first // HOUR_SECONDS))

    def on_holiday(self, local: Ints | Floats) -> Bools:
        """True where a local time is on a holiday."""
        return np.isin(np.asarray(local) // DAY_SECONDS, self._holidays)


@lru_cache(20_000)
def _offset(zone: str, hour: int) -> float:
    """Seconds by which clocks are ahead of UTC in an hour since the epoch; changes are on full hours."""
    at = (_EPOCH + timedelta(hours=hour)).astimezone(ZoneInfo(zone))
    offset = at.utcoffset()
    return offset.total_seconds() if offset is not None else 0.0

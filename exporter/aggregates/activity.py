"""Arrivals of one version by the hour in which they came, whatever time they are about.

Blocks count predictions by their own time. When rows come, how regularly, and how late labels are is known
from here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exporter.settings import HOUR_SECONDS
from exporter.typing import Ints

STRETCH_SECONDS = 300
STRETCHES = HOUR_SECONDS // STRETCH_SECONDS  # of an hour, each a bit of a mask
ACTIVITY_HOURS = 45 * 24  # for which activity is kept

# `start` of the hour in seconds since the epoch. Bit n of `stretches` is set where the nth five minutes had
# an arrival. Times of the last arrivals and `coverage`, the share of predictions with labels, are NaN where
# there is none; `label_delay_seconds` is a sum.
HOUR = np.dtype(
    [
        ("start", "<i8"),
        ("predictions", "<i8"),
        ("stretches", "<i4"),
        ("last_prediction", "<f8"),
        ("labels", "<i8"),
        ("last_label", "<f8"),
        ("label_delay_seconds", "<f8"),
        ("coverage", "<f8"),
    ]
)
Hours = npt.NDArray[np.void]  # of dtype HOUR, sorted by start
_EMPTY = np.array([(0, 0, 0, np.nan, 0, np.nan, 0.0, np.nan)], HOUR)


def no_hours() -> Hours:
    """Hours of a version without arrivals."""
    return _EMPTY[:0].copy()


class Activity:
    """Hours with arrivals, at most `ACTIVITY_HOURS`. One thread writes; others read copies."""

    def __init__(self, hours: Hours | None = None) -> None:
        self._hours = hours if hours is not None else no_hours()
        self._changed: set[int] = set()

    def hours(self, until: float = np.inf) -> Hours:
        """Copy of the hours that began until then; later ones come from a clock that was ahead."""
        hours = self._hours
        return hours[hours["start"] <= until]

    def add_predictions(self, rows: int, at: float) -> None:
        """Count predictions that arrived at `at`, in seconds since the epoch."""
        hour = self._hour(at)
        hour["predictions"] += rows
        hour["stretches"] |= 1 << int(at % HOUR_SECONDS // STRETCH_SECONDS)
        hour["last_prediction"] = at

    def add_labels(self, rows: int, delay_seconds: float, at: float) -> None:
        """Count labels that found their predictions at `at`; `delay_seconds` is the sum of their delays."""
        hour = self._hour(at)
        hour["labels"] += rows
        hour["label_delay_seconds"] += delay_seconds
        hour["last_label"] = at

    def set_coverage(self, ratio: float, at: float) -> None:
        self._hour(at)["coverage"] = ratio

    def mark(self, first: float, last: float) -> None:
        """Mark all stretches from `first` to `last` as having had arrivals, without counting any."""
        for stretch in range(int(first // STRETCH_SECONDS), int(last // STRETCH_SECONDS) + 1):
            at = stretch * STRETCH_SECONDS
            self._hour(at)["stretches"] |= 1 << int(at % HOUR_SECONDS // STRETCH_SECONDS)

    def take_changed(self) -> Hours:
        """Hours that have changed since the last call."""
        changed, self._changed = self._changed, set()
        return self._hours[np.isin(self._hours["start"], list(changed))]

    def keep_changed(self, hours: Hours) -> None:
        """Have hours that were taken returned again: they could not be written."""
        self._changed.update(hours["start"].tolist())

    def drop_before(self, at: float) -> None:
        """Drop hours that began before `at`."""
        if len(self._hours) and self._hours["start"][0] < at:
            self._hours = self._hours[self._hours["start"] >= at].copy()

    def _hour(self, at: float) -> np.void:
        start = int(at // HOUR_SECONDS) * HOUR_SECONDS
        self._changed.add(start)
        starts = self._hours["start"]
        place = len(starts) - 1
        if not len(starts) or starts[place] != start:
            place = int(np.searchsorted(starts, start))
            if place == len(starts) or starts[place] != start:
                hours = np.insert(self._hours, place, _EMPTY[0])
                hours["start"][place] = start
                if len(hours) > ACTIVITY_HOURS:
                    hours = np.delete(hours, 0 if place else 1)
                    place = max(place - 1, 0)
                self._hours = hours
        found: np.void = self._hours[place]
        return found


def stretch_numbers(hours: Hours) -> Ints:
    """Numbers of the stretches with arrivals, since the epoch, sorted."""
    bits = (hours["stretches"][:, None] >> np.arange(STRETCHES)) & 1
    numbers = hours["start"][:, None] // STRETCH_SECONDS + np.arange(STRETCHES)
    return np.asarray(numbers[bits.astype(np.bool_)], np.int64)

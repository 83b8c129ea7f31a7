"""Weeks of arrivals, as the exporter would have recorded them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from exporter.aggregates.activity import HOUR, STRETCH_SECONDS, Hours
from exporter.settings import DAY_SECONDS, HOUR_SECONDS
from exporter.typing import Floats

MONDAY = 1_767_571_200.0  # 5 January 2026, 00:00 UTC


def at(day: float, hour: float = 0.0) -> float:
    """Time on the nth day from a Monday."""
    return MONDAY + day * DAY_SECONDS + hour * HOUR_SECONDS


def every(minutes: float, start: float, end: float) -> Floats:
    """Times from `start` to before `end`."""
    return np.arange(start, end, minutes * 60.0)


def office(days: Iterable[int], begin: float = 9, end: float = 17, minutes: float = 2) -> Floats:
    """Times within office hours of some days."""
    return np.concatenate([every(minutes, at(day, begin), at(day, end)) for day in days])


def workdays(first: int, last: int) -> list[int]:
    """Days from `first` to `last` that are not on a weekend."""
    return [day for day in range(first, last + 1) if day % 7 < 5]


def hours_of(
    predictions: Floats | None = None, labels: Floats | None = None, *, each: int = 1, delay: float = 0.0
) -> Hours:
    """Hours in which predictions and labels arrive at given times, `each` labels at once, `delay` s late."""
    predictions = np.zeros(0) if predictions is None else predictions
    labels = np.zeros(0) if labels is None else labels
    starts = np.unique(np.concatenate([predictions, labels]) // HOUR_SECONDS).astype(np.int64)
    found = np.zeros(len(starts), HOUR)
    found["start"] = starts * HOUR_SECONDS
    found["last_prediction"] = found["last_label"] = found["coverage"] = np.nan
    for times, count, last in (
        (predictions, "predictions", "last_prediction"),
        (labels, "labels", "last_label"),
    ):
        places = np.searchsorted(starts, (times // HOUR_SECONDS).astype(np.int64))
        np.add.at(found[count], places, 1 if count == "predictions" else each)
        found[last][places] = times  # the last one of an hour stays
        if count == "predictions":
            bits = 1 << (times % HOUR_SECONDS // STRETCH_SECONDS).astype(np.int32)
            np.bitwise_or.at(found["stretches"], places, bits)
    found["label_delay_seconds"] = found["labels"] * delay
    return found

"""Limits on the silence and coverage of a model's labels, by its own past: (arrivals, now) -> limits.

Labels arrive by the hour, by the day or by the week. A day without any is compared with the same day of the
last two weeks that are known, so that a single delivery sets no pattern; holidays, and days on which the
exporter did not run all the time, are left out. Labels belong to the model: the pattern outlives versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from exporter.aggregates.activity import Hours
from exporter.evaluation.habits.cells import count_within, cumulative
from exporter.evaluation.habits.limits import INTENDED_SECONDS, Habit
from exporter.evaluation.habits.local_time import LocalTime
from exporter.settings import DAY_SECONDS, HOUR_SECONDS
from exporter.typing import Ints

DAY, WEEK = 24, 168  # in hours
WEEKS, COMPARED_WEEKS = 6, 2
GRACE = 6  # hours by which a delivery may be late
MIN_LABELS = 20  # of a day; a day without any may be chance otherwise
MIN_PREDICTIONS = 200  # of a window, for its coverage to be judged
USUAL_SHARE = 0.5  # of the usual coverage


@dataclass(frozen=True)
class VersionLabels:
    """Hours with arrivals of a version of the model; `monitored` is False once it is retired."""

    hours: Hours
    monitored: bool


def judge_label_silence(
    versions: Sequence[VersionLabels], alias_moved: float, down: Ints, local: LocalTime, now: float
) -> Habit:
    """Time since the last label of a model, and its limit, in seconds.

    Labels of a version without aliases are counted until it retires; those of its successor begin as late as
    labels come. So while no monitored version had a label within a week, the limit is at least that time and
    a day after the last move of an alias. Predictions that paused for a day have no labels on the next one.

    Args:
        versions: all that had arrivals in the last weeks.
        alias_moved: time of the last move of one of the model's aliases; minus infinity without any.
        down: starts of the hours in which the exporter did not run all the time, in seconds since the epoch.
        local: the calendar's time.
        now: seconds since the epoch.
    """
    hours = np.concatenate([version.hours for version in versions])
    last = float(np.nanmax(np.append(hours["last_label"], -inf)))
    if last == -inf:
        return Habit()
    silence = max(now - last, 0.0)
    asked = np.unique(hours[hours["predictions"] > 0]["start"])
    if silence > INTENDED_SECONDS or not (asked > now - DAY_SECONDS - HOUR_SECONDS).any():
        return Habit(silence)
    limit = _delivery(hours, down, local, last)
    if limit is None:
        return Habit(silence)
    resumed = asked[1:][(np.diff(asked) > DAY_SECONDS) & (asked[1:] > last)]
    if len(resumed):
        limit = max(limit, float(resumed[-1]) + DAY_SECONDS - last)
    labelled = [version.hours["last_label"] for version in versions if version.monitored]
    if not any((times > now - 7 * DAY_SECONDS).any() for times in labelled):
        limit = max(limit, alias_moved + _delay(hours, last) + DAY_SECONDS - last)
    return Habit(silence, limit)


def _delivery(hours: Hours, down: Ints, local: LocalTime, last: float) -> float | None:
    """Time from the last label to the end of the grace for the next delivery; None if none is expected."""
    silent = int(local.local(np.array([last]))[0] // HOUR_SECONDS)
    first = silent - WEEKS * WEEK
    every = first + np.arange(WEEKS * WEEK + 2 * WEEK + 4 * DAY)
    places = (local.local(hours["start"]) // HOUR_SECONDS).astype(np.int64)
    known = int(places.min())
    inside = (places >= first) & (places <= silent)
    counted = np.bincount(places[inside] - first, hours["labels"][inside], len(every)).astype(np.float64)
    hidden = local.on_holiday(every * HOUR_SECONDS)
    stopped = (local.local(down) // HOUR_SECONDS).astype(np.int64) - first
    hidden[stopped[(stopped >= 0) & (stopped < len(every))]] = True
    labels, without = cumulative(counted), cumulative(hidden)

    starts = silent + 1 + np.arange(2 * WEEK + DAY)
    earlier = starts - WEEK * np.arange(1, WEEKS + 1)[:, None]
    usable = (earlier >= max(known, first)) & (earlier + DAY <= silent + 1)
    usable &= count_within(without, earlier - first, DAY) == 0
    taken = usable & (np.cumsum(usable, axis=0) <= COMPARED_WEEKS)
    delivered = count_within(labels, earlier - first, DAY) >= MIN_LABELS
    expected = taken.any(axis=0) & ~(taken & ~delivered).any(axis=0)
    expected &= count_within(without, starts - first, DAY + GRACE) == 0
    lasting = np.lib.stride_tricks.sliding_window_view(expected, GRACE + 1).all(axis=1)
    found = np.flatnonzero(lasting)
    if not len(found):
        return None
    return local.utc(float(starts[found[0]] + GRACE + DAY) * HOUR_SECONDS) - last


def _delay(hours: Hours, last: float) -> float:
    """Mean time from a prediction to its label, of the labels of two weeks, in seconds."""
    recent = hours[(hours["start"] > last - 14 * DAY_SECONDS) & (hours["labels"] > 0)]
    return float(recent["label_delay_seconds"].sum() / max(int(recent["labels"].sum()), 1))


def usual_coverage(hours: Hours, now: float) -> float | None:
    """Half of what nine of ten hours of a week had at least; None before a week is over.

    The latest day is left out. If labels arrive once a day, coverage goes up and down.
    """
    known = hours[~np.isnan(hours["coverage"])]
    past = known[(known["start"] > now - 8 * DAY_SECONDS) & (known["start"] <= now - DAY_SECONDS)]
    if not len(past) or known["start"][0] > now - 7 * DAY_SECONDS:
        return None
    return USUAL_SHARE * float(np.quantile(past["coverage"], 0.1))

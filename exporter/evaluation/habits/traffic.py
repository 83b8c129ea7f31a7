"""Limit on the silence of an alias, by its own past: (arrivals, moves) -> silence and limit.

The pattern belongs to the alias, whichever version it pointed to at the time, and outlives versions: a silent
champion is reported although its shadow continues. The limit is set by the first of these that ends:

- Busy: 75 minutes in which the last two weeks that are known had predictions in 13 of 15 stretches of five
  minutes. Nights, weekends and batches are not busy, and when clocks change, a busy day ends an hour earlier
  without a word.
- Regular: twelve hours after a time of the week at which predictions came in four weeks, give or take an
  hour and a half, if nearly all predictions come at such times: batches.
- Twice the longest silence that ended in the two weeks before, at least two hours; three days for an alias
  that is younger than a week, whose nights and weekends are unknown.

Holidays, and times at which the exporter did not run, are neither expected to have traffic nor part of the
pattern; weeks with them are replaced by earlier ones, of up to six. After two weeks a silence is intended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np

from exporter.aggregates.activity import STRETCH_SECONDS, Hours, stretch_numbers
from exporter.evaluation.habits.cells import count_within, cumulative
from exporter.evaluation.habits.limits import INTENDED_SECONDS, Habit
from exporter.evaluation.habits.local_time import LocalTime
from exporter.settings import DAY_SECONDS, HOUR_SECONDS
from exporter.storage.schema import AliasMove
from exporter.typing import Bools, Floats, Ints

WEEK_SECONDS = 7 * DAY_SECONDS
WEEK, DAY, HOUR = (seconds // STRETCH_SECONDS for seconds in (WEEK_SECONDS, DAY_SECONDS, HOUR_SECONDS))
WEEKS = 6  # of the past that are looked at
BUSY, BUSY_ACTIVE, BUSY_WEEKS = 15, 13, 2
SLOT, GRACE, SLOT_WEEKS, REGULAR_SHARE = 3 * HOUR, 12 * HOUR, 4, 0.8
YOUNG_SECONDS = 3 * DAY_SECONDS


@dataclass(frozen=True)
class VersionTraffic:
    """Arrivals of a version: numbers of `stretches` since the epoch, sorted, and the time of the last one."""

    stretches: Ints
    last: float

    @classmethod
    def of(cls, hours: Hours) -> VersionTraffic | None:
        """Arrivals in the hours of a version; None if there are none."""
        stretches = stretch_numbers(hours)
        if not len(stretches):
            return None
        last = hours["last_prediction"][~np.isnan(hours["last_prediction"])]
        return cls(stretches, float(last[-1]) if len(last) else float(stretches[-1] + 1) * STRETCH_SECONDS)


@dataclass(frozen=True)
class Observed:
    """Times at which the exporter could see arrivals: from `since` on, without the stretches `down`."""

    since: float
    down: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of(cls, uptime: Hours, now: float) -> Observed:
        """Times in which the exporter ran, by the hours of its own activity."""
        up = stretch_numbers(uptime)
        if not len(up):
            return cls(now)
        every = np.arange(up[0], int(now // STRETCH_SECONDS))
        return cls(float(up[0]) * STRETCH_SECONDS, np.setdiff1d(every, up, assume_unique=True))


def judge_silence(
    moves: Sequence[AliasMove],
    traffic: Mapping[str, VersionTraffic],
    observed: Observed,
    local: LocalTime,
    now: float,
) -> Habit:
    """Silence of an alias and its limit, in seconds.

    Args:
        moves: of the alias, in their order; the last one to a version that exists.
        traffic: of the model's versions that ever had arrivals, by number.
        observed: when the exporter ran.
        local: the calendar's time.
        now: seconds since the epoch.
    """
    last, settled, moved = _last_arrival(moves, traffic, now)
    if last is None:
        return Habit()
    silence = max(now - last, 0.0)
    if silence > INTENDED_SECONDS or not (settled or moved):
        return Habit(silence)
    pattern = _Pattern.of(moves, traffic, observed, local, last, now)
    limit = pattern.limit(settled=settled)
    return Habit(silence, limit if limit < inf else None)


def _last_arrival(
    moves: Sequence[AliasMove], traffic: Mapping[str, VersionTraffic], now: float
) -> tuple[float | None, bool, bool]:
    """Time of the last arrival of an alias; if its version is settled; if it had another one within a week.

    A move is no silence: until the version has had predictions a day after the move, its silence is that of
    all versions that had the alias within a week.
    """
    current, own = moves[-1], traffic.get(moves[-1].version)
    if own is not None and own.last >= current.since + DAY_SECONDS:
        return own.last, True, False
    ends = [move.since for move in moves[1:]]
    recent = {m.version for m, end in zip(moves[:-1], ends, strict=True) if end > now - WEEK_SECONDS}
    recent -= {current.version, ""}
    known = [traffic[version].last for version in {*recent, current.version} if version in traffic]
    return max(known, default=None), False, bool(recent)


@dataclass(frozen=True)
class _Pattern:
    """Local stretches of an alias around the start of its silence.

    Attributes:
        arrived: (n,) numbers of stretches with arrivals before the silence, sorted.
        active: (cells + 1,) running totals of arrivals, of local stretches from `first` on, over the weeks
            before and two after.
        hidden: (cells + 1,) the same of holidays and stretches in which the exporter did not run.
        known: first stretch that could have had an arrival.
        silent: stretch of the last arrival.
        moved: (moves,) stretches in which the alias moved.
        last: time of the last arrival, in seconds since the epoch.
        now: seconds since the epoch.
        local: the calendar's time.
    """

    arrived: Ints
    active: Floats
    hidden: Floats
    first: int
    known: int
    silent: int
    moved: Ints
    last: float
    now: float
    local: LocalTime

    @classmethod
    def of(
        cls,
        moves: Sequence[AliasMove],
        traffic: Mapping[str, VersionTraffic],
        observed: Observed,
        local: LocalTime,
        last: float,
        now: float,
    ) -> _Pattern:
        arrived = local.local(_arrivals_of_alias(moves, traffic) * STRETCH_SECONDS)
        stretches = (arrived // STRETCH_SECONDS).astype(np.int64)
        silent = _stretch(local, last)
        stretches = stretches[(stretches <= silent) & np.append(np.diff(stretches) > 0, True)]
        first = silent - WEEKS * WEEK
        every = first + np.arange(WEEKS * WEEK + 2 * WEEK + 2 * DAY)
        hidden = local.on_holiday(every * STRETCH_SECONDS)
        down = (local.local(observed.down * STRETCH_SECONDS) // STRETCH_SECONDS).astype(np.int64) - first
        hidden[down[(down >= 0) & (down < len(every))]] = True
        seen = min([_stretch(local, observed.since), *stretches[:1].tolist()])
        active = np.zeros(len(every), np.bool_)
        active[stretches[stretches >= first] - first] = True
        return cls(
            arrived=stretches,
            active=cumulative(active),
            hidden=cumulative(hidden),
            first=first,
            known=max(_stretch(local, moves[0].since), seen),
            silent=silent,
            moved=np.array([_stretch(local, move.since) for move in moves[1:]], np.int64),
            last=last,
            now=now,
            local=local,
        )

    def limit(self, *, settled: bool) -> float:
        """Longest usual silence in seconds, infinite where the past does not say."""
        ends = [self._busy()]
        if settled and (ends[0] is None or ends[0] > self.silent + SLOT + GRACE):
            ends.append(self._regular())
        limits = [self._time(end) - self.last for end in ends if end is not None]
        if settled:
            limits.append(self._longest() + self._hidden_seconds())
        return min(limits, default=inf)

    def _busy(self) -> int | None:
        """End of the first stretches after the start of the silence that are busy in every known week."""
        return self._first_expected(self.silent + 1, BUSY, BUSY_ACTIVE, BUSY_WEEKS, 1, 0)

    def _regular(self) -> int | None:
        """End of the grace for the first regular arrival; None if arrivals are not regular."""
        recent = self.arrived[self.arrived > self.silent - WEEK]
        usable, hits = self._compare(recent - SLOT // 2, SLOT, 1)
        taken = usable & (np.cumsum(usable, axis=0) < SLOT_WEEKS)
        regular = (taken.sum(axis=0) == SLOT_WEEKS - 1) & ~(taken & ~hits).any(axis=0)
        if not len(recent) or regular.mean() < REGULAR_SHARE:
            return None
        # Within half a slot the last arrivals were those that are due.
        begin = self.silent + 1 + SLOT // 2
        return self._first_expected(begin, SLOT, 1, SLOT_WEEKS, SLOT_WEEKS, GRACE)

    def _first_expected(
        self, begin: int, length: int, least: int, weeks: int, needed: int, grace: int
    ) -> int | None:
        """End of the first windows of `length` and `grace`, from `begin` on, whose first part had `least`
        active stretches in the last `weeks` known weeks, of which there are `needed`."""
        end = begin + 2 * WEEK + DAY
        for starts in (np.arange(begin, begin + HOUR), np.arange(begin + HOUR, end)):  # mostly the first
            usable, hits = self._compare(starts, length, least)
            taken = usable & (np.cumsum(usable, axis=0) <= weeks)
            expected = (taken.sum(axis=0) >= needed) & ~(taken & ~hits).any(axis=0)
            expected &= count_within(self.hidden, starts - self.first, length + grace) == 0
            found = np.flatnonzero(expected)
            if len(found):
                return int(starts[found[0]]) + length + grace
        return None

    def _compare(self, starts: Ints, length: int, least: int) -> tuple[Bools, Bools]:
        """(weeks, windows) where an earlier week is known, and where it had `least` active stretches."""
        earlier = starts - WEEK * np.arange(1, WEEKS + 1)[:, None]
        usable = (earlier >= max(self.known, self.first)) & (earlier + length <= self.silent + 1)
        usable &= count_within(self.hidden, earlier - self.first, length) == 0
        return usable, count_within(self.active, earlier - self.first, length) >= least

    def _longest(self) -> float:
        """Twice the longest silence that ended in the two weeks before this one, in seconds."""
        if not len(self.arrived) or self.arrived[0] > _stretch(self.local, self.now - WEEK_SECONDS):
            return YOUNG_SECONDS
        begins, ends = self.arrived[:-1], self.arrived[1:]
        recent = ends > self.silent - 2 * WEEK
        begins, ends = begins[recent], ends[recent]
        lengths = ends - begins - self._between(begins, ends)
        unmoved = lengths[np.searchsorted(self.moved, begins) == np.searchsorted(self.moved, ends)]
        chosen = unmoved if len(unmoved) else lengths
        return 2.0 * STRETCH_SECONDS * max(int(chosen.max(initial=0)), HOUR) if len(lengths) else inf

    def _between(self, begins: Ints, ends: Ints) -> Floats:
        """Hidden stretches between two with arrivals."""
        places = np.clip(begins + 1 - self.first, 0, len(self.hidden) - 1)
        return self.hidden[np.clip(ends - self.first, 0, len(self.hidden) - 1)] - self.hidden[places]

    def _hidden_seconds(self) -> float:
        """Holidays and times without the exporter within the silence so far."""
        silent = np.array([self.silent])
        return float(self._between(silent, np.array([_stretch(self.local, self.now)]))[0]) * STRETCH_SECONDS

    def _time(self, stretch: int) -> float:
        return self.local.utc(float(stretch) * STRETCH_SECONDS)


def _arrivals_of_alias(moves: Sequence[AliasMove], traffic: Mapping[str, VersionTraffic]) -> Ints:
    """Numbers of the stretches in which the version that an alias pointed to had arrivals."""
    found = [np.zeros(0, np.int64)]
    ends = [*(move.since for move in moves[1:]), inf]
    for move, end in zip(moves, ends, strict=True):
        if move.version in traffic:
            own = traffic[move.version].stretches
            found.append(own[((own + 1) * STRETCH_SECONDS > move.since) & (own * STRETCH_SECONDS < end)])
    return np.sort(np.concatenate(found))


def _stretch(local: LocalTime, at: float) -> int:
    return int(local.local(np.array([at]))[0] // STRETCH_SECONDS)

"""Traffic, latency and labels: arrivals of weeks -> pages of the alerts that compare with the past.

The exporter's own limits are asked for: at the end of every pause that might be too long, and while answers
are slower than usual. Arrivals are two minutes apart.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

from exporter.aggregates.block import LATENCY_BOUNDS, Block
from exporter.aggregates.timeline import Timeline
from exporter.config.calendar import Calendar
from exporter.evaluation.habits.labels import VersionLabels, judge_label_silence
from exporter.evaluation.habits.latency import judge_latency, percentile95
from exporter.evaluation.habits.limits import Habit
from exporter.evaluation.habits.local_time import LocalTime
from exporter.evaluation.habits.traffic import Observed, VersionTraffic, judge_silence
from exporter.settings import Settings
from exporter.storage.schema import AliasMove
from exporter.typing import Floats, Ints
from tests.study.figures import Delay, Row
from tests.study.rules import Alert, Firing, firing, pages
from tests.study.worlds import START
from tests.support.arrivals import hours_of

SCRAPE, STEP, DAY, HOUR = 120, 300, 86400, 3600


@dataclass(frozen=True)
class Service:
    """A model's traffic, latency and labels.

    `hours` of the day and `weekdays` in which it is asked, `rows_per_day` on such a day; or all of them in
    one batch at the first of the hours. Nobody asks on `holidays`, days from the start; from `shift_day` on
    all is an hour earlier, as when clocks change. Labels come at noon, of `label_weekdays`. `slow` is the
    share of the days on which one minute is slow; a new version comes on `deploys`.
    """

    name: str
    rows_per_day: float = 5000
    hours: tuple[int, int] = (0, 24)
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    batch: bool = False
    holidays: tuple[int, ...] = ()
    shift_day: int | None = None
    label_weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    slow: float = 0.0
    deploys: tuple[int, ...] = ()
    calendar: bool = False
    answers: bool = False  # whether latency is looked at
    models: int = 5
    days: int = 56


OFFICE = (8, 18)
WORKDAYS = (0, 1, 2, 3, 4)
SERVICES = (
    Service("asked around the clock"),
    Service("asked 30 times a day", rows_per_day=30),
    Service("asked in office hours", hours=OFFICE, weekdays=WORKDAYS, label_weekdays=WORKDAYS),
    Service("asked in office hours, clocks change", hours=OFFICE, weekdays=WORKDAYS, shift_day=30),
    Service(
        "asked in office hours, a holiday in two months",
        hours=OFFICE,
        weekdays=WORKDAYS,
        label_weekdays=WORKDAYS,
        holidays=(38,),
    ),
    Service(
        "asked in office hours, a holiday of the calendar",
        hours=OFFICE,
        weekdays=WORKDAYS,
        label_weekdays=WORKDAYS,
        holidays=(38,),
        calendar=True,
    ),
    Service("a batch each workday", hours=(2, 3), weekdays=WORKDAYS, batch=True, label_weekdays=WORKDAYS),
    Service("a batch each week, labels too", hours=(2, 3), weekdays=(0,), batch=True, label_weekdays=(2,)),
    Service("a slow minute every other day", slow=0.5, answers=True, days=21),
    Service(
        "a new version each week, 0.3 s instead of 0.2 s",
        deploys=(7, 14),
        answers=True,
        days=21,
    ),
)
OUTAGE_DAY = 30
OUTAGES = (
    ("traffic ends, asked around the clock", SERVICES[0], "ModelNoTraffic"),
    ("traffic ends, asked 30 times a day", SERVICES[1], "ModelNoTraffic"),
    ("traffic ends, asked in office hours", SERVICES[2], "ModelNoTraffic"),
    ("traffic ends, a batch each workday", SERVICES[6], "ModelNoTraffic"),
)


def _asked(service: Service, days: int, draw: np.random.Generator) -> Ints:
    """(scrapes,) predictions between each scrape and the one before."""
    at = np.arange(0, days * DAY, SCRAPE)
    local = at + np.where(at >= (service.shift_day or days) * DAY, HOUR, 0)
    day, hour = local // DAY, local % DAY / HOUR
    first, last = service.hours
    open_hours = (hour >= first) & (hour < last) & np.isin(day % 7, service.weekdays)
    open_hours &= ~np.isin(day, service.holidays)
    if service.batch:
        begins = open_hours & (local % DAY < first * HOUR + SCRAPE)
        return np.where(begins, draw.poisson(service.rows_per_day, len(at)), 0)
    load = open_hours * (1 + 0.5 * np.sin(2 * np.pi * (hour - 9) / 24))
    return draw.poisson(service.rows_per_day * load / load[: 7 * DAY // SCRAPE].sum() * len(service.weekdays))


def _labels(service: Service, asked: Ints) -> Ints:
    """(scrapes,) labels that come: of the predictions since the last time, at noon."""
    at = np.arange(len(asked)) * SCRAPE
    local = at + np.where(at >= (service.shift_day or 10**6) * DAY, HOUR, 0)
    noon = (local % DAY // SCRAPE == DAY // SCRAPE // 2) & np.isin(local // DAY % 7, service.label_weekdays)
    noon &= ~np.isin(local // DAY, service.holidays)
    total = np.cumsum(asked)
    given = np.where(noon, total, 0)
    return np.diff(np.maximum.accumulate(given), prepend=0)


def _local(service: Service) -> LocalTime:
    first = datetime.fromtimestamp(START, UTC).date()
    days = [first + timedelta(days=day) for day in service.holidays] if service.calendar else []
    return LocalTime(Calendar(holidays=tuple(days)))


def _moves(service: Service) -> list[AliasMove]:
    days = [0, *service.deploys]
    return [AliasMove("m", "champion", str(n), START + day * DAY) for n, day in enumerate(days, start=1)]


def _times(counted: Ints) -> Floats:
    """Times of the scrapes in which something came."""
    return START + SCRAPE * (np.flatnonzero(counted) + 0.5)


def _pauses(
    name: str, times: Floats, least: float, end: float, judge: Callable[[float], Habit]
) -> Iterator[tuple[float, Alert]]:
    """Moments of an alert within the pauses after each of `times` that are longer than `least` seconds."""
    for last, following in pairwise([*times.tolist(), end]):
        if following - last > least and _is_unusual(judge(following - 1)):
            first = np.ceil((last + least) / STEP) * STEP
            for now in np.arange(first, following, STEP).tolist():
                if _is_unusual(judge(now)):
                    yield now, Alert(name, "warning")


def _is_unusual(found: Habit) -> bool:
    return found.figure is not None and found.limit is not None and found.figure > found.limit


def _silences(service: Service, asked: Ints) -> Iterator[tuple[float, Alert]]:
    times, moves, local = _times(asked), _moves(service), _local(service)
    begins = [move.since for move in moves]
    observed = Observed(START)

    def judge(now: float) -> Habit:
        traffic = {}
        for move, end in zip(moves, [*begins[1:], np.inf], strict=True):
            own = times[(times >= move.since) & (times < end) & (times <= now)]
            if len(own):
                traffic[move.version] = VersionTraffic(
                    np.unique(own // STEP).astype(np.int64), float(own[-1])
                )
        return judge_silence([move for move in moves if move.since <= now], traffic, observed, local, now)

    return _pauses("ModelNoTraffic", times, HOUR, START + SCRAPE * len(asked), judge)


def _label_silences(service: Service, asked: Ints) -> Iterator[tuple[float, Alert]]:
    labels = _labels(service, asked)
    times, counts, local = _times(labels), labels[labels > 0], _local(service)
    hours = hours_of(_times(asked), times)
    hours["labels"][hours["labels"] > 0] = counts

    def judge(now: float) -> Habit:
        known = VersionLabels(hours[hours["start"] <= now - HOUR], monitored=True)
        return judge_label_silence([known], -np.inf, np.zeros(0, np.int64), local, now)

    return _pauses("ModelLabelsStopped", times, DAY, START + SCRAPE * len(asked), judge)


def _slow_answers(service: Service, asked: Ints, draw: np.random.Generator) -> Iterator[tuple[float, Alert]]:
    """Moments at which a version answers more slowly than its limit."""
    bounds = [0, *(day * DAY // SCRAPE for day in service.deploys), len(asked)]
    for version, (begin, end) in enumerate(pairwise(bounds), start=1):
        latencies = _latencies(service, asked[begin:end], 0.2 if version == 1 else 0.3, draw)
        start = START + begin * SCRAPE
        starts = (start + np.arange(len(latencies)) * SCRAPE) // STEP * STEP
        blocks = {int(at): _block(latencies[starts == at].sum(axis=0)) for at in np.unique(starts).tolist()}
        hours = _hours(blocks)
        usual = np.median([percentile95(block.latency) for block in blocks.values() if block.rows])
        for at, block in blocks.items():
            if percentile95(block.latency) > 1.5 * usual:  # the limit is at least about twice of it
                for now in range(at + STEP, at + STEP + 1800, STEP):
                    if _is_unusual(judge_latency(_timeline(blocks, hours, now), now)):
                        yield now, Alert("ModelLatencyHigh", "warning")


def _latencies(service: Service, asked: Ints, seconds: float, draw: np.random.Generator) -> Ints:
    """(scrapes, buckets) predictions by latency; in a slow minute they take more than ten seconds."""
    usual = seconds * draw.lognormal(0, 0.5, 20_000)
    places = np.bincount(np.searchsorted(LATENCY_BOUNDS, usual), minlength=len(LATENCY_BOUNDS) + 1)
    slow = np.zeros(len(asked), np.int64)
    for day in range(len(asked) // (DAY // SCRAPE)):
        if draw.random() < service.slow:
            chosen = day * DAY // SCRAPE + draw.integers(DAY // SCRAPE)
            slow[chosen] = asked[chosen] // 2  # one of the two minutes
    counted = draw.multinomial(asked - slow, places / places.sum())
    counted[:, -1] += slow
    return np.asarray(counted, np.int64)


def _block(latency: Ints) -> Block:
    return Block(int(latency.sum()), np.zeros(0, np.uint32), np.zeros((0, 3)), latency, 0.0)


def _hours(blocks: dict[int, Block]) -> dict[int, Block]:
    """The blocks merged into hours."""
    hours: dict[int, Block] = {}
    for start, block in blocks.items():
        hour = start // HOUR * HOUR
        hours[hour] = hours[hour] + block if hour in hours else block
    return hours


def _timeline(blocks: dict[int, Block], hours: dict[int, Block], now: float) -> Timeline:
    """Blocks up to a time, those of the past merged into hours."""
    settings = Settings()
    horizon = Timeline(settings).horizon(now)
    fine = {start: block for start, block in blocks.items() if horizon <= start < now}
    return Timeline(settings, fine, {start: block for start, block in hours.items() if start < horizon})


def _fired(
    service: Service, number: int, models: int, days: int, ends: float | None = None
) -> dict[str, list[Firing]]:
    found = {}
    for seed in range(models):
        draw = np.random.default_rng((4000 + number, seed))
        asked = _asked(service, days, draw)
        if ends is not None:
            asked[int(ends) // SCRAPE :] = 0
        met: dict[float, set[Alert]] = defaultdict(set)
        told = [*_silences(service, asked), *_label_silences(service, asked)]
        if service.answers:
            told += _slow_answers(service, asked, draw)
        for at, alert in told:
            met[at].add(alert)
        found[f"m{seed}"] = firing(sorted(met.items()), STEP)
    return found


def run_service(service: Service, number: int) -> Row:
    """Every model of a service, each with a seed of its own."""
    count = 0
    for model, fired in _fired(service, number, service.models, service.days).items():
        for page in pages(fired):
            count += 1
            print(
                f"{service.name}: {model}, day {(page.at - START) / DAY:.2f}: {page.alert}", file=sys.stderr
            )
    days = service.days * service.models
    return Row(service.name, days, days * DAY // STEP, count)


def run_outage(number: int) -> Delay:
    """Hours from ten in the morning of a workday, at which the traffic ends for good."""
    name, service, alert = OUTAGES[number]
    begin = OUTAGE_DAY * DAY + 10 * HOUR
    hours = []
    for fired in _fired(service, 100 + number, 3, OUTAGE_DAY + 7, begin).values():
        starts = [one.start for one in fired if one.alert.name == alert and one.start >= START + begin]
        hours.append((min(starts, default=np.inf) - START - begin) / HOUR)
    return Delay(name, tuple(hours), {})

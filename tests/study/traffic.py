"""Traffic, latency and errors: counters of weeks -> pages of the rules that compare with the past.

No evaluation is part of it: the rules look at counters alone. Scrapes are two minutes apart.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from exporter.aggregates.block import LATENCY_BOUNDS
from exporter.typing import Floats, Ints
from tests.study.figures import Delay, Row
from tests.study.queries import ask, expressions
from tests.study.rules import Alert, Firing, firing, pages
from tests.study.worlds import START

SCRAPE, STEP, DAY, HOUR = 120, 300, 86400, 3600
RULES = ("ModelNoTraffic", "ModelLabelsStopped", "ModelLatencyHigh", "ModelErrorRateHigh")


@dataclass(frozen=True)
class Service:
    """A model's traffic, latency and labels.

    `hours` of the day and `weekdays` in which it is asked, `rows_per_day` on such a day; or all of them in
    one batch at the first of the hours. Nobody asks on `holidays`, days from the start; from `shift_day` on
    all is an hour earlier, as when clocks change. Labels come at noon, of `label_weekdays`. `slow` and
    `failing` are shares of the days on which one minute is slow, or fails; a new version comes on `deploys`.
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
    failing: float = 0.0
    deploys: tuple[int, ...] = ()
    answers: bool = False  # whether latency and errors are looked at
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
    Service("a batch each workday", hours=(2, 3), weekdays=WORKDAYS, batch=True, label_weekdays=WORKDAYS),
    Service("a batch each week, labels too", hours=(2, 3), weekdays=(0,), batch=True, label_weekdays=(2,)),
    Service("a slow minute and a failing one every other day", slow=0.5, failing=0.5, answers=True, days=21),
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
    ("traffic ends, a batch each workday", SERVICES[5], "ModelNoTraffic"),
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


def _samples(
    service: Service, model: str, asked: Ints, draw: np.random.Generator
) -> Iterator[tuple[str, float, float]]:
    times = START + SCRAPE * (np.arange(len(asked)) + 1)
    came = np.maximum.accumulate(np.where(asked > 0, times - SCRAPE // 2, 0))
    whole = {
        f'mlflow_model_labels_total{{model="{model}",model_version="1"}}': np.cumsum(_labels(service, asked))
    }
    moved = np.full(len(asked), float(START))
    for day in service.deploys:
        moved[day * DAY // SCRAPE :] = START + day * DAY
    whole[f'mlflow_model_alias_changed_timestamp_seconds{{model="{model}",alias="champion"}}'] = moved
    bounds = [0, *(day * DAY // SCRAPE for day in service.deploys), len(asked)]
    for version, (begin, end) in enumerate(pairwise(bounds), start=1):
        name = f'model="{model}",model_version="{version}"'
        own = np.zeros(len(asked), np.int64)
        own[begin:end] = asked[begin:end]
        whole[f"mlflow_model_predictions_total{{{name}}}"] = np.cumsum(own)
        there = np.zeros(len(asked))
        there[begin:end] = 1
        whole[f'mlflow_model_alias_info{{{name},alias="champion",team=""}}'] = np.where(
            there > 0, 1.0, np.nan
        )
        latest = np.where((there > 0) & (came > 0), came, np.nan)
        whole[f"mlflow_model_last_prediction_timestamp_seconds{{{name}}}"] = latest
        if service.answers:
            whole |= _answers(service, name, own, 0.2 if version == 1 else 0.3, draw)
    for series, values in whole.items():
        for at, value in zip(times.tolist(), values.tolist(), strict=True):
            if value == value:
                yield series, value, at


def _answers(
    service: Service, name: str, asked: Ints, seconds: float, draw: np.random.Generator
) -> dict[str, Floats]:
    """Cumulative counts by latency, and of predictions with a value and without."""
    scrapes = DAY // SCRAPE
    slow, failing = (
        np.zeros(len(asked), np.bool_),
        np.zeros(len(asked), np.bool_),
    )
    for chosen, share in ((slow, service.slow), (failing, service.failing)):
        for day in range(len(asked) // scrapes):
            if draw.random() < share:
                chosen[day * scrapes + draw.integers(scrapes)] = True
    half = np.where(slow, asked // 2, 0)  # one of the two minutes
    edges = np.array(LATENCY_BOUNDS)
    usual = np.array([np.mean(seconds * draw.lognormal(0, 0.5, 20_000) <= edge) for edge in edges])
    found: dict[str, Floats] = {}
    below = [
        draw.binomial(asked - half, share) + np.where(edge >= 10.0, half, 0)
        for edge, share in zip(edges, usual, strict=True)
    ]
    for edge, counts in zip([*edges, np.inf], [*np.maximum.accumulate(below, axis=0), asked], strict=True):
        le = "+Inf" if edge == np.inf else repr(float(edge))
        found[f'mlflow_model_latency_seconds_bucket{{{name},le="{le}"}}'] = np.cumsum(counts)
    found[f"mlflow_model_latency_seconds_count{{{name}}}"] = np.cumsum(asked)
    errors = draw.binomial(asked, 0.01) + np.where(failing, asked // 2, 0)
    of_prediction = f'{name},column="prediction",role="prediction"'
    found[f'mlflow_model_values_total{{{of_prediction},bin="01 1"}}'] = np.cumsum(asked - errors)
    found[f'mlflow_model_values_total{{{of_prediction},bin="02 (missing)"}}'] = np.cumsum(errors)
    found[f'mlflow_model_reference_ratio{{{of_prediction},bin="02 (missing)"}}'] = np.full(len(asked), 0.01)
    return found


def _fired(
    service: Service, number: int, models: int, days: int, ends: float | None = None
) -> dict[str, list[Firing]]:
    def samples() -> Iterator[tuple[str, float, float]]:
        for seed in range(models):
            draw = np.random.default_rng((4000 + number, seed))
            asked = _asked(service, days, draw)
            if ends is not None:
                asked[int(ends) // SCRAPE :] = 0
            yield from _samples(service, f"m{seed}", asked, draw)

    asked = ask(samples(), expressions(RULES), START + STEP, START + days * DAY, STEP)
    met: dict[str, dict[float, set[Alert]]] = {f"m{seed}": {} for seed in range(models)}
    for (model, _), moments in asked.items():
        for at, alerts in moments:
            met[model].setdefault(at, set()).update(alerts)
    return {model: firing(sorted(moments.items()), STEP) for model, moments in met.items()}


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

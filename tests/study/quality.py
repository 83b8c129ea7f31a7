"""Clean traffic whose labels come, and what is broken in it: false pages, hours until somebody is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from exporter.demo.flights import FEATURES, REPLAY_START, TARGET, TIME_ZONE, load_flights, split_flights
from exporter.demo.training import TREES, score_flights
from exporter.errors import DemoError
from tests.study.figures import Delay, Row
from tests.study.flights import seconds
from tests.study.labelled import DAY, HOUR, SETTINGS, Break, LabelledWorld, Moment, Rows, watch
from tests.study.queries import ask, expressions
from tests.study.rules import Alert, Firing, Page, firing, pages, told
from tests.study.worlds import START

STEP = 6 * HOUR  # as long as `for` of most of these rules: met once, they fire
WOKEN, INFORMED = ("critical", "warning"), ("info",)
RULES = (
    "ModelQualityDegraded", "ModelEstimatedQualityDegraded", "ModelLabelDrift", "ModelLabelCoverageLow",
    "ModelLabelsStopped", "ModelChallengerBetter", "ModelSegmentDrift", "ModelSegmentQualityDegraded",
)  # fmt: skip


@dataclass(frozen=True)
class LabelScenario:
    """So many models of a world; `severities` are those whose alerts are counted."""

    name: str
    world: LabelledWorld
    models: int = 3
    days: int = 56
    severities: tuple[str, ...] = WOKEN


WEATHER = LabelledWorld(weather=0.3)
FRAUD = LabelledWorld(delay_days=7, sooner=5, maturation_days=21)
LABEL_SCENARIOS = (
    LabelScenario("labels after some hours", LabelledWorld(), models=5),
    LabelScenario("300 rows a day, labels", LabelledWorld(rows_per_day=300, reference_rows=10_000), models=5),
    LabelScenario("30,000 rows a day, labels", LabelledWorld(rows_per_day=30_000)),
    LabelScenario("labels for 85 % of the rows", LabelledWorld(labelled=0.85)),
    LabelScenario("labels after a week, positives sooner, matured", FRAUD),
    LabelScenario(
        "the same, maturation not configured",
        LabelledWorld(delay_days=7, sooner=5, maturation_days=0),
    ),
    LabelScenario("labels once a week", LabelledWorld(delivery_hours=168, maturation_days=8)),
    LabelScenario("labels, days of different difficulty", WEATHER),
    LabelScenario("regression, labels after some hours", LabelledWorld(task="regression")),
    LabelScenario(
        "regression, heavy-tailed errors, days of different difficulty",
        LabelledWorld(task="regression", tail=3.0, weather=0.2),
    ),
    LabelScenario("eight segments (info, not sent)", LabelledWorld(segments=8), 2, 56, INFORMED),
    LabelScenario("an equally good challenger (info, not sent)", LabelledWorld(versions=2), 3, 56, INFORMED),
)
FLIGHTS_ROW = "flights, New York, labels an hour after arrival"

INCIDENT = START + 15 * DAY + 9 * HOUR
INCIDENT_DAYS = 20
LABEL_INCIDENTS = (
    ("labels: a tenth flipped", LabelledWorld(), Break(INCIDENT, flipped=0.1)),
    ("labels: a quarter flipped", LabelledWorld(), Break(INCIDENT, flipped=0.25)),
    ("labels: a quarter flipped, days of different difficulty", WEATHER, Break(INCIDENT, flipped=0.25)),
    ("labels: the main feature times 100", LabelledWorld(), Break(INCIDENT, stretch=100.0)),
    ("labels: the main feature null in 30 %", LabelledWorld(), Break(INCIDENT, nulls=0.3)),
    ("labels: concept drift, half of what x says", LabelledWorld(), Break(INCIDENT, faded=0.5)),
    (
        "labels: concept drift, regression, a third of what x says",
        LabelledWorld(task="regression"),
        Break(INCIDENT, faded=0.33),
    ),
    ("labels: they stop", LabelledWorld(), Break(INCIDENT, unlabelled=True)),
)


def run_label_scenario(scenario: LabelScenario, number: int, models: int) -> Row:
    """So many models; the seed of each follows from its number and the scenario's."""
    moments = range(START + STEP, START + scenario.days * DAY + 1, STEP)
    versions: dict[tuple[str, str], list[Moment]] = {}
    for seed in range(models):
        reference, live = scenario.world.draw(scenario.days, (2000 + number, seed))
        for place, rows in enumerate(live):
            versions[f"m{seed}", str(place + 1)] = _watched(
                scenario.world, reference, rows, moments, f"m{seed}", place
            )
    found = _pages(versions, moments, scenario.severities)
    for (model, version), page in found:
        print(
            f"{scenario.name}: {model} v{version}, day {(page.at - START) / DAY:.1f}: {page}", file=sys.stderr
        )
    windows = len(versions) * len(moments) * len(SETTINGS.windows)
    return Row(scenario.name, scenario.days * models, windows, len(found))


def run_label_incident(number: int, runs: int) -> Delay:
    """Hours until any alert on the version fires that would wake somebody."""
    name, world, broken = LABEL_INCIDENTS[number]
    moments = range(int(broken.at) - 9 * HOUR, START + INCIDENT_DAYS * DAY + 1, HOUR)
    whole = range(START + STEP, moments[0], STEP)
    versions = {}
    for run in range(runs):
        reference, (rows,) = world.draw(INCIDENT_DAYS, (3000 + number, run), broken)
        versions[f"m{run}", "1"] = _watched(world, reference, rows, [*whole, *moments], f"m{run}", 0)
    hours = []
    for fired in alerts_of(versions, range(whole[0], moments[-1] + 1, HOUR), held=STEP).values():
        starts = [one.start for one in fired if one.alert.severity in WOKEN and one.start >= broken.at]
        hours.append((min(starts, default=np.inf) - broken.at) / HOUR)
    return Delay(name, tuple(hours), {})


def run_labelled_flights() -> list[Row]:
    """The demo's champion on nine months of flights, whose lateness is known an hour after they landed."""
    try:
        flights = load_flights()
    except DemoError:
        return []
    training, held_out, _ = split_flights(flights)
    with threadpool_limits(1):
        model = TREES.build(TREES.parameters)
        model.fit(training[list(FEATURES)], training[TARGET])
        later = flights[flights["departure"] >= REPLAY_START]
        reference, live = (_flight_rows(score_flights(model, part)) for part in (held_out, later))
    start = int(REPLAY_START.timestamp())
    end = int(pd.Timestamp("2014-01-01", tz=TIME_ZONE).timestamp())
    moments = range(start + 3 * HOUR, end + 1, 3 * HOUR)  # met twice, they have lasted
    watched = list(watch(reference, live, moments, "binary", 1.0, ("flights", "1", "champion")))
    found = _pages({("flights", "1"): watched}, moments, WOKEN)
    for _, page in found:
        print(f"{FLIGHTS_ROW}: {pd.Timestamp(page.at, unit='s', tz=TIME_ZONE)}: {page}", file=sys.stderr)
    windows = len(moments) * len(SETTINGS.windows)
    return [Row(FLIGHTS_ROW, (end - start) / DAY, windows, len(found))]


def _flight_rows(flights: pd.DataFrame) -> Rows:
    times = seconds(flights["departure"])
    hours_in_air = flights["distance"].to_numpy() / 450 + 0.5  # miles an hour, and the way to the gate
    table = flights.drop(columns="departure").rename(columns={TARGET: "label"})
    return Rows(table.reset_index(drop=True), times, times + HOUR * (1 + hours_in_air))


def _watched(
    world: LabelledWorld, reference: Rows, rows: Rows, moments: Sequence[float], model: str, place: int
) -> list[Moment]:
    version = (model, str(place + 1), "champion" if place == 0 else "challenger")
    segments = world.segments > 0
    return list(watch(reference, rows, moments, world.task, world.maturation_days, version, segments))


def _pages(
    versions: dict[tuple[str, str], list[Moment]], moments: range, severities: Sequence[str]
) -> list[tuple[tuple[str, str], Page]]:
    return [
        (version, page)
        for version, fired in alerts_of(versions, moments).items()
        for page in pages([one for one in fired if one.alert.severity in severities])
    ]


def alerts_of(
    versions: dict[tuple[str, str], list[Moment]], moments: range, held: int | None = None
) -> dict[tuple[str, str], list[Firing]]:
    """Alerts by version, those on the model with the first version; samples are `held` seconds apart."""
    step = moments.step

    def samples() -> Iterator[tuple[str, float, float]]:
        for watched in versions.values():
            for moment in watched:
                for series, value in moment.samples:
                    yield series, value, moment.findings.evaluation.at

    asked = ask(samples(), expressions(RULES, held or step), moments[0], moments[-1], step)
    found = {}
    for model, version in versions:
        own = {moment.findings.evaluation.at: moment.findings for moment in versions[model, version]}
        met: dict[float, set[Alert]] = {at: set() for at in moments}
        latest: set[Alert] = set()
        of_columns = dict(told(own.values()))
        for at in moments:
            latest = of_columns.get(at, latest)
            met[at] |= latest
        of_models = asked.get((model, ""), []) if version == "1" else []
        for at, alerts in [*asked.get((model, version), []), *of_models]:
            met[at] |= alerts
        found[model, version] = firing(sorted(met.items()), step)
    return found

"""The clean worlds. Whatever is told about them is a false alarm."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.study.laws import CONTINUOUS, DISCRETE, MANY, ZEROS
from tests.study.worlds import World


@dataclass(frozen=True)
class Scenario:
    """So many models of a world, each with a reference of its own, for so many days from its first row on.

    They are evaluated every `step_seconds`; the exporter does it every 30 seconds.
    """

    name: str
    world: World
    models: int = 10
    days: int = 28
    step_seconds: int = 7200


SEASON, TRAFFIC = (0.6, 0.4, 0.15), (0.8, 0.5)
SCENARIOS = (
    Scenario("30 rows a day", World(rows_per_day=30, columns=10)),
    Scenario("300 rows a day", World(rows_per_day=300, columns=10)),
    Scenario("5,000 rows a day, 20 columns", World()),
    Scenario("30,000 rows a day, 100 columns", World(rows_per_day=30_000, columns=100), step_seconds=14_400),
    Scenario("1,000,000 rows a day, 5 columns", World(rows_per_day=1e6, columns=5)),
    Scenario(
        "20,000 rows a day, judged every 5 minutes",
        World(rows_per_day=20_000, columns=5),
        models=3,
        days=7,
        step_seconds=300,
    ),
    Scenario("skewed numbers", World(laws=CONTINUOUS, rows_per_day=3000, columns=12)),
    Scenario("discrete numbers and flags", World(laws=DISCRETE, rows_per_day=3000, columns=12)),
    Scenario("mostly zeros", World(laws=ZEROS, rows_per_day=3000, columns=12)),
    Scenario("up to 5,000 categories", World(laws=MANY, rows_per_day=3000, columns=12)),
    Scenario("a third nulls, more at night", World(missing=0.33, missing_season=1.0, columns=10)),
    Scenario("a reference of 200 rows", World(reference_rows=200, rows_per_day=10_000, columns=10)),
    Scenario("a reference of 1,000 rows", World(reference_rows=1000, rows_per_day=10_000, columns=10)),
    Scenario(
        "a shuffled reference without times",
        World(timestamps=False, season=SEASON, traffic=TRAFFIC, columns=10),
    ),
    Scenario(
        "the same, a third nulls, more at night",
        World(timestamps=False, season=SEASON, traffic=TRAFFIC, missing=0.33, missing_season=1.0, columns=10),
    ),
    Scenario(
        "bursts of 10 and of 200 alike rows", World(bursts=((0.5, 10), (0.3, 200), (0.2, 1)), columns=10)
    ),
    Scenario("daily and weekly seasons", World(season=SEASON, traffic=TRAFFIC, columns=10)),
    Scenario(
        "the same, a reference of 5,000 rows",
        World(season=SEASON, traffic=TRAFFIC, reference_rows=5000, columns=10),
    ),
    Scenario("strong seasons, quiet nights", World(season=(2.0, 1.5, 0.3), traffic=(0.9, 0.7), columns=10)),
    Scenario(
        "weather: days differ by up to 0.35 sd",
        World(season=(0.2, 0.2, 0.35), columns=10, reference_days=90),
        models=20,
    ),
    Scenario(
        "weather: days differ by up to 0.5 sd",
        World(season=(0.2, 0.2, 0.5), columns=10, reference_days=90),
        models=20,
    ),
    Scenario("a batch each night", World(batch_hour=2, season=(0.0, 0.4, 0.2), columns=10)),
    Scenario("four replicas", World(replicas=4, rows_per_day=4000, columns=10)),
)

# Nobody had these in view when the constants were chosen.
HELD_OUT = (
    Scenario(
        "weather: days differ by up to 0.5 sd, other models",
        World(season=(0.2, 0.2, 0.5), columns=10, reference_days=90),
        models=20,
    ),
    Scenario(
        "weather that lasts (as yesterday by 0.8), up to 0.35 sd",
        World(season=(0.2, 0.2, 0.35), persistence=0.8, columns=10, reference_days=90),
    ),
    Scenario(
        "weather of a month's reference, up to 0.35 sd",
        World(season=(0.2, 0.2, 0.35), columns=10, reference_days=30),
    ),
    Scenario(
        "weather, 60 columns, up to 0.35 sd",
        World(season=(0.2, 0.2, 0.35), columns=60, reference_days=90),
        step_seconds=14_400,
    ),
    Scenario(
        "a season of the year, up to 0.5 sd",
        World(season=(0.2, 0.2, 0.1), year=0.5, columns=10, reference_days=90),
    ),
    Scenario(
        "heavy-tailed weather and states of a week, up to 0.3 sd",
        World(season=(0.2, 0.2, 0.3), heavy=True, regime=0.3, columns=10, reference_days=90),
    ),
)

TIMELESS_MODELS = 4
# The same without a `timestamp` in the reference, as most have none.
TIMELESS = tuple(
    replace(
        scenario,
        name=f"{scenario.name}; no times",
        world=replace(scenario.world, timestamps=False),
        models=min(scenario.models, TIMELESS_MODELS),
    )
    for scenario in (*SCENARIOS, *HELD_OUT)
    if scenario.world.timestamps
)

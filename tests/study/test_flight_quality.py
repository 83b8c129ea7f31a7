"""The demo's model on the flights of 2013, whose quality moves with the weather, and what is no weather.

The reference are the odd days of January to March; the nine months after are judged, every day by the windows
that end at midnight in New York. All labels are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_limits

from exporter.aggregates.block import fold
from exporter.aggregates.outcomes import Outcomes, fold_outcomes, tally
from exporter.aggregates.timeline import Timeline
from exporter.demo.flights import FEATURES, REPLAY_START, TARGET, TIME_ZONE, load_flights, split_flights
from exporter.demo.training import TREES, score_flights
from exporter.evaluation.context import EvaluationContext, QualityRules
from exporter.evaluation.model_quality import QualityEvaluation, evaluate_quality
from exporter.evaluation.quality_reference import QualityReference, quality_reference
from exporter.formats.arrow_columns import from_arrow
from exporter.measures.cbpe import Calibration, calibrate, expect
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.binning import bin_columns
from exporter.settings import Window
from exporter.typing import Floats, Ints
from tests.support.traffic import DAY, SETTINGS, WEEK

YEAR_END = pd.Timestamp("2014-01-01", tz=TIME_ZONE)
INCIDENT = pd.Timestamp("2013-10-08 06:00", tz=TIME_ZONE)
HOUR_SECONDS = SETTINGS.coarse_seconds

Change = Callable[[pd.DataFrame], pd.DataFrame]


class World:
    """A model that was trained on the winter, and what happened after it."""

    def __init__(self) -> None:
        flights = load_flights()
        training, held_out, _ = split_flights(flights)
        self.model = TREES.build(TREES.parameters)
        self.model.fit(training[list(FEATURES)], training[TARGET])
        reference = score_flights(self.model, held_out).rename(columns={"departure": "timestamp"})
        self.table = pa.Table.from_pandas(reference, preserve_index=False)
        later = flights[(flights["departure"] >= REPLAY_START) & (flights["departure"] < YEAR_END)]
        self.later = score_flights(self.model, later.reset_index(drop=True))

    def against(self, *, timestamps: bool = True) -> QualityReference:
        table = self.table if timestamps else self.table.drop_columns("timestamp")
        data = ReferenceData(table, "tests", task="binary", target=TARGET, split="test")
        found = quality_reference(build_reference(data, (DAY, WEEK), 100), QualityRules(), {})
        assert found is not None
        return found

    def broken(self, change: Change) -> pd.DataFrame:
        """The flights, changed from the incident on and scored again."""
        after = self.later["departure"] >= INCIDENT
        changed = score_flights(self.model, change(self.later[after]))
        return pd.concat([self.later[~after], changed])


def seconds(times: pd.Series | pd.DatetimeIndex) -> Floats:
    since = pd.DatetimeIndex(times) - pd.Timestamp(0, tz="UTC")
    return np.asarray(since.total_seconds(), np.float64)


def replay(
    against: QualityReference,
    flights: pd.DataFrame,
    moments: pd.DatetimeIndex,
    windows: tuple[Window, ...] = (DAY,),
) -> list[tuple[QualityEvaluation, ...]]:
    """Evaluate the windows at each moment, on what had departed by then."""
    since = moments[0] - pd.Timedelta(days=15)
    flights = flights[flights["departure"].between(since, moments[-1], inclusive="left")]
    times = seconds(flights["departure"])
    hours = (times // HOUR_SECONDS).astype(np.int64) * HOUR_SECONDS
    table = pa.Table.from_pandas(flights[["prediction", "score", TARGET]], preserve_index=False)
    columns = {name: from_arrow(table[name].combine_chunks()) for name in table.column_names}
    scores = flights["score"].to_numpy()
    outcomes = fold_outcomes(against.layout, columns[TARGET], columns["prediction"], scores, hours)
    values = {("prediction", ""): columns["prediction"], ("score", ""): columns["score"]}
    blocks = fold(against.reference, bin_columns(against.reference, values, len(flights), times), hours, None)
    found = []
    for now in seconds(moments):
        before: dict[int, Outcomes] = {hour: counted for hour, counted in outcomes.items() if hour < now}
        timeline = Timeline(SETTINGS, coarse={hour: block for hour, block in blocks.items() if hour < now})
        context = EvaluationContext(windows, float(now) - 1)
        found.append(evaluate_quality(against, before, timeline, context))
    return found


def degraded(found: list[tuple[QualityEvaluation, ...]], window: int = 0) -> list[set[str]]:
    """The metrics that are degraded at each moment in one of the windows."""
    return [{quality.metric for quality in each[window].metrics if quality.degraded} for each in found]


def episodes(found: list[set[str]]) -> int:
    return sum(bool(now) and not before for before, now in zip([set(), *found], found, strict=False))


@pytest.fixture(scope="module", autouse=True)
def single_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine take minutes for what one does in a second."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def world(single_thread: None) -> World:
    return World()


@pytest.fixture(scope="module")
def against(world: World) -> QualityReference:
    return world.against()


DAYS = pd.date_range("2013-04-16", "2014-01-01", tz=TIME_ZONE)  # from the first that has two weeks before it


def test_the_allowance_is_what_days_of_the_winter_did(against: QualityReference) -> None:
    """13 weeks are too few to tell how much weeks vary: what days do has to do for them."""
    assert set(against.reference.quality_variation) == {DAY.seconds}
    assert 0.05 < against.allowance("accuracy", DAY) < 0.15
    assert against.allowance("accuracy", WEEK) == against.allowance("accuracy", DAY)


def test_nine_months_of_weather_are_one_false_alarm_at_most(world: World, against: QualityReference) -> None:
    found = replay(against, world.later, DAYS, (DAY, WEEK))

    assert episodes(degraded(found, 0)) <= 1
    assert episodes(degraded(found, 1)) == 0


def test_without_timestamps_they_are_many_and_provisional(world: World) -> None:
    found = replay(world.against(timestamps=False), world.later, DAYS)

    assert episodes(degraded(found, 0)) > 10
    assert {quality.provisional for each in found for window in each for quality in window.metrics} == {True}


def hours_until_degraded(world: World, against: QualityReference, change: Change) -> float:
    """Hours from the incident to the first degraded window of a day, infinity if none in ten days is."""
    moments = pd.date_range(INCIDENT, INCIDENT + pd.Timedelta(days=10), freq="3h")
    found = degraded(replay(against, world.broken(change), moments), 0)
    assert not found[0], "found before it happened"
    return next((3.0 * place for place, metrics in enumerate(found) if metrics), np.inf)


def flip(share: float) -> Change:
    drawn = np.random.default_rng(1)
    return lambda table: table.assign(
        **{TARGET: np.where(drawn.random(len(table)) < share, 1 - table[TARGET], table[TARGET])}
    )


@pytest.mark.parametrize(
    ("change", "hours"),
    [
        (lambda table: table.assign(dep_delay=table["dep_delay"] / 60), 24),  # hours for minutes
        (lambda table: table.assign(dep_delay=np.nan), 24),
        (lambda table: table.assign(dep_delay=table["dep_delay"] + 15), 48),
        (flip(0.2), 36),
        (flip(0.1), 72),
    ],
    ids=["hours", "nulls", "fifteen minutes", "a fifth of the labels", "a tenth of the labels"],
)
def test_what_is_worse_than_weather_is_found(
    world: World, against: QualityReference, change: Change, hours: float
) -> None:
    assert hours_until_degraded(world, against, change) <= hours


def test_five_minutes_hurt_less_than_weather(world: World, against: QualityReference) -> None:
    """They are left to drift, which finds them in two days."""
    change: Change = lambda table: table.assign(dep_delay=table["dep_delay"] + 5)  # noqa: E731

    assert hours_until_degraded(world, against, change) == np.inf


# -- estimates ----------------------------------------------------------------------------------------------


def histograms(against: QualityReference, flights: pd.DataFrame, blocks: Ints) -> dict[int, Floats]:
    """(2, 2, bins) flights by label, prediction and score, by block."""
    table = pa.Table.from_pandas(flights[["prediction", TARGET]], preserve_index=False)
    label, prediction = (from_arrow(table[name].combine_chunks()) for name in (TARGET, "prediction"))
    folded = fold_outcomes(against.layout, label, prediction, flights["score"].to_numpy(), blocks)
    return {
        block: tally(against.layout, [part]).histogram.astype(np.float64) for block, part in folded.items()
    }


def test_no_calibration_would_estimate_the_recall_of_a_week_better(
    world: World, against: QualityReference
) -> None:
    """Scores do not know the weather, so the same score means another delay: concept drift."""
    times = seconds(world.later["departure"])
    weeks = histograms(against, world.later, (times // WEEK.seconds).astype(np.int64))
    perfect = calibrate(np.sum(list(weeks.values()), axis=0))
    assert against.estimator is not None
    assert perfect is not None

    def error(calibration: Calibration) -> float:
        errors = []
        for week in weeks.values():
            recall = week[1, 1].sum() / week[1].sum()
            errors.append(expect(calibration, week.sum(axis=0))["recall"] - recall)
        return float(np.abs(errors).mean())

    learned = error(against.estimator.calibration)
    assert 0.05 < learned < 0.08
    assert learned == pytest.approx(error(perfect), abs=0.01)

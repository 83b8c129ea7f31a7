"""The demo's numbers, held against the exporter's own statistics on the real flights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from exporter.aggregate import Timeline, fold
from exporter.binning import bin_batch
from exporter.config import load_settings
from exporter.demo.errors import DemoError
from exporter.demo.flights import TARGET
from exporter.demo.pace import EVALUATION_INTERVAL_SECONDS, WARM_UP_DAYS, Pace
from exporter.demo.scenario import SCENARIO, Scenario
from exporter.demo.traffic import Replay, encode_batch
from exporter.demo.training import TrainedModel, score_flights
from exporter.evaluation import DRIFTED, UNDECIDED, Evaluation, Thresholds, evaluate
from exporter.profile import ReferenceData, build_reference
from exporter.reference import Reference
from exporter.samples import JSON_TYPE, decode_predictions
from tests.demo.conftest import NOW, PACE

SETTINGS = load_settings(PACE.settings)
HEALTHY = Scenario(SCENARIO.phases[:1])
INCIDENT_DAY = SCENARIO.phases[0].days
ALERT_SECONDS = 60  # `for` of the alert rules


@pytest.fixture(scope="module")
def reference(model: TrainedModel) -> Reference:
    table = pa.Table.from_pandas(model.reference, preserve_index=False)
    data = ReferenceData(table, source="tests", task="binary", target=TARGET, split="test")
    return build_reference(data, SETTINGS.windows, SETTINGS.max_columns)


def evaluations(
    reference: Reference, model: TrainedModel, flights: pd.DataFrame, scenario: Scenario, days: float
) -> Iterator[tuple[float, Evaluation]]:
    """What the exporter finds, at every evaluation from the start of the scenario on, with its day."""
    replay = Replay(flights, PACE, NOW)
    timeline = Timeline(SETTINGS)
    posted = 0.0
    for seconds in np.arange(
        WARM_UP_DAYS * PACE.seconds_per_day,
        (WARM_UP_DAYS + days) * PACE.seconds_per_day,
        EVALUATION_INTERVAL_SECONDS,
    ):
        day = float(seconds / PACE.seconds_per_day) - WARM_UP_DAYS
        arrived = scenario.at(day).apply(replay.between(posted, float(seconds)))
        if not arrived.empty:
            post(reference, timeline, score_flights(model.pipeline, arrived))
        posted = float(seconds)
        now = (NOW + timedelta(seconds=posted)).timestamp()
        yield day, evaluate(reference, timeline.snapshot(), SETTINGS.windows, Thresholds(), (), now)


def post(reference: Reference, timeline: Timeline, scored: pd.DataFrame) -> None:
    """Take a batch as the exporter would."""
    body = json.dumps(encode_batch(scored, "1", latency_seconds=0.01)).encode()
    batch = decode_predictions(body, JSON_TYPE, {}, SETTINGS)
    starts = (
        np.floor_divide(batch.timestamps, SETTINGS.block_seconds).astype(np.int64) * SETTINGS.block_seconds
    )
    for start, block in fold(reference, bin_batch(reference, batch, batch.timestamps), starts, None).items():
        timeline.fine[start] = timeline.fine[start] + block if start in timeline.fine else block


def found(evaluation: Evaluation) -> set[str]:
    """Columns that drifted in some window, and `column check` where data quality degraded."""
    columns = evaluation.reference.columns
    drifted = {
        columns[index].name
        for window in evaluation.windows
        for index in np.flatnonzero(window.verdict == DRIFTED)
    }
    return drifted | {f"{columns[c.column].name} {c.check}" for c in evaluation.checks if c.degraded}


def test_the_natural_variation_of_both_windows_is_known(reference: Reference) -> None:
    assert sorted(reference.variation) == [window.seconds for window in SETTINGS.windows]


def test_columns_are_judged_from_the_first_evaluation_on(
    reference: Reference, model: TrainedModel, later_flights: pd.DataFrame
) -> None:
    _, first = next(evaluations(reference, model, later_flights, HEALTHY, days=1))
    features = np.array([column.role == "feature" for column in reference.columns])
    assert (first.windows[-1].verdict[features] != UNDECIDED).all()


def test_healthy_flights_stay_silent_up_to_the_holidays(
    reference: Reference, model: TrainedModel, later_flights: pd.DataFrame
) -> None:
    days = (later_flights["departure"].max() - later_flights["departure"].min()).days - WARM_UP_DAYS
    alarms = {
        day: names
        for day, evaluation in evaluations(reference, model, later_flights, HEALTHY, days)
        if (names := found(evaluation))
    }
    assert days > 200
    assert not alarms


def test_what_breaks_is_found_at_once_and_for_as_long_as_an_alert_needs(
    reference: Reference, model: TrainedModel, later_flights: pd.DataFrame
) -> None:
    incident_days = sum(phase.days for phase in SCENARIO.phases if phase.name == "incident")
    history = [
        ((day - INCIDENT_DAY) * PACE.seconds_per_day, found(evaluation))
        for day, evaluation in evaluations(
            reference, model, later_flights, SCENARIO, INCIDENT_DAY + incident_days
        )
    ]
    assert not set.union(*(names for seconds, names in history if seconds <= 0))
    first = {"distance": 0, "seats missing": 5, "aircraft_age missing": 5, "carrier": 10}  # days
    for name, days in first.items():
        begin = days * PACE.seconds_per_day + 12
        lasting = [
            name in names for seconds, names in history if begin <= seconds <= begin + ALERT_SECONDS + 10
        ]
        assert all(lasting), name


def test_other_columns_are_not_blamed(
    reference: Reference, model: TrainedModel, later_flights: pd.DataFrame
) -> None:
    days = INCIDENT_DAY + SCENARIO.phases[1].days
    blamed = set.union(*(found(e) for _, e in evaluations(reference, model, later_flights, SCENARIO, days)))
    assert blamed == {"distance"}


@pytest.mark.parametrize(("speed", "seconds_per_day"), [(1.0, 5), (0.5, 10), (0.3, 15)])
def test_speed_slows_down_in_whole_blocks(speed: float, seconds_per_day: int) -> None:
    pace = Pace.of_speed(speed)
    assert pace.seconds_per_day == seconds_per_day
    assert Pace.of_speed(pace.speed) == pace
    settings = load_settings(pace.settings)
    assert [window.seconds % settings.block_seconds for window in settings.windows] == [0, 0]


@pytest.mark.parametrize("speed", [0.0, -1.0, 1.5, float("nan")])
def test_a_speed_that_cannot_be_is_refused(speed: float) -> None:
    with pytest.raises(DemoError, match="--speed"):
        Pace.of_speed(speed)

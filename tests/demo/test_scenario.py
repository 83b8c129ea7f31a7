"""The demo's scenario gives the intended verdicts on the real flights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from exporter.aggregates.block import fold
from exporter.aggregates.outcomes import Outcomes, fold_outcomes
from exporter.aggregates.timeline import Timeline
from exporter.demo.flights import FEATURES, TARGET
from exporter.demo.observation import SHOWN_METRICS
from exporter.demo.scenario import (
    EVALUATION_INTERVAL_SECONDS,
    MODEL,
    SCENARIO,
    WARM_UP_DAYS,
    Pace,
    Phase,
    Scenario,
)
from exporter.demo.traffic import Replay, schedule_labels
from exporter.demo.training import TrainedModel, score_flights
from exporter.errors import DemoError
from exporter.evaluation.comparison import DRIFTED, UNDECIDED
from exporter.evaluation.context import EvaluationContext, QualityRules
from exporter.evaluation.drift import Evaluation, evaluate
from exporter.evaluation.model_quality import QualityEvaluation, evaluate_quality
from exporter.evaluation.quality_reference import quality_reference
from exporter.formats.predictions import decode_predictions
from exporter.formats.raw import JSON_TYPE
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.profile import Reference
from exporter.settings import load_settings, parse_window
from tests.demo.conftest import NOW, PACE
from tests.support.wire import bin_decoded

SETTINGS = load_settings(PACE.settings)
HEALTHY = Scenario(SCENARIO.phases[:1])
INCIDENT_DAY = SCENARIO.phases[0].days
ALERT_SECONDS = 60  # `for` of the alert rules


@pytest.fixture(scope="module")
def reference(model: TrainedModel) -> Reference:
    return reference_of(model)


@pytest.fixture(scope="module", params=["champion", "challenger"])
def version(request: pytest.FixtureRequest, model: TrainedModel, challenger: TrainedModel) -> TrainedModel:
    return model if request.param == "champion" else challenger


def reference_of(model: TrainedModel) -> Reference:
    table = pa.Table.from_pandas(model.reference, preserve_index=False)
    data = ReferenceData(table, source="tests", task="binary", target=TARGET, split="test")
    return build_reference(data, SETTINGS.windows, SETTINGS.max_columns)


def evaluations(
    reference: Reference, model: TrainedModel, flights: pd.DataFrame, scenario: Scenario, days: float
) -> Iterator[tuple[float, Evaluation]]:
    """Yield each evaluation from the start of the scenario on, with its day."""
    timeline = Timeline(SETTINGS)
    moments = np.arange(
        WARM_UP_DAYS * PACE.seconds_per_day,
        (WARM_UP_DAYS + days) * PACE.seconds_per_day,
        EVALUATION_INTERVAL_SECONDS,
    )
    since = [float(seconds / PACE.seconds_per_day) - WARM_UP_DAYS for seconds in moments]
    phases = [scenario.at(day) for day in since]
    scored = score_arrivals(model, flights, [0.0, *moments.tolist()], phases)
    for day, seconds, arrived in zip(since, moments.tolist(), scored, strict=True):
        if not arrived.empty:
            post(reference, timeline, arrived)
        now = (NOW + timedelta(seconds=seconds)).timestamp()
        snapshot = timeline.snapshot(now)
        context = EvaluationContext(SETTINGS.windows, now).with_effects(reference, snapshot)
        yield day, evaluate(reference, snapshot, context)


def score_arrivals(
    model: TrainedModel, flights: pd.DataFrame, edges: Sequence[float], phases: Sequence[Phase]
) -> list[pd.DataFrame]:
    """Return the scored flights between adjacent edges (seconds), each in its phase.

    The model is asked once for all: day by day it would take several times as long.
    """
    replay = Replay(flights, PACE, NOW)
    parts = [
        phase.apply(replay.between(begin, end))
        for (begin, end), phase in zip(pairwise(edges), phases, strict=True)
    ]
    scores = score_flights(model.pipeline, pd.concat([part for part in parts if not part.empty]))
    ends = np.cumsum([len(part) for part in parts])
    return [
        part.assign(
            **{name: scores[name].to_numpy()[end - len(part) : end] for name in ("score", "prediction")}
        )
        for part, end in zip(parts, ends, strict=True)
    ]


def post(reference: Reference, timeline: Timeline, scored: pd.DataFrame) -> None:
    """Count a batch as the exporter does."""
    features = scored[list(FEATURES)].astype("object")
    columns = {
        "timestamp": [moment.isoformat() for moment in scored["timestamp"]],
        "prediction": scored["prediction"].tolist(),
        "score": scored["score"].tolist(),
        "features": features.where(features.notna(), None).to_dict("list"),
    }
    body = json.dumps({"model": MODEL, "version": "1", "columns": columns}).encode()
    batch = decode_predictions(body, JSON_TYPE, {}, SETTINGS)
    starts = (
        np.floor_divide(batch.timestamps, SETTINGS.block_seconds).astype(np.int64) * SETTINGS.block_seconds
    )
    binned = bin_decoded(reference, batch, batch.timestamps)
    for start, block in fold(reference, binned, starts, None).items():
        timeline.fine[start] = timeline.fine[start] + block if start in timeline.fine else block


def qualities(
    model: TrainedModel, flights: pd.DataFrame, scenario: Scenario, days: float, every_days: int = 1
) -> Iterator[tuple[float, QualityEvaluation]]:
    """Yield the quality over the longest window at the end of a day, with the day."""
    reference = reference_of(model)
    rules = QualityRules(maturation_seconds=parse_window(PACE.maturation).seconds)
    against = quality_reference(reference, rules, {})
    assert against is not None
    timeline, random = Timeline(SETTINGS), np.random.default_rng(1)
    outcomes: dict[int, Outcomes] = {}
    all_days = range(-WARM_UP_DAYS, int(days))
    ends = [(day + WARM_UP_DAYS + 1.0) * PACE.seconds_per_day for day in all_days]
    phases = [scenario.at(max(0.0, day)) for day in all_days]
    arrivals = score_arrivals(model, flights, [0.0, *ends], phases)
    for day, end, scored in zip(all_days, ends, arrivals, strict=True):
        post(reference, timeline, scored)
        times = pd.DatetimeIndex(pd.to_datetime(scored["timestamp"], utc=True)).as_unit("s").asi8
        # At once, although known later: what counts in a window is what is known when it has matured.
        known = scored["id"].isin(schedule_labels(scored, PACE, random)["id"]).to_numpy()
        label, prediction, score = (
            scored[name].to_numpy("float64")[known] for name in (TARGET, "prediction", "score")
        )
        hours = times[known] // SETTINGS.coarse_seconds * SETTINGS.coarse_seconds
        for hour, part in fold_outcomes(against.layout, label, prediction, score, hours).items():
            outcomes[hour] = outcomes[hour] + part if hour in outcomes else part
        if day < 0 or day % every_days:
            continue
        now = NOW.timestamp() + end
        snapshot = timeline.snapshot(now)
        context = EvaluationContext(SETTINGS.windows, now, rules=rules).with_effects(reference, snapshot)
        yield day + 1, evaluate_quality(against, outcomes, snapshot, context)[-1]


def accuracies(quality: QualityEvaluation) -> tuple[bool, bool]:
    """Return whether the accuracy is degraded, estimated and by labels."""
    estimated, real = (
        [each.degraded for each in figures if each.metric == "accuracy"]
        for figures in (quality.estimates, quality.metrics)
    )
    assert None not in estimated + real
    return True in estimated, True in real


def found(evaluation: Evaluation) -> set[str]:
    """Return the columns that drifted in any window, and `column check` of degraded data quality."""
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
    assert blamed == {"distance", "dep_delay", "score", "prediction"}


def test_a_whole_window_has_matured_at_the_start(version: TrainedModel, later_flights: pd.DataFrame) -> None:
    _, first = next(qualities(version, later_flights, HEALTHY, days=1))
    assert first.labels > 4000
    assert 0.93 < first.coverage < 0.97


def test_nothing_that_is_shown_is_degraded_before_the_incident(
    version: TrainedModel, later_flights: pd.DataFrame
) -> None:
    for _, quality in qualities(version, later_flights, HEALTHY, INCIDENT_DAY):
        figures = [each for each in (*quality.estimates, *quality.metrics) if each.metric in SHOWN_METRICS]
        assert [each.degraded for each in figures] == [False] * 2 * len(SHOWN_METRICS)


def test_accuracy_is_that_of_the_baseline_while_all_is_well(
    version: TrainedModel, later_flights: pd.DataFrame
) -> None:
    days = (later_flights["departure"].max() - later_flights["departure"].min()).days - WARM_UP_DAYS
    verdicts = {
        day: accuracies(quality)
        for day, quality in qualities(version, later_flights, HEALTHY, days, every_days=2)
    }
    assert len(verdicts) > 100
    assert set(verdicts.values()) == {(False, False)}  # thunderstorms included


def test_estimates_tell_of_the_incident_before_labels_prove_it(
    version: TrainedModel, later_flights: pd.DataFrame
) -> None:
    verdicts = [
        (day - INCIDENT_DAY, *accuracies(quality))
        for day, quality in qualities(version, later_flights, SCENARIO, INCIDENT_DAY + 16)
    ]
    estimated = min(day for day, degraded, _ in verdicts if degraded)
    proven = min(day for day, _, degraded in verdicts if degraded)
    assert 0 < estimated < proven
    # While the alert on the drift is pending still.
    assert proven < ALERT_SECONDS / PACE.seconds_per_day


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


FLIGHTS = pd.DataFrame(
    {
        "carrier": ["UA", "B6"],
        "dep_delay": [-3.0, 40.0],
        "distance": [100.0, 2000.0],
        "seats": [180.0, 20.0],
        "aircraft_age": [3.0, 30.0],
    }
)
FIRST, *INCIDENTS, RECOVERY = SCENARIO.phases


@pytest.mark.parametrize(
    ("day", "name"), [(0.0, "a"), (1.99, "a"), (2.0, "b"), (4.99, "b"), (5.0, "a"), (12.5, "b")]
)
def test_phases_follow_each_other_over_and_over(day: float, name: str) -> None:
    assert Scenario((Phase("a", 2, ""), Phase("b", 3, ""))).at(day).name == name


@pytest.mark.parametrize("phase", [FIRST, RECOVERY], ids=lambda phase: phase.name)
def test_healthy_flights_come_as_they_are(phase: Phase) -> None:
    pd.testing.assert_frame_equal(phase.apply(FLIGHTS), FLIGHTS)


def test_feeds_break_one_after_the_other() -> None:
    first, second, third = (phase.apply(FLIGHTS) for phase in INCIDENTS)
    for broken in (first, second, third):
        np.testing.assert_allclose(broken["distance"], [160.9344, 3218.688])
        assert broken["dep_delay"].tolist() == [27.0, 70.0]
    assert first["seats"].notna().all()
    for broken in (second, third):
        assert broken[["seats", "aircraft_age"]].isna().all(axis=None)
    assert second["carrier"].tolist() == ["UA", "B6"]
    assert third["carrier"].tolist() == ["ua", "b6"]

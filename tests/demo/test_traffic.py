from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from exporter.client import Monitor
from exporter.demo import traffic as traffic_module
from exporter.demo.client import Client
from exporter.demo.flights import FEATURES, REPLAY_START
from exporter.demo.scenario import WARM_UP_DAYS, Phase, Scenario, miles_to_kilometres
from exporter.demo.traffic import (
    PendingLabels,
    Replay,
    ServedModel,
    Traffic,
    schedule_labels,
)
from exporter.demo.training import TrainedModel
from exporter.errors import DemoError
from exporter.settings import parse_window
from tests.demo.conftest import NOW, PACE

DAY = PACE.seconds_per_day
SCENARIO = Scenario((Phase("healthy", 2, "as ever"), Phase("incident", 2, "in km", (miles_to_kilometres,))))


class RecordingMonitor(Monitor):
    """Records what would be sent."""

    def __init__(self, version: str) -> None:
        super().__init__("http://nowhere.invalid", model="flight-delays", version=version)
        self.batches: list[dict[str, Any]] = []
        self.truths: list[dict[str, Any]] = []

    def predictions(self, features: Any, prediction: Any, **own: Any) -> None:
        self.batches.append({"features": features, "prediction": prediction, **own})

    def labels(self, id: Any, label: Any, *, timestamp: Any = None) -> None:  # noqa: A002 - as in Monitor
        self.truths.append({"id": id, "label": label, "timestamp": timestamp})


@pytest.fixture
def served() -> RecordingMonitor:
    """Monitor of the champion."""
    return RecordingMonitor("7")


@pytest.fixture
def shadow() -> RecordingMonitor:
    """Monitor of the challenger."""
    return RecordingMonitor("8")


@pytest.fixture
def phases() -> list[str]:
    return []


@pytest.fixture
def traffic(
    served: RecordingMonitor,
    shadow: RecordingMonitor,
    phases: list[str],
    model: TrainedModel,
    challenger: TrainedModel,
    later_flights: pd.DataFrame,
) -> Traffic:
    replay = Replay(later_flights, PACE, NOW)
    models = [ServedModel(model.pipeline, "7", served), ServedModel(challenger.pipeline, "8", shadow)]
    labels, client = PendingLabels(PACE, np.random.default_rng(1)), Client("http://nowhere.invalid")
    return Traffic(
        replay, lambda: models, labels, client, SCENARIO, lambda name, _: phases.append(name), PACE
    )


# -- the replay ---------------------------------------------------------------------------------------------


def test_a_day_of_flights_leaves_in_a_few_seconds(later_flights: pd.DataFrame) -> None:
    flights = Replay(later_flights, PACE, NOW).between(0, DAY)
    first_day = later_flights["departure"] < REPLAY_START + pd.Timedelta(days=1)
    assert len(flights) == first_day.sum() > 500
    assert flights["timestamp"].between(NOW, NOW + timedelta(seconds=DAY)).all()


def test_stretches_that_follow_each_other_have_every_flight_once(later_flights: pd.DataFrame) -> None:
    replay = Replay(later_flights, PACE, NOW)
    parts = pd.concat([replay.between(start / 2, (start + 1) / 2) for start in range(6 * DAY)])
    whole = replay.between(0, 3 * DAY)
    pd.testing.assert_frame_equal(parts.reset_index(drop=True), whole, check_dtype=False)


def test_after_the_last_flight_the_first_come_again_with_other_ids(later_flights: pd.DataFrame) -> None:
    days = 10
    few = later_flights[later_flights["departure"] < REPLAY_START + pd.Timedelta(days=days)]
    twice = Replay(few, PACE, NOW).between(0, 2 * days * DAY)
    assert len(twice) == 2 * len(few)
    assert twice["id"].is_unique
    assert twice["timestamp"].is_monotonic_increasing
    assert twice["distance"].tolist() == 2 * few["distance"].tolist()


def test_another_replay_has_other_ids(later_flights: pd.DataFrame) -> None:
    first, second = (
        Replay(later_flights, PACE, NOW + timedelta(seconds=late)).between(0, DAY)["id"] for late in (0, 60)
    )
    assert not set(first) & set(second)


# -- what is sent -------------------------------------------------------------------------------------------


def test_flights_are_sent_with_all_that_is_monitored(traffic: Traffic, served: RecordingMonitor) -> None:
    traffic.advance(DAY)
    (batch,) = served.batches
    assert list(batch["features"]) == list(FEATURES)
    rows = {len(batch[name]) for name in ("features", "prediction", "score", "id", "timestamp")}
    assert rows == {len(batch["features"])}
    assert set(batch["prediction"]) == {0, 1}
    assert batch["latency_seconds"] > 0


def test_the_warm_up_comes_in_one_batch_with_times_in_the_past(
    traffic: Traffic, served: RecordingMonitor
) -> None:
    traffic.advance(WARM_UP_DAYS * DAY)
    (batch,) = served.batches
    times = batch["timestamp"]
    assert NOW <= times.min() < NOW + timedelta(seconds=DAY)
    assert times.max() < NOW + timedelta(seconds=WARM_UP_DAYS * DAY)


def test_phases_are_announced_and_break_what_they_say(
    traffic: Traffic, served: RecordingMonitor, phases: list[str], later_flights: pd.DataFrame
) -> None:
    known = set(later_flights["distance"])
    start = WARM_UP_DAYS * DAY
    for seconds in (start, start + 1.9 * DAY, start + 2.1 * DAY, start + 3 * DAY):
        traffic.advance(seconds)
    assert phases == ["healthy", "incident"]
    in_miles = [set(batch["features"]["distance"]) <= known for batch in served.batches]
    assert in_miles == [True, True, False, False]


def test_nothing_is_sent_twice(traffic: Traffic, served: RecordingMonitor) -> None:
    for seconds in range(3 * DAY):
        traffic.advance(float(seconds))
    ids = [name for batch in served.batches for name in batch["id"]]
    assert len(ids) == len(set(ids)) > 0


def test_the_challenger_scores_the_same_flights_in_the_shadow(
    traffic: Traffic, served: RecordingMonitor, shadow: RecordingMonitor
) -> None:
    for seconds in range(3 * DAY):
        traffic.advance(float(seconds))
    for batch, other in zip(served.batches, shadow.batches, strict=True):
        pd.testing.assert_frame_equal(batch["features"], other["features"])
        for name in ("id", "timestamp"):
            pd.testing.assert_series_equal(batch[name], other[name])
        assert batch["score"].tolist() != other["score"].tolist()


def test_labels_follow_once_they_are_known(
    traffic: Traffic, served: RecordingMonitor, shadow: RecordingMonitor, later_flights: pd.DataFrame
) -> None:
    truth = Replay(later_flights, PACE, NOW).between(0, WARM_UP_DAYS * DAY).set_index("id")["late"]
    traffic.advance(WARM_UP_DAYS * DAY)
    (first,) = served.truths
    now = NOW + timedelta(seconds=WARM_UP_DAYS * DAY)
    assert first["timestamp"].max() <= now
    told = pd.Series(first["label"].to_numpy(), first["id"])
    assert 0.9 < (told == truth[told.index]).mean() < 1
    traffic.advance(WARM_UP_DAYS * DAY + 1)
    assert now < served.truths[1]["timestamp"].min()
    assert shadow.truths == []  # a label is for all versions


def test_a_quiet_hour_sends_nothing(traffic: Traffic, served: RecordingMonitor) -> None:
    traffic.advance(0.1)  # at night
    assert served.batches == []


def test_flights_that_the_exporter_does_not_take_end_the_demo(
    traffic: Traffic, shadow: RecordingMonitor
) -> None:
    traffic.advance(DAY)
    shadow.drop("expired", 3)
    with pytest.raises(DemoError, match="did not take predictions or labels: 3 expired"):
        traffic.advance(DAY + 1)


# -- labels --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def departures(later_flights: pd.DataFrame) -> pd.DataFrame:
    """Flights of ten days."""
    return Replay(later_flights, PACE, NOW).between(0, 10 * DAY)


@pytest.fixture(scope="module")
def told(departures: pd.DataFrame) -> pd.DataFrame:
    """All labels of the departures, with the true value and the delay."""
    scheduled = schedule_labels(departures, PACE, np.random.default_rng(1))
    departed = departures.set_index("id").loc[scheduled["id"], ["late", "timestamp"]].reset_index(drop=True)
    return scheduled.assign(late=departed["late"], delay=scheduled["known"] - departed["timestamp"])


def pending() -> PendingLabels:
    return PendingLabels(PACE, np.random.default_rng(1))


def test_late_flights_are_known_sooner_than_others(told: pd.DataFrame) -> None:
    first = told.drop_duplicates("id")
    assert first.loc[first["late"] == 1, "delay"].max() <= first.loc[first["late"] == 0, "delay"].min()


def test_all_that_is_told_is_told_within_the_maturation(told: pd.DataFrame) -> None:
    assert told["delay"].max() < timedelta(seconds=parse_window(PACE.maturation).seconds)
    assert told["delay"].min() > timedelta(0)


def test_a_few_are_never_known(departures: pd.DataFrame, told: pd.DataFrame) -> None:
    assert 0.93 < told["id"].nunique() / len(departures) < 0.97


def test_a_few_come_twice_and_a_few_are_corrected(told: pd.DataFrame) -> None:
    reports = told.groupby("id")["label"]
    twice, corrected = (reports.size() == 2) & (reports.nunique() == 1), reports.nunique() == 2
    assert 0.01 < twice.mean() < 0.05
    assert 0.01 < corrected.mean() < 0.03


def test_what_is_told_last_is_true(told: pd.DataFrame) -> None:
    last = told.drop_duplicates("id", keep="last")
    assert (last["label"] == last["late"]).all()


def test_what_is_known_is_taken_once(departures: pd.DataFrame) -> None:
    waiting = pending()
    waiting.expect(departures)
    moments = [NOW + timedelta(seconds=seconds) for seconds in range(0, 16 * DAY, 3)]
    taken = [waiting.take(moment) for moment in moments]
    for moment, part in zip(moments, taken, strict=True):
        assert (part["known"] <= moment).all()
    everything = schedule_labels(departures, PACE, np.random.default_rng(1))
    pd.testing.assert_frame_equal(pd.concat(taken, ignore_index=True), everything, check_dtype=False)


def test_nothing_to_wait_for_is_nothing_known() -> None:
    assert pending().take(NOW).empty


def test_what_waits_is_bounded(departures: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic_module, "MAX_PENDING_LABELS", 100)
    waiting = pending()
    waiting.expect(departures)
    assert waiting.take(NOW).empty
    assert len(waiting.take(NOW + timedelta(days=1))) == 100

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from exporter.demo import traffic as traffic_module
from exporter.demo.client import Client
from exporter.demo.flights import FEATURES, REPLAY_START
from exporter.demo.scenario import WARM_UP_DAYS, Phase, Scenario, miles_to_kilometres
from exporter.demo.traffic import (
    PendingLabels,
    Replay,
    ServedModel,
    Traffic,
    encode_batch,
    encode_labels,
    schedule_labels,
)
from exporter.demo.training import TrainedModel, score_flights
from exporter.settings import parse_window
from tests.demo.conftest import NOW, PACE

DAY = PACE.seconds_per_day
SCENARIO = Scenario((Phase("healthy", 2, "as ever"), Phase("incident", 2, "in km", (miles_to_kilometres,))))


class RecordingClient(Client):
    """Records batches in place of sending them."""

    def __init__(self) -> None:
        super().__init__("http://nowhere.invalid")
        self.batches: list[dict[str, Any]] = []
        self.labels: list[dict[str, Any]] = []

    def post_predictions(self, batch: dict[str, Any]) -> None:
        self.batches.append(batch)

    def post_labels(self, batch: dict[str, Any]) -> None:
        self.labels.append(batch)

    def of(self, version: str) -> list[dict[str, Any]]:
        """Return the batches of a version."""
        return [batch for batch in self.batches if batch["version"] == version]


@pytest.fixture
def client() -> RecordingClient:
    return RecordingClient()


@pytest.fixture
def phases() -> list[str]:
    return []


@pytest.fixture
def traffic(
    client: RecordingClient,
    phases: list[str],
    model: TrainedModel,
    challenger: TrainedModel,
    later_flights: pd.DataFrame,
) -> Traffic:
    replay = Replay(later_flights, PACE, NOW)
    models = [ServedModel(model.pipeline, "7"), ServedModel(challenger.pipeline, "8")]
    labels = PendingLabels(PACE, np.random.default_rng(1))
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


def test_a_batch_is_what_the_api_takes(model: TrainedModel, later_flights: pd.DataFrame) -> None:
    flights = Replay(later_flights, PACE, NOW).between(0, DAY)
    batch = encode_batch(score_flights(model.pipeline, flights), "7", latency_seconds=0.02)
    assert (batch["model"], batch["version"]) == ("flight-delays", "7")
    columns = batch["columns"]
    assert Counter(columns["latency_seconds"]) == {0.02: len(flights)}
    assert list(columns["features"]) == list(FEATURES)
    lengths = {len(column) for name, column in columns.items() if name != "features"}
    assert lengths | {len(column) for column in columns["features"].values()} == {len(flights)}
    assert datetime.fromisoformat(columns["timestamp"][0]).utcoffset() == timedelta(0)
    assert set(columns["prediction"]) == {0, 1}


def test_what_is_missing_is_null(model: TrainedModel, later_flights: pd.DataFrame) -> None:
    flights = Replay(later_flights, PACE, NOW).between(0, DAY)
    batch = encode_batch(score_flights(model.pipeline, flights), "7", latency_seconds=0.02)
    seats = json.loads(json.dumps(batch, allow_nan=False))["columns"]["features"]["seats"]
    assert seats.count(None) == flights["seats"].isna().sum() > 0


def test_the_warm_up_comes_in_one_batch_with_times_in_the_past(
    traffic: Traffic, client: RecordingClient
) -> None:
    traffic.advance(WARM_UP_DAYS * DAY)
    (batch,) = client.of("7")
    times = [datetime.fromisoformat(text) for text in batch["columns"]["timestamp"]]
    assert NOW <= min(times) < NOW + timedelta(seconds=DAY)
    assert max(times) < NOW + timedelta(seconds=WARM_UP_DAYS * DAY)


def test_phases_are_announced_and_break_what_they_say(
    traffic: Traffic, client: RecordingClient, phases: list[str], later_flights: pd.DataFrame
) -> None:
    known = set(later_flights["distance"])
    start = WARM_UP_DAYS * DAY
    for seconds in (start, start + 1.9 * DAY, start + 2.1 * DAY, start + 3 * DAY):
        traffic.advance(seconds)
    assert phases == ["healthy", "incident"]
    in_miles = [set(batch["columns"]["features"]["distance"]) <= known for batch in client.of("7")]
    assert in_miles == [True, True, False, False]


def test_nothing_is_sent_twice(traffic: Traffic, client: RecordingClient) -> None:
    for seconds in range(3 * DAY):
        traffic.advance(float(seconds))
    ids = [name for batch in client.of("7") for name in batch["columns"]["id"]]
    assert len(ids) == len(set(ids)) > 0


def test_the_challenger_scores_the_same_flights_in_the_shadow(
    traffic: Traffic, client: RecordingClient
) -> None:
    for seconds in range(3 * DAY):
        traffic.advance(float(seconds))
    served, shadow = ([batch["columns"] for batch in client.of(version)] for version in ("7", "8"))
    for name in ("id", "timestamp", "features"):
        assert [columns[name] for columns in served] == [columns[name] for columns in shadow]
    assert [columns["score"] for columns in served] != [columns["score"] for columns in shadow]


def test_labels_follow_once_they_are_known(
    traffic: Traffic, client: RecordingClient, later_flights: pd.DataFrame
) -> None:
    truth = Replay(later_flights, PACE, NOW).between(0, WARM_UP_DAYS * DAY).set_index("id")["late"]
    traffic.advance(WARM_UP_DAYS * DAY)
    (first,) = client.labels
    now = NOW + timedelta(seconds=WARM_UP_DAYS * DAY)
    assert max(datetime.fromisoformat(text) for text in first["columns"]["timestamp"]) <= now
    told = pd.Series(first["columns"]["label"], first["columns"]["id"])
    assert 0.9 < (told == truth[told.index]).mean() < 1
    traffic.advance(WARM_UP_DAYS * DAY + 1)
    later = client.labels[1]["columns"]["timestamp"]
    assert now < min(datetime.fromisoformat(text) for text in later)


def test_a_quiet_hour_sends_no_empty_batch(traffic: Traffic, client: RecordingClient) -> None:
    traffic.advance(0.1)  # at night
    assert client.batches == []


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


def test_a_batch_of_labels_is_what_the_api_takes(told: pd.DataFrame) -> None:
    batch = encode_labels(told.head(2))
    assert batch["model"] == "flight-delays"
    assert batch["columns"]["id"] == told["id"].head(2).tolist()
    assert set(batch["columns"]["label"]) <= {0, 1}
    assert batch["columns"]["timestamp"] == [moment.isoformat() for moment in told["known"].head(2)]

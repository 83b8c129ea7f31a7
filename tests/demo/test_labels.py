from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from exporter.demo import labels
from exporter.demo.labels import PendingLabels, encode_labels, schedule_labels
from exporter.demo.traffic import Replay
from exporter.settings import parse_window
from tests.demo.conftest import NOW, PACE

DAY = PACE.seconds_per_day


@pytest.fixture(scope="module")
def departures(later_flights: pd.DataFrame) -> pd.DataFrame:
    """Those of ten days."""
    return Replay(later_flights, PACE, NOW).between(0, 10 * DAY)


@pytest.fixture(scope="module")
def told(departures: pd.DataFrame) -> pd.DataFrame:
    """All that is ever told about them, with what is true and how long it took."""
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
    monkeypatch.setattr(labels, "MAX_PENDING", 100)
    waiting = pending()
    waiting.expect(departures)
    assert waiting.take(NOW).empty
    assert len(waiting.take(NOW + timedelta(days=1))) == 100


def test_a_batch_is_what_the_api_takes(told: pd.DataFrame) -> None:
    batch = encode_labels(told.head(2))
    assert batch["model"] == "flight-delays"
    assert batch["columns"]["id"] == told["id"].head(2).tolist()
    assert set(batch["columns"]["label"]) <= {0, 1}
    assert batch["columns"]["timestamp"] == [moment.isoformat() for moment in told["known"].head(2)]

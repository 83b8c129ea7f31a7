from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from exporter.demo.flights import FEATURES, REPLAY_START, load_flights, prepare_flights, split_flights

PLANES = pd.DataFrame({"tailnum": ["N1"], "year": [2003.0], "seats": [180]})
FLIGHT = {
    "dep_time": 1017.0,
    "time_hour": "2013-01-02T15:00:00Z",
    "minute": 15,
    "dep_delay": 2.0,
    "arr_delay": 0.0,
    "carrier": "UA",
    "origin": "EWR",
    "tailnum": "N1",
    "distance": 1400,
}


def prepare(*changes: dict[str, object]) -> pd.DataFrame:
    return prepare_flights(pd.DataFrame([FLIGHT | change for change in changes]), PLANES)


def test_a_flight_has_its_features() -> None:
    flight = prepare({}).iloc[0]
    assert flight[list(FEATURES)].to_dict() == {
        "carrier": "UA",
        "origin": "EWR",
        "dep_delay": 2.0,
        "distance": 1400.0,
        "seats": 180.0,
        "aircraft_age": 10.0,
    }


@pytest.mark.parametrize(("minutes", "late"), [(-20.0, 0), (15.0, 0), (16.0, 1)])
def test_late_is_more_than_fifteen_minutes(minutes: float, late: int) -> None:
    assert prepare({"arr_delay": minutes})["late"].tolist() == [late]


def test_it_is_scored_when_it_really_leaves() -> None:
    assert prepare({"dep_delay": 50.0})["departure"].tolist() == [pd.Timestamp("2013-01-02T16:05Z")]


def test_flights_come_in_the_order_in_which_they_leave() -> None:
    departures = prepare({"dep_delay": 50.0}, {"minute": 30}, {})["departure"]
    assert departures.is_monotonic_increasing


def test_cancelled_and_diverted_flights_are_left_out() -> None:
    assert prepare({"dep_time": np.nan, "arr_delay": np.nan}, {"arr_delay": np.nan}).empty


def test_an_aircraft_that_is_not_in_the_register_has_nulls() -> None:
    flight = prepare({"tailnum": "N2"}, {"tailnum": None})
    assert flight[["seats", "aircraft_age"]].isna().all(axis=None)


def test_the_year_is_the_same_every_time(flights: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(load_flights(), flights)


def test_training_and_reference_share_no_day(flights: pd.DataFrame) -> None:
    training, held_out, _ = split_flights(flights)
    days = [set(part["departure"].dt.tz_convert(REPLAY_START.tz).dt.date) for part in (training, held_out)]
    assert not days[0] & days[1]
    assert len(days[0] | days[1]) == 31 + 28 + 31


def test_only_what_left_after_march_is_replayed(flights: pd.DataFrame) -> None:
    training, held_out, replayed = split_flights(flights)
    assert max(training["departure"].max(), held_out["departure"].max()) < REPLAY_START
    assert replayed["departure"].min() >= REPLAY_START

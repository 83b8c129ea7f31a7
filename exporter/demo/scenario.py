"""What happens to the traffic: all is well, then one feed after the other breaks, then all are mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

KILOMETRES_PER_MILE = 1.609344
# From the gate to the runway, as it takes when New York is busy; the flights' own times are not in the data.
TAXI_MINUTES = 30.0

Change = Callable[[pd.DataFrame], pd.DataFrame]


def miles_to_kilometres(flights: pd.DataFrame) -> pd.DataFrame:
    return flights.assign(distance=flights["distance"] * KILOMETRES_PER_MILE)


def gate_to_take_off(flights: pd.DataFrame) -> pd.DataFrame:
    """Delays as they are at take-off, still against the time at which a flight should have left the gate."""
    return flights.assign(dep_delay=flights["dep_delay"] + TAXI_MINUTES)


def register_goes_null(flights: pd.DataFrame) -> pd.DataFrame:
    return flights.assign(seats=float("nan"), aircraft_age=float("nan"))


def carriers_in_lower_case(flights: pd.DataFrame) -> pd.DataFrame:
    return flights.assign(carrier=flights["carrier"].str.lower())


@dataclass(frozen=True)
class Phase:
    """A number of simulated days in which the feeds are broken in these ways; no changes: all is well."""

    name: str
    days: float
    story: str
    changes: tuple[Change, ...] = ()

    def apply(self, flights: pd.DataFrame) -> pd.DataFrame:
        """The features as they arrive in this phase."""
        for change in self.changes:
            flights = change(flights)
        return flights


@dataclass(frozen=True)
class Scenario:
    """Phases that follow each other, over and over."""

    phases: tuple[Phase, ...]

    def at(self, day: float) -> Phase:
        """The phase on a day since the start."""
        left = day % sum(phase.days for phase in self.phases)
        for phase in self.phases:
            if left < phase.days:
                return phase
            left -= phase.days
        return self.phases[-1]  # rounding at the very end of a round


NEW_FEED = (miles_to_kilometres, gate_to_take_off)

# At five seconds a day: healthy for 20 seconds, broken for 160, since it takes 10 until the first verdict and
# 60 more until its alert fires, and well for 15 minutes, since alerts resolve 10 after the last bad verdict.
# The new feed drifts, and it hurts: its delays lie where the models are least sure, which estimates tell at
# once, and they mean less than in training, which only labels can tell.
SCENARIO = Scenario(
    (
        Phase("healthy", 4, "flights like those in training"),
        Phase(
            "incident", 5, "a new feed: distance in kilometres, delays until take-off, not the gate", NEW_FEED
        ),
        Phase(
            "incident",
            5,
            "the new feed; no aircraft register, so seats and aircraft_age are null",
            (*NEW_FEED, register_goes_null),
        ),
        Phase(
            "incident",
            22,
            "the new feed; no aircraft register; carriers in lower case",
            (*NEW_FEED, register_goes_null, carriers_in_lower_case),
        ),
        Phase("recovery", 180, "all feeds are mended"),
    )
)

"""The demo's compressed time, and the incidents that happen in it.

A simulated day takes a few real seconds, in the traffic and in the reference's timestamps alike, so that a
window means the same in both: three and six days of flights. Shorter windows hold too few flights to judge
anything but gross drift, since the flights of one hour are alike; with longer ones the reference would have
fewer than the 14 windows that natural variation is learned from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.errors import DemoError

if TYPE_CHECKING:  # the screen reads the phases' names and shall not wait for pandas
    from collections.abc import Callable

    import pandas as pd

    Change = Callable[[pd.DataFrame], pd.DataFrame]

MODEL = "flight-delays"

# -- time ---------------------------------------------------------------------------------------------------

WINDOW_DAYS = (3, 6)
WARM_UP_DAYS = 2 * max(WINDOW_DAYS)  # two of the longest windows, so that every verdict is possible at once
# A block is at least a whole second, and a window has to hold some of them.
FASTEST_SECONDS_PER_DAY = BLOCKS_PER_DAY = 5
# All labels are known by then. Less than the warm-up without a window, so that labels count from the start.
MATURATION_DAYS = 4
SCRAPE_INTERVAL_SECONDS = 2
EVALUATION_INTERVAL_SECONDS = 2
MLFLOW_POLL_INTERVAL_SECONDS = 2


@dataclass(frozen=True)
class Pace:
    """Real seconds per simulated day."""

    seconds_per_day: int = FASTEST_SECONDS_PER_DAY

    @classmethod
    def of_speed(cls, speed: float) -> Pace:
        """Return the pace nearest to `speed` times the fastest one at which blocks are whole seconds.

        Raises:
            DemoError: `speed` is not in (0, 1].
        """
        if not 0 < speed <= 1:
            raise DemoError(f"--speed {speed:g} is not above 0 and at most 1")
        return cls(FASTEST_SECONDS_PER_DAY * round(1 / speed))

    @property
    def speed(self) -> float:
        return FASTEST_SECONDS_PER_DAY / self.seconds_per_day

    @property
    def settings(self) -> Mapping[str, str]:
        """Environment variables of the exporter at this pace."""
        return {
            "EXPORTER_WINDOWS": ",".join(f"{days * self.seconds_per_day}s" for days in WINDOW_DAYS),
            "EXPORTER_BLOCK_SECONDS": str(self.seconds_per_day // BLOCKS_PER_DAY),
            "EXPORTER_EVALUATION_INTERVAL_SECONDS": str(EVALUATION_INTERVAL_SECONDS),
            "EXPORTER_MLFLOW_POLL_INTERVAL_SECONDS": str(MLFLOW_POLL_INTERVAL_SECONDS),
        }

    @property
    def maturation(self) -> str:
        """Value of the tag `monitoring.maturation` at this pace."""
        return f"{MATURATION_DAYS * self.seconds_per_day}s"

    @property
    def factor(self) -> float:
        """Real seconds per simulated second."""
        return self.seconds_per_day / 86400

    @property
    def warm_up_seconds(self) -> float:
        return float(WARM_UP_DAYS * self.seconds_per_day)


# -- incidents ----------------------------------------------------------------------------------------------

KILOMETRES_PER_MILE = 1.609344
TAXI_MINUTES = 30.0  # from the gate to the runway when New York is busy; the data do not have it per flight


def miles_to_kilometres(flights: pd.DataFrame) -> pd.DataFrame:
    return flights.assign(distance=flights["distance"] * KILOMETRES_PER_MILE)


def gate_to_take_off(flights: pd.DataFrame) -> pd.DataFrame:
    """Measure delays at take-off, still against the scheduled departure from the gate."""
    return flights.assign(dep_delay=flights["dep_delay"] + TAXI_MINUTES)


def register_goes_null(flights: pd.DataFrame) -> pd.DataFrame:
    return flights.assign(seats=float("nan"), aircraft_age=float("nan"))


def carriers_in_lower_case(flights: pd.DataFrame) -> pd.DataFrame:
    return flights.assign(carrier=flights["carrier"].str.lower())


@dataclass(frozen=True)
class Phase:
    """A number of simulated days in which `changes` break the input; without changes it is healthy."""

    name: str
    days: float
    story: str
    changes: tuple[Change, ...] = ()

    def apply(self, flights: pd.DataFrame) -> pd.DataFrame:
        """Return the flights as they arrive in this phase."""
        for change in self.changes:
            flights = change(flights)
        return flights


@dataclass(frozen=True)
class Scenario:
    """Phases in a cycle."""

    phases: tuple[Phase, ...]

    def at(self, day: float) -> Phase:
        """Return the phase on a day since the start."""
        left = day % sum(phase.days for phase in self.phases)
        for phase in self.phases:
            if left < phase.days:
                return phase
            left -= phase.days
        return self.phases[-1]  # rounding at the very end of a round


NEW_FEED = (miles_to_kilometres, gate_to_take_off)

# At five seconds a day: healthy for 20 seconds; broken for 160, since the first verdict takes 10 and its
# alert 60 more; healthy for 15 minutes, since alerts resolve 10 after the last bad verdict. The new feed
# drifts and it hurts: its delays lie where the models are least sure, which estimates show at once, and they
# mean less than in training, which only labels show.
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
        Phase("recovery", 180, "all feeds are repaired"),
    )
)

# A release goes wrong, and the exporter is allowed to act: see `exporter.demo.releases`.
RELEASE_SCENARIO = Scenario(
    (
        Phase("healthy", 4, "flights like those in training"),
        Phase("incident", 10_000, "a new champion, trained on distances in kilometres; they come in miles"),
    )
)

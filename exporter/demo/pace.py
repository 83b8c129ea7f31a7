"""How fast the demo's time runs. Every number that depends on it stands here.

One simulated day takes a few real seconds, in the traffic and in the reference's timestamps alike, so that a
window means the same in both: three days and six days of flights. In shorter ones there are too few flights
to judge anything but gross drift, since those of one hour are alike; with longer ones the reference would
have fewer than the 14 windows from which its natural variation can be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.demo.errors import DemoError

WINDOW_DAYS = (3, 6)
# Two of the longest windows, so that every verdict can be given at once.
WARM_UP_DAYS = 2 * max(WINDOW_DAYS)
# A block is a whole second at least, and a window has to hold some of them.
FASTEST_SECONDS_PER_DAY = BLOCKS_PER_DAY = 5
# By then every label that comes at all has come. With the longest window it is shorter than the warm-up, so
# that what labels show is known from the start on.
MATURATION_DAYS = 4
SCRAPE_INTERVAL_SECONDS = 2
EVALUATION_INTERVAL_SECONDS = 2
MLFLOW_POLL_INTERVAL_SECONDS = 2


@dataclass(frozen=True)
class Pace:
    """Real seconds that one simulated day takes."""

    seconds_per_day: int = FASTEST_SECONDS_PER_DAY

    @classmethod
    def of_speed(cls, speed: float) -> Pace:
        """The pace nearest to `speed` times the fastest one, at which blocks are whole seconds.

        Raises:
            DemoError: faster than that, or standing still.
        """
        if not 0 < speed <= 1:
            raise DemoError(f"--speed {speed:g} is not above 0 and at most 1")
        return cls(FASTEST_SECONDS_PER_DAY * round(1 / speed))

    @property
    def speed(self) -> float:
        return FASTEST_SECONDS_PER_DAY / self.seconds_per_day

    @property
    def settings(self) -> Mapping[str, str]:
        """The exporter's environment at this pace."""
        return {
            "EXPORTER_WINDOWS": ",".join(f"{days * self.seconds_per_day}s" for days in WINDOW_DAYS),
            "EXPORTER_BLOCK_SECONDS": str(self.seconds_per_day // BLOCKS_PER_DAY),
            "EXPORTER_EVALUATION_INTERVAL_SECONDS": str(EVALUATION_INTERVAL_SECONDS),
            "EXPORTER_MLFLOW_POLL_INTERVAL_SECONDS": str(MLFLOW_POLL_INTERVAL_SECONDS),
        }

    @property
    def maturation(self) -> str:
        """The value of the tag `monitoring.maturation` at this pace."""
        return f"{MATURATION_DAYS * self.seconds_per_day}s"

    @property
    def factor(self) -> float:
        """Real seconds per simulated second."""
        return self.seconds_per_day / 86400

    @property
    def warm_up_seconds(self) -> float:
        return float(WARM_UP_DAYS * self.seconds_per_day)

"""Results: figures of the present beside the limits that follow from the past."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.settings import DAY_SECONDS

INTENDED_SECONDS = 14 * DAY_SECONDS  # a longer silence is taken to be intended


@dataclass(frozen=True)
class Habit:
    """A figure and its limit, each None where it is not known."""

    figure: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Habits:
    """Habits of the fleet at `at`, in seconds since the epoch.

    Attributes:
        silences: seconds without predictions, by model and alias.
        label_silences: seconds without labels, by model.
        latencies: 95th percentiles in seconds, by model and version.
        coverages: lowest usual label coverage by model, version and window.
    """

    at: float = float("-inf")
    silences: Mapping[tuple[str, str], Habit] = field(default_factory=dict)
    label_silences: Mapping[str, Habit] = field(default_factory=dict)
    latencies: Mapping[tuple[str, str], Habit] = field(default_factory=dict)
    coverages: Mapping[tuple[str, str, str], float] = field(default_factory=dict)

"""Replays the flights after March against the exporter, scored by the registered versions.

It does what a scoring service does: score requests, and send each prediction by a monitor of the version,
with an id and the latency. Every version scores every flight: the champion is served, others are its shadows.
Labels are posted when they become known: late flights soon, flights on time later, some never, some twice,
some corrected.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from exporter.client import Monitor
from exporter.demo.client import Client
from exporter.demo.flights import FEATURES, REPLAY_START, TARGET
from exporter.demo.scenario import WARM_UP_DAYS, Pace, Phase, Scenario
from exporter.demo.training import score_flights

TICK_SECONDS = 0.5

# Days after departure: passengers of late flights complain; carriers report the others.
LATE_DAYS = (0.1, 1.0)
ON_TIME_DAYS = (1.0, 3.4)
AGAIN_DAYS = 0.4  # until a label is repeated or corrected; still within the maturation
FATES = {"once": 0.9, "never": 0.05, "twice": 0.03, "corrected": 0.02}
MAX_PENDING_LABELS = 50_000  # labels; a few days have some thousands


class Replay:
    """Flights in compressed time from `began` on; after the last one the first come again, with new ids."""

    def __init__(self, flights: pd.DataFrame, pace: Pace, began: datetime) -> None:
        since_start = (flights["departure"] - REPLAY_START).dt.total_seconds().to_numpy()
        self._flights = flights
        self._began = began
        self._offsets = since_start * pace.factor
        self._round_seconds = float(np.ceil(since_start[-1] / 86400)) * pace.seconds_per_day
        self._prefix = format(
            int(began.timestamp()), "x"
        )  # of ids: the exporter may have an earlier replay's

    def moment(self, seconds: float) -> datetime:
        """Return the time `seconds` into the replay."""
        return self._began + timedelta(seconds=seconds)

    def between(self, start_seconds: float, end_seconds: float) -> pd.DataFrame:
        """Return flights that leave in [start, end) after `began`, with their `id` and `timestamp`."""
        rounds = range(int(start_seconds // self._round_seconds), int(end_seconds // self._round_seconds) + 1)
        return pd.concat([self._of_round(n, start_seconds, end_seconds) for n in rounds], ignore_index=True)

    def _of_round(self, number: int, start_seconds: float, end_seconds: float) -> pd.DataFrame:
        shift = number * self._round_seconds
        first, last = np.searchsorted(self._offsets, [start_seconds - shift, end_seconds - shift])
        times = [self.moment(shift + offset) for offset in self._offsets[first:last]]
        ids = [f"{self._prefix}-{number}-{row}" for row in range(first, last)]
        return self._flights.iloc[first:last].assign(id=ids, timestamp=times)


def schedule_labels(flights: pd.DataFrame, pace: Pace, random: np.random.Generator) -> pd.DataFrame:
    """Return the labels that will be posted, in order: `id`, `label` and `known`, the time they become known.

    Args:
        flights: with `id`, `timestamp` and TARGET.
        pace: of the replay.
        random: decides when a label is known, and whether at all.
    """
    late = flights[TARGET].to_numpy()
    days = np.where(
        late == 1, random.uniform(*LATE_DAYS, len(flights)), random.uniform(*ON_TIME_DAYS, len(flights))
    )
    fate = random.choice(list(FATES), len(flights), p=list(FATES.values()))
    first = pd.DataFrame(
        {
            "id": flights["id"].to_numpy(),
            "label": np.where(fate == "corrected", 1 - late, late),
            "known": pd.to_datetime(flights["timestamp"], utc=True).reset_index(drop=True)
            + pd.to_timedelta(days * pace.seconds_per_day, unit="s"),
        }
    )
    again = first.assign(
        label=late, known=first["known"] + pd.Timedelta(seconds=AGAIN_DAYS * pace.seconds_per_day)
    )
    posted = pd.concat([first[fate != "never"], again[(fate == "twice") | (fate == "corrected")]])
    ordered: pd.DataFrame = posted.sort_values("known", kind="stable", ignore_index=True)
    return ordered


class PendingLabels:
    """Labels of scored flights until they are known; the last beyond MAX_PENDING_LABELS are dropped."""

    def __init__(self, pace: Pace, random: np.random.Generator) -> None:
        self._pace = pace
        self._random = random
        self._pending = pd.DataFrame(columns=["id", "label", "known"])

    def expect(self, flights: pd.DataFrame) -> None:
        """Schedule the labels of these flights."""
        parts = [self._pending, schedule_labels(flights, self._pace, self._random)]
        merged = pd.concat([part for part in parts if not part.empty] or parts[:1])
        self._pending = merged.sort_values("known", kind="stable", ignore_index=True)

    def take(self, until: datetime) -> pd.DataFrame:
        """Remove and return the labels that are known by then."""
        if self._pending.empty:
            return self._pending
        known = self._pending["known"] <= until
        taken = self._pending[known]
        self._pending = self._pending[~known].head(MAX_PENDING_LABELS)
        return taken


@dataclass(frozen=True)
class ServedModel:
    """A pipeline as loaded from the registry, its version, and the monitor that sends what it predicts."""

    pipeline: Pipeline
    version: str
    monitor: Monitor


class Traffic:
    """Scores and sends the flights of a replay, and their labels once they are known.

    `models` returns those that score at the moment, at least one.
    `announce` is called with the name and story of each phase as it begins. The scenario starts after the
    days of warm-up, which are sent at once, with times in the past: no verdict is given before the windows
    are full.
    """

    def __init__(
        self,
        replay: Replay,
        models: Callable[[], Sequence[ServedModel]],
        labels: PendingLabels,
        client: Client,
        scenario: Scenario,
        announce: Callable[[str, str], None],
        pace: Pace,
    ) -> None:
        self._replay = replay
        self._models = models
        self._labels = labels
        self._client = client
        self._scenario = scenario
        self._announce = announce
        self._pace = pace
        self._sent_until = 0.0
        self._phase: Phase | None = None

    def advance(self, seconds: float) -> None:
        """Send the flights and labels between the last call and `seconds` into the replay.

        Raises:
            DemoError: the exporter does not take them.
        """
        phase = self._scenario.at(max(0.0, seconds / self._pace.seconds_per_day - WARM_UP_DAYS))
        if phase is not self._phase:
            self._announce(phase.name, phase.story)
            self._phase = phase
        models = self._models()
        flights = self._replay.between(self._sent_until, seconds)
        if not flights.empty:
            arrived = phase.apply(flights)
            for model in models:
                began = time.perf_counter()
                scored = score_flights(model.pipeline, arrived)
                latency_seconds = time.perf_counter() - began  # of each, since all are scored in one call
                model.monitor.predictions(
                    scored[list(FEATURES)],
                    scored["prediction"],
                    score=scored["score"],
                    id=scored["id"],
                    timestamp=scored["timestamp"],
                    latency_seconds=latency_seconds,
                )
            self._labels.expect(flights)
        known = self._labels.take(self._replay.moment(seconds))
        if not known.empty:
            models[0].monitor.labels(known["id"], known["label"], timestamp=known["known"])
        for model in models:
            if self._sent_until:
                self._client.check(model.monitor)
            else:  # the warm-up, without which there are no verdicts
                self._client.flush(model.monitor)
        self._sent_until = seconds

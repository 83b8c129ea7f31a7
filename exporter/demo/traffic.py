"""Replays the flights after March against the exporter, scored by the registered versions.

It does what a scoring service would do: score what comes in, and tell the exporter what it predicted, with an
id, the version of the model and how long it took. Every version scores every flight: one of them is served,
the others are its shadows. What really happened it tells when that is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from exporter.demo.client import Client
from exporter.demo.errors import DemoError
from exporter.demo.flights import FEATURES, REPLAY_START
from exporter.demo.labels import PendingLabels, encode_labels
from exporter.demo.pace import WARM_UP_DAYS, Pace
from exporter.demo.scenario import Phase, Scenario
from exporter.demo.training import MODEL, score_flights

TICK_SECONDS = 0.5
MONITORED_WITHIN_SECONDS = 120.0


@dataclass(frozen=True)
class ServedModel:
    """What a scoring service holds: the pipeline, and the version that it is."""

    pipeline: Pipeline
    version: str


class Replay:
    """Flights in compressed time from `began` on; after the last one the first come again, with new ids."""

    def __init__(self, flights: pd.DataFrame, pace: Pace, began: datetime) -> None:
        since_start = (flights["departure"] - REPLAY_START).dt.total_seconds().to_numpy()
        self._flights = flights
        self._began = began
        self._offsets = since_start * pace.factor
        self._round_seconds = float(np.ceil(since_start[-1] / 86400)) * pace.seconds_per_day
        # Unlike those of an earlier replay, which the exporter may still have.
        self._series = format(int(began.timestamp()), "x")

    def moment(self, seconds: float) -> datetime:
        """The time that is `seconds` into the replay."""
        return self._began + timedelta(seconds=seconds)

    def between(self, start_seconds: float, end_seconds: float) -> pd.DataFrame:
        """Flights that leave in [start, end) after `began`, with their `id` and `timestamp`."""
        rounds = range(int(start_seconds // self._round_seconds), int(end_seconds // self._round_seconds) + 1)
        return pd.concat([self._of_round(n, start_seconds, end_seconds) for n in rounds], ignore_index=True)

    def _of_round(self, number: int, start_seconds: float, end_seconds: float) -> pd.DataFrame:
        shift = number * self._round_seconds
        first, last = np.searchsorted(self._offsets, [start_seconds - shift, end_seconds - shift])
        times = [self._began + timedelta(seconds=shift + offset) for offset in self._offsets[first:last]]
        ids = [f"{self._series}-{number}-{row}" for row in range(first, last)]
        return self._flights.iloc[first:last].assign(id=ids, timestamp=times)


class Traffic:
    """Scores and posts the flights of a replay, and their labels as they become known.

    `announce` is called with each phase as it begins.

    The scenario starts after the days of warm-up, which are posted at once, with their times in the past:
    nothing is judged before the windows are full.
    """

    def __init__(
        self,
        replay: Replay,
        models: Sequence[ServedModel],
        labels: PendingLabels,
        client: Client,
        scenario: Scenario,
        announce: Callable[[Phase], None],
        pace: Pace,
    ) -> None:
        self._replay = replay
        self._models = models
        self._labels = labels
        self._client = client
        self._scenario = scenario
        self._announce = announce
        self._pace = pace
        self._posted_until = 0.0
        self._phase: Phase | None = None

    def advance(self, seconds: float) -> None:
        """Post what left, and what became known, since the last call and before `seconds` into the replay.

        Raises:
            DemoError: the exporter does not take it.
        """
        phase = self._scenario.at(max(0.0, seconds / self._pace.seconds_per_day - WARM_UP_DAYS))
        if phase is not self._phase:
            self._announce(phase)
            self._phase = phase
        flights = self._replay.between(self._posted_until, seconds)
        if not flights.empty:
            arrived = phase.apply(flights)
            for model in self._models:
                began = time.perf_counter()
                scored = score_flights(model.pipeline, arrived)
                latency_seconds = time.perf_counter() - began
                self._client.post_predictions(encode_batch(scored, model.version, latency_seconds))
            self._labels.expect(flights)
        known = self._labels.take(self._replay.moment(seconds))
        if not known.empty:
            self._client.post_labels(encode_labels(known))
        self._posted_until = seconds


def await_monitored(client: Client, version: str) -> None:
    """Wait for the exporter to find the version: a poll or two.

    Raises:
        DemoError: it does not.
    """
    deadline = time.monotonic() + MONITORED_WITHIN_SECONDS
    while not client.is_monitored(MODEL, version):
        if time.monotonic() > deadline:
            raise DemoError(
                f"the exporter does not find {MODEL} version {version}; is it at the same MLflow?"
            )
        time.sleep(0.2)


def encode_batch(scored: pd.DataFrame, version: str, latency_seconds: float) -> dict[str, Any]:
    """The body of `POST /v1/predictions`, columnar; what is missing becomes null."""
    features = scored[list(FEATURES)].astype("object")
    return {
        "model": MODEL,
        "version": version,
        "columns": {
            "id": scored["id"].tolist(),
            "timestamp": [moment.isoformat() for moment in scored["timestamp"]],
            "prediction": scored["prediction"].tolist(),
            "score": scored["score"].tolist(),
            # All are scored in one call, so each waits for all.
            "latency_seconds": [latency_seconds] * len(scored),
            "features": {
                name: column.tolist() for name, column in features.where(features.notna(), None).items()
            },
        },
    }

"""The demo's releases: which version gets which alias, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pandas as pd

from exporter.demo.client import Client
from exporter.demo.observation import CHALLENGER_ALIAS, CHAMPION_ALIAS
from exporter.demo.scenario import MODEL, Pace, miles_to_kilometres
from exporter.demo.training import (
    FIRST_TREES,
    SPLINES,
    TREES,
    Candidate,
    allow_rollback,
    point,
    register,
    train,
)
from exporter.demo.waiting import wait_until


class Releases:
    """Trains on `training`, with `held_out` as the reference, and registers at a pace."""

    def __init__(self, training: pd.DataFrame, held_out: pd.DataFrame, pace: Pace, client: Client) -> None:
        self._training = training
        self._held_out = held_out
        self._pace = pace
        self._client = client
        self._prepared = ""

    def release_two(self) -> None:
        """Release splines, then trees in their place, which the splines challenge from then on."""
        first = self._register(SPLINES)
        self._release_first(first)
        point(CHAMPION_ALIAS, self._register(TREES))
        point(CHALLENGER_ALIAS, first)

    def release_one_and_prepare_another(self) -> None:
        """Release a first model; another, for `release_prepared`, has learned from kilometres.

        The model allows the exporter to move its alias.
        """
        self._release_first(self._register(FIRST_TREES))
        allow_rollback()
        training, held_out = miles_to_kilometres(self._training), miles_to_kilometres(self._held_out)
        self._prepared = register(train(FIRST_TREES, training, held_out, self._pace, now()), self._pace)

    def release_prepared(self) -> None:
        """Make the prepared version the champion."""
        point(CHAMPION_ALIAS, self._prepared)

    def _register(self, candidate: Candidate) -> str:
        return register(train(candidate, self._training, self._held_out, self._pace, now()), self._pace)

    def _release_first(self, version: str) -> None:
        """Make a version the champion, and wait until the exporter has seen it: only then it is history."""
        point(CHAMPION_ALIAS, version)
        problem = f"the exporter does not monitor {MODEL} version {version}; is it at the same MLflow?"
        wait_until(partial(self._client.monitors, MODEL, version), problem)


def now() -> datetime:
    return datetime.now(UTC)

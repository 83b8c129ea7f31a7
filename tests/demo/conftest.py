"""The real flights and the models trained on them, once per session."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pandas as pd
import pytest

# As the demo does, and for its reason: see `exporter.demo.app.run`.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from exporter.demo.flights import load_flights, split_flights
from exporter.demo.scenario import Pace
from exporter.demo.training import SPLINES, TREES, TrainedModel, train

PACE = Pace()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    return load_flights()


@pytest.fixture(scope="session")
def later_flights(flights: pd.DataFrame) -> pd.DataFrame:
    """Flights that are replayed."""
    return split_flights(flights)[2]


@pytest.fixture(scope="session")
def model(flights: pd.DataFrame) -> TrainedModel:
    """The champion, whose reference ends at NOW."""
    training, held_out, _ = split_flights(flights)
    return train(TREES, training, held_out, PACE, NOW)


@pytest.fixture(scope="session")
def challenger(flights: pd.DataFrame) -> TrainedModel:
    """The challenger, likewise."""
    training, held_out, _ = split_flights(flights)
    return train(SPLINES, training, held_out, PACE, NOW)

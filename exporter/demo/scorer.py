"""Scoring service, `mlflow-exporter demo --traffic-only`: trains the models, then replays flights."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException

from exporter.demo.client import Client
from exporter.demo.flights import load_flights, split_flights
from exporter.demo.scenario import SCENARIO, Pace
from exporter.demo.traffic import TICK_SECONDS, PendingLabels, Replay, ServedModel, Traffic
from exporter.demo.training import CANDIDATES, MODEL, find_registered, register, train
from exporter.errors import DemoError

WAIT_SECONDS = 120.0  # for MLflow, and for the exporter's next poll and each reference
SEED = 2013
# With MLflow's own settings a request to a server that is not there yet takes four minutes to fail.
MLFLOW_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def announce(phase: str, story: str) -> None:
    """Print the phase that begins, as a line `phase: story`, which the screen reads."""
    print(f"{phase}: {story}", flush=True)


def run_scorer(exporter_url: str, pace: Pace) -> None:
    """Train and register the models unless they are registered, then replay flights until interrupted.

    Raises:
        DemoError: MLflow does not answer, or the exporter does not find the references or take the flights.
    """
    client = Client(exporter_url)
    os.environ.update(MLFLOW_ENVIRONMENT)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    training, held_out, later = split_flights(load_flights())
    wait_until(_mlflow_answers, f"MLflow at {mlflow.get_tracking_uri()} does not answer")
    versions = find_registered(pace)
    if not versions:
        announce(
            "training",
            f"two models on {len(training):,} flights, with {len(held_out):,} others as their reference",
        )
        versions = [register(train(each, training, held_out, pace, _now()), pace) for each in CANDIDATES]
    models = [
        ServedModel(mlflow.sklearn.load_model(f"models:/{MODEL}/{version}"), version) for version in versions
    ]
    named = " and ".join(
        f"version {version} as {each.alias}" for each, version in zip(CANDIDATES, versions, strict=True)
    )
    announce("training", f"{MODEL} has {named}; waiting for the exporter to profile their references")
    for version in versions:
        problem = f"the exporter has no reference of {MODEL} version {version}; is it at the same MLflow?"
        wait_until(partial(client.has_reference, MODEL, version), problem)

    began = _now() - timedelta(seconds=pace.warm_up_seconds)
    labels = PendingLabels(pace, np.random.default_rng(SEED))
    traffic = Traffic(Replay(later, pace, began), models, labels, client, SCENARIO, announce, pace)
    while True:
        traffic.advance((_now() - began).total_seconds())
        time.sleep(TICK_SECONDS)


def wait_until(ready: Callable[[], bool], problem: str, seconds: float = WAIT_SECONDS) -> None:
    """Call `ready` until it returns true.

    Raises:
        DemoError: it did not in time; the message is `problem`.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise DemoError(problem)
        time.sleep(0.2)


def _mlflow_answers() -> bool:
    try:
        mlflow.MlflowClient().search_registered_models(max_results=1)
    except MlflowException:
        return False
    return True


def _now() -> datetime:
    return datetime.now(UTC)

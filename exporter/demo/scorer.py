"""The demo's scoring service, `mlflow-exporter demo --traffic-only`: trains the models, replays flights."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime, timedelta

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException

from exporter.demo.candidates import CANDIDATES
from exporter.demo.client import Client
from exporter.demo.errors import DemoError
from exporter.demo.flights import load_flights, split_flights
from exporter.demo.labels import PendingLabels
from exporter.demo.pace import Pace
from exporter.demo.scenario import SCENARIO
from exporter.demo.traffic import TICK_SECONDS, Replay, ServedModel, Traffic, await_monitored
from exporter.demo.training import MODEL, find_registered, register, train

MLFLOW_WITHIN_SECONDS = 120.0
SEED = 2013
# Of each call: with MLflow's own settings, one on a server that is not there yet takes four minutes to fail.
MLFLOW_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def announce(phase: str, story: str) -> None:
    """Tell whoever reads the output what happens now: one line, `phase: story`."""
    print(f"{phase}: {story}", flush=True)


def run_scorer(exporter_url: str, pace: Pace) -> None:
    """Train and register the models unless they are there, then replay flights until interrupted.

    Raises:
        DemoError: MLflow or the exporter does not do its part.
    """
    client = Client(exporter_url)
    os.environ.update(MLFLOW_ENVIRONMENT)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    training, held_out, later = split_flights(load_flights())
    await_mlflow()
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
    announce("training", f"{MODEL} has {named}; waiting for the exporter to find them")
    for version in versions:
        await_monitored(client, version)

    began = _now() - timedelta(seconds=pace.warm_up_seconds)
    replay = Replay(later, pace, began)
    traffic = Traffic(
        replay,
        models,
        PendingLabels(pace, np.random.default_rng(SEED)),
        client,
        SCENARIO,
        lambda phase: announce(phase.name, phase.story),
        pace,
    )
    while True:
        traffic.advance((_now() - began).total_seconds())
        time.sleep(TICK_SECONDS)


def await_mlflow() -> None:
    """Wait for MLflow to answer.

    Raises:
        DemoError: it does not.
    """
    deadline = time.monotonic() + MLFLOW_WITHIN_SECONDS
    while True:
        try:
            mlflow.MlflowClient().search_registered_models(max_results=1)
        except MlflowException as error:
            if time.monotonic() > deadline:
                raise DemoError(f"MLflow at {mlflow.get_tracking_uri()} does not answer: {error}") from None
            time.sleep(0.5)
        else:
            return


def _now() -> datetime:
    return datetime.now(UTC)

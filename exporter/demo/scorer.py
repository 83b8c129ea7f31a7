"""Scoring service, `mlflow-exporter demo --traffic-only`: trains the models, then replays flights."""

from __future__ import annotations

import logging
import os
import time
from datetime import timedelta

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException

from exporter.demo.client import Client
from exporter.demo.flights import load_flights, split_flights
from exporter.demo.releases import Releases, now
from exporter.demo.scenario import MODEL, RELEASE_SCENARIO, SCENARIO, Pace
from exporter.demo.serving import Serving
from exporter.demo.traffic import TICK_SECONDS, PendingLabels, Replay, Traffic
from exporter.demo.training import find_aliases
from exporter.demo.waiting import WAIT_SECONDS, wait_until

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


def run_scorer(exporter_url: str, pace: Pace, *, remediate: bool) -> None:
    """Train and register the models unless they are registered, then replay flights until interrupted.

    Raises:
        DemoError: MLflow does not answer, or the exporter does not find the references or take the flights.
    """
    client = Client(exporter_url, token_file=os.environ.get("EXPORTER_API_TOKEN_FILE", ""))
    os.environ.update(MLFLOW_ENVIRONMENT)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    training, held_out, later = split_flights(load_flights())
    wait_until(_mlflow_answers, f"MLflow at {mlflow.get_tracking_uri()} does not answer")
    releases = Releases(training, held_out, pace, client)
    if not find_aliases(pace):
        announce(
            "training",
            f"two models on {len(training):,} flights, with {len(held_out):,} others as their reference",
        )
        if remediate:
            releases.release_one_and_prepare_another()
        else:
            releases.release_two()
    aliases = find_aliases(pace)
    named = " and ".join(f"version {version} as {alias}" for alias, version in sorted(aliases.items()))
    announce("training", f"{MODEL} has {named}; waiting for the exporter to profile their references")
    serving = Serving(client, pace)
    problem = f"the exporter has no references of {MODEL} {named}; is it at the same MLflow?"
    wait_until(lambda: serving.refresh() >= set(aliases.values()), problem, len(aliases) * WAIT_SECONDS)

    def announce_and_release(phase: str, story: str) -> None:
        announce(phase, story)
        if remediate and phase == "incident":
            releases.release_prepared()

    began = now() - timedelta(seconds=pace.warm_up_seconds)
    labels = PendingLabels(pace, np.random.default_rng(SEED))
    scenario = RELEASE_SCENARIO if remediate else SCENARIO
    replay = Replay(later, pace, began)
    traffic = Traffic(replay, lambda: serving.models, labels, client, scenario, announce_and_release, pace)
    while True:
        serving.refresh()
        traffic.advance((now() - began).total_seconds())
        time.sleep(TICK_SECONDS)


def _mlflow_answers() -> bool:
    try:
        mlflow.MlflowClient().search_registered_models(max_results=1)
    except MlflowException:
        return False
    return True

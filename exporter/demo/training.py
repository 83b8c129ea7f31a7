"""Trains the demo's models and registers them as a person would: run, metrics, signature, reference, alias.

What makes one monitored is nothing else than `extra_files=["reference.parquet"]`, the metadata and the alias.
A tag says how long labels take.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)
from sklearn.pipeline import Pipeline

from exporter.demo.candidates import CANDIDATES, Candidate
from exporter.demo.flights import FEATURES, REPLAY_START, TARGET
from exporter.demo.pace import Pace

MODEL = "flight-delays"
EXPERIMENT = "flight-delays"
# A version whose reference was compressed otherwise cannot be compared with this traffic.
PACE_TAG = "demo.seconds_per_day"
MATURATION_TAG = "monitoring.maturation"
TEAM_TAG, TEAM = "monitoring.team", "flights"  # Alertmanager's configuration has a route of it


@dataclass(frozen=True)
class TrainedModel:
    """The pipeline, and held-out rows with FEATURES, `prediction`, `score`, TARGET and `timestamp`."""

    candidate: Candidate
    pipeline: Pipeline
    reference: pd.DataFrame
    training_rows: int

    @property
    def metrics(self) -> dict[str, float]:
        """Quality on the reference, under the names that the exporter's own measures have."""
        truth, score = self.reference[TARGET], self.reference["score"]
        prediction = self.reference["prediction"]
        return {
            "accuracy": float(accuracy_score(truth, prediction)),
            "precision": float(precision_score(truth, prediction)),
            "recall": float(recall_score(truth, prediction)),
            "f1": float(f1_score(truth, prediction)),
            "roc_auc": float(roc_auc_score(truth, score)),
            "log_loss": float(log_loss(truth, score)),
            "brier": float(brier_score_loss(truth, score)),
        }


def train(
    candidate: Candidate, training: pd.DataFrame, held_out: pd.DataFrame, pace: Pace, now: datetime
) -> TrainedModel:
    """Fit on `training`, score `held_out`; departures are compressed in time so that March ends at `now`."""
    pipeline = candidate.build(candidate.parameters)
    pipeline.fit(training[list(FEATURES)], training[TARGET])
    reference = score_flights(pipeline, held_out).drop(columns="departure")
    reference["timestamp"] = now + (held_out["departure"] - REPLAY_START) * pace.factor
    return TrainedModel(candidate, pipeline, reference, training_rows=len(training))


def score_flights(pipeline: Pipeline, flights: pd.DataFrame) -> pd.DataFrame:
    """The flights with `score`, the probability of a late arrival, and `prediction`, 1 from one half on."""
    score = pipeline.predict_proba(flights[list(FEATURES)])[:, 1]
    return flights.assign(score=score, prediction=(score >= 0.5).astype("int64"))


def register(model: TrainedModel, pace: Pace) -> str:
    """Log and register the model in MLflow, point its alias to it, and return its version."""
    mlflow.set_experiment(EXPERIMENT)
    features = model.reference[list(FEATURES)]
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run(run_name=model.candidate.name):
        path = Path(folder) / "reference.parquet"
        model.reference.to_parquet(path, index=False)
        mlflow.log_params(
            {
                **model.candidate.parameters,
                "training_rows": model.training_rows,
                "training_days": "January to March 2013, even days",
                "reference_rows": len(model.reference),
                "reference_days": "January to March 2013, odd days",
            }
        )
        mlflow.log_metrics(model.metrics)
        info = mlflow.sklearn.log_model(
            model.pipeline,
            name="model",
            registered_model_name=MODEL,
            signature=infer_signature(features, model.reference["prediction"].to_numpy()),
            input_example=features.head(3),
            extra_files=[str(path)],
            metadata={"monitoring": {"target": TARGET, "task": "binary", "reference_split": "test"}},
            serialization_format="cloudpickle",  # the default, skops, refuses trees
            # Named, or MLflow would load the model in another process to find out, which takes long.
            pip_requirements=[
                f"{name}=={version(name)}" for name in ("scikit-learn", "pandas", "cloudpickle")
            ],
        )
    number = str(info.registered_model_version)
    client = mlflow.MlflowClient()
    # The alias comes last: it is what makes the version monitored, with its tags.
    client.set_model_version_tag(MODEL, number, PACE_TAG, str(pace.seconds_per_day))
    client.set_model_version_tag(MODEL, number, MATURATION_TAG, pace.maturation)
    client.set_model_version_tag(MODEL, number, TEAM_TAG, TEAM)
    client.set_registered_model_alias(MODEL, model.candidate.alias, number)
    return number


def find_registered(pace: Pace) -> list[str]:
    """The versions that the candidates' aliases point to; none unless all are there, made for this pace."""
    found = [_find(candidate.alias, pace) for candidate in CANDIDATES]
    versions = [version for version in found if version is not None]
    return versions if len(versions) == len(found) else []


def _find(alias: str, pace: Pace) -> str | None:
    try:
        found = mlflow.MlflowClient().get_model_version_by_alias(MODEL, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    made_for = found.tags.get(PACE_TAG), found.tags.get(MATURATION_TAG)
    return str(found.version) if made_for == (str(pace.seconds_per_day), pace.maturation) else None

"""Trains the demo's models and registers them: splines, and gradient-boosted trees.

Registration is what any team does: run, metrics, signature, alias. All that makes a version monitored is the
file `reference.parquet` in `extra_files`, the metadata that names the target, and the alias; a tag says how
long labels take.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn import metrics
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, SplineTransformer

from exporter.demo.flights import CATEGORIES, FEATURES, REPLAY_START, TARGET
from exporter.demo.scenario import MODEL, Pace

# A version whose reference was compressed otherwise cannot be compared with this traffic.
PACE_TAG = "demo.seconds_per_day"
MATURATION_TAG = "monitoring.maturation"
TEAM_TAG, TEAM = "monitoring.team", "flights"  # Alertmanager's configuration has a route for it

Parameters = dict[str, int | float]


@dataclass(frozen=True)
class Candidate:
    """A kind of model; `build` makes an unfitted pipeline."""

    name: str
    parameters: Parameters
    build: Callable[[Parameters], Pipeline]


def _trees(parameters: Parameters) -> Pipeline:
    """Missing and unseen values are branches of their own."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=float("nan"))
    encode = ColumnTransformer([("categories", encoder, list(CATEGORIES))], remainder="passthrough")
    return make_pipeline(encode, HistGradientBoostingClassifier(early_stopping=False, **parameters))


def _trees_without_delay(parameters: Parameters) -> Pipeline:
    numbers = [name for name in FEATURES if name not in (*CATEGORIES, "dep_delay")]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=float("nan"))
    prepare = ColumnTransformer(
        [("categories", encoder, list(CATEGORIES)), ("numbers", "passthrough", numbers)]
    )
    return make_pipeline(prepare, HistGradientBoostingClassifier(early_stopping=False, **parameters))


def _splines(parameters: Parameters) -> Pipeline:
    """Smooth in each number; unseen categories contribute nothing."""
    numbers = [name for name in FEATURES if name not in CATEGORIES]
    curves = SplineTransformer(n_knots=parameters["n_knots"], knots="quantile", extrapolation="linear")
    prepare = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore"), list(CATEGORIES)),
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), curves), numbers),
            ("unregistered", MissingIndicator(features="all"), ["seats"]),
        ]
    )
    return make_pipeline(prepare, LogisticRegression(C=parameters["C"], max_iter=1000))


TREES_PARAMETERS: Parameters = {
    "max_iter": 80,
    "learning_rate": 0.1,
    "max_leaf_nodes": 15,
    "random_state": 2013,
}
SPLINES = Candidate("splines", {"n_knots": 8, "C": 1.0}, _splines)
TREES = Candidate("gradient boosting", TREES_PARAMETERS, _trees)
# Does not look at the delay at departure, so that a retraining has something to improve.
FIRST_TREES = Candidate("without the delay at departure", TREES_PARAMETERS, _trees_without_delay)


@dataclass(frozen=True)
class TrainedModel:
    """The pipeline, and held-out rows with FEATURES, `prediction`, `score`, TARGET and `timestamp`."""

    candidate: Candidate
    pipeline: Pipeline
    reference: pd.DataFrame
    training_rows: int

    @property
    def metrics(self) -> dict[str, float]:
        """Quality on the reference, under the exporter's own metric names."""
        truth, score = self.reference[TARGET], self.reference["score"]
        prediction = self.reference["prediction"]
        return {
            "accuracy": float(metrics.accuracy_score(truth, prediction)),
            "precision": float(metrics.precision_score(truth, prediction)),
            "recall": float(metrics.recall_score(truth, prediction)),
            "f1": float(metrics.f1_score(truth, prediction)),
            "roc_auc": float(metrics.roc_auc_score(truth, score)),
            "log_loss": float(metrics.log_loss(truth, score)),
            "brier": float(metrics.brier_score_loss(truth, score)),
        }

    @property
    def importance(self) -> dict[str, float]:
        """Increase of the log loss on a thousand rows of the reference when a feature is permuted."""
        rows = self.reference.sample(1000, random_state=2013)
        features = rows[list(FEATURES)]
        found = permutation_importance(
            self.pipeline, features, rows[TARGET], scoring="neg_log_loss", n_repeats=2, random_state=2013
        )
        return dict(zip(FEATURES, np.maximum(found.importances_mean, 0.0).tolist(), strict=True))


def train(
    candidate: Candidate, training: pd.DataFrame, held_out: pd.DataFrame, pace: Pace, now: datetime
) -> TrainedModel:
    """Fit on `training` and score `held_out`, whose times are compressed so that March ends at `now`."""
    pipeline = candidate.build(candidate.parameters)
    pipeline.fit(training[list(FEATURES)], training[TARGET])
    reference = score_flights(pipeline, held_out).drop(columns="departure")
    reference["timestamp"] = now + (held_out["departure"] - REPLAY_START) * pace.factor
    return TrainedModel(candidate, pipeline, reference, training_rows=len(training))


def score_flights(pipeline: Pipeline, flights: pd.DataFrame) -> pd.DataFrame:
    """Add `score`, the probability of a late arrival, and `prediction`, 1 where that is at least one half."""
    score = pipeline.predict_proba(flights[list(FEATURES)])[:, 1]
    return flights.assign(score=score, prediction=(score >= 0.5).astype("int64"))


def register(model: TrainedModel, pace: Pace, tags: Mapping[str, str] = MappingProxyType({})) -> str:
    """Log and register the model in MLflow, with tags of the version, and return its version."""
    mlflow.set_experiment(MODEL)
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
        mlflow.log_dict(model.importance, "monitoring/importance.json")
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
    ours = {PACE_TAG: str(pace.seconds_per_day), MATURATION_TAG: pace.maturation, TEAM_TAG: TEAM}
    for name, value in {**ours, **tags}.items():
        mlflow.MlflowClient().set_model_version_tag(MODEL, number, name, value)
    return number


def point(alias: str, number: str) -> None:
    """Point an alias to a version, which makes it monitored, with the tags that it has by then."""
    mlflow.MlflowClient().set_registered_model_alias(MODEL, alias, number)


def allow_rollback() -> None:
    """Set the tag of the model without which the exporter moves no alias by itself."""
    mlflow.MlflowClient().set_registered_model_tag(MODEL, "monitoring.auto_rollback", "true")


def find_aliases(pace: Pace) -> dict[str, str]:
    """Return the versions made for this pace by their aliases."""
    client = mlflow.MlflowClient()
    try:
        aliases = client.get_registered_model(MODEL).aliases
        versions = {alias: client.get_model_version(MODEL, number) for alias, number in aliases.items()}
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    made = str(pace.seconds_per_day), pace.maturation
    return {
        alias: str(version.version)
        for alias, version in versions.items()
        if (version.tags.get(PACE_TAG), version.tags.get(MATURATION_TAG)) == made
    }

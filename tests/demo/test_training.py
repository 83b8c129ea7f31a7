from __future__ import annotations

import io
from datetime import timedelta

import mlflow
import pandas as pd
import pytest

from exporter.demo.flights import FEATURES, split_flights
from exporter.demo.pace import Pace
from exporter.demo.training import (
    ALIAS,
    MODEL,
    TrainedModel,
    find_registered,
    register,
    score_flights,
    train,
)
from tests.demo.conftest import NOW, PACE
from tests.mlflow_server import MlflowServer

# MLflow warns of its own type hints when a model is first logged.
ignore_mlflow = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")


def test_the_model_is_worth_watching(model: TrainedModel) -> None:
    assert model.metrics["roc_auc"] > 0.85
    assert model.metrics["accuracy"] > 0.85


def test_the_reference_has_what_the_exporter_can_use(model: TrainedModel) -> None:
    assert list(model.reference) == [*FEATURES, "late", "score", "prediction", "timestamp"]
    assert model.reference["score"].between(0, 1).all()
    assert set(model.reference["prediction"]) == {0, 1}


def test_three_months_of_reference_are_compressed_up_to_now(model: TrainedModel) -> None:
    times = model.reference["timestamp"]
    assert times.is_monotonic_increasing
    assert NOW - timedelta(seconds=2 * PACE.seconds_per_day) < times.max() <= NOW
    assert times.max() - times.min() < timedelta(seconds=90 * PACE.seconds_per_day)


def test_the_same_flights_make_the_same_model(flights: pd.DataFrame) -> None:
    training, held_out, _ = (part.head(2000) for part in split_flights(flights))
    first, second = (train(training, held_out, PACE, NOW).reference for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_broken_input_is_scored_all_the_same(model: TrainedModel, later_flights: pd.DataFrame) -> None:
    broken = later_flights.head(5).assign(carrier="ua", seats=float("nan"), aircraft_age=float("nan"))
    assert score_flights(model.pipeline, broken)["score"].between(0, 1).all()


@ignore_mlflow
def test_registering_makes_a_champion_with_its_reference(
    model: TrainedModel,
    mlflow_environment: None,
    mlflow_server: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    assert find_registered(PACE) is None

    version = register(model, PACE)

    registered = mlflow.MlflowClient().get_model_version_by_alias(MODEL, ALIAS)
    assert registered.version == version
    info = mlflow.models.get_model_info(f"models:/{MODEL}@{ALIAS}")
    assert info.metadata == {"monitoring": {"target": "late", "task": "binary", "reference_split": "test"}}
    assert info.signature.inputs.input_names() == list(FEATURES)
    path = mlflow.artifacts.download_artifacts(f"models:/{MODEL}/{version}/extra_files/reference.parquet")
    with open(path, "rb") as file:  # noqa: PTH123
        pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(file.read())), model.reference)
    run = mlflow.get_run(registered.run_id)
    assert run.data.metrics["roc_auc"] == pytest.approx(model.metrics["roc_auc"])


@ignore_mlflow
def test_a_model_made_for_another_pace_is_not_taken(
    model: TrainedModel,
    mlflow_environment: None,
    mlflow_server: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    version = register(model, PACE)
    assert find_registered(PACE) == version
    assert find_registered(Pace(seconds_per_day=10)) is None

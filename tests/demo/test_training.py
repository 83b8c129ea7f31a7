from __future__ import annotations

import io
from datetime import timedelta

import mlflow
import pandas as pd
import pytest

from exporter.demo.flights import FEATURES, split_flights
from exporter.demo.scenario import MODEL, Pace
from exporter.demo.training import (
    FIRST_TREES,
    SPLINES,
    TREES,
    Candidate,
    TrainedModel,
    find_aliases,
    point,
    register,
    score_flights,
    train,
)
from tests.demo.conftest import NOW, PACE
from tests.support.mlflow_server import MlflowServer

# MLflow warns of its own type hints when a model is first logged.
ignore_mlflow = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")


def test_both_models_are_worth_watching(model: TrainedModel, challenger: TrainedModel) -> None:
    for each in (model, challenger):
        assert each.metrics["roc_auc"] > 0.9
        assert each.metrics["accuracy"] > 0.9


def test_the_delay_at_departure_is_the_most_important_feature(model: TrainedModel) -> None:
    found = model.importance
    assert found == model.importance
    assert found.keys() == set(FEATURES)
    assert max(found, key=found.__getitem__) == "dep_delay"
    assert min(found.values()) >= 0


def test_the_reference_has_what_the_exporter_can_use(model: TrainedModel) -> None:
    assert list(model.reference) == [*FEATURES, "late", "score", "prediction", "timestamp"]
    assert model.reference["score"].between(0, 1).all()
    assert set(model.reference["prediction"]) == {0, 1}


def test_three_months_of_reference_are_compressed_up_to_now(model: TrainedModel) -> None:
    times = model.reference["timestamp"]
    assert times.is_monotonic_increasing
    assert NOW - timedelta(seconds=2 * PACE.seconds_per_day) < times.max() <= NOW
    assert times.max() - times.min() < timedelta(seconds=90 * PACE.seconds_per_day)


@pytest.mark.parametrize("candidate", [SPLINES, TREES, FIRST_TREES], ids=lambda candidate: candidate.name)
def test_the_same_flights_make_the_same_model(flights: pd.DataFrame, candidate: Candidate) -> None:
    training, held_out, _ = (part.head(2000) for part in split_flights(flights))
    first, second = (train(candidate, training, held_out, PACE, NOW).reference for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_broken_input_is_scored_all_the_same(
    model: TrainedModel, challenger: TrainedModel, later_flights: pd.DataFrame
) -> None:
    broken = later_flights.head(5).assign(carrier="ua", seats=float("nan"), aircraft_age=float("nan"))
    for each in (model, challenger):
        assert score_flights(each.pipeline, broken)["score"].between(0, 1).all()


@ignore_mlflow
def test_registering_makes_a_champion_and_a_challenger_with_their_references(
    model: TrainedModel,
    challenger: TrainedModel,
    mlflow_environment: None,
    mlflow_server: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    assert find_aliases(PACE) == {}

    versions = [register(model, PACE), register(challenger, PACE, {"monitoring.action_id": "ab12"})]
    assert find_aliases(PACE) == {}
    for alias, version in zip(("champion", "challenger"), versions, strict=True):
        point(alias, version)

    assert find_aliases(PACE) == {"champion": versions[0], "challenger": versions[1]}
    assert find_aliases(Pace(seconds_per_day=10)) == {}
    tags = mlflow.MlflowClient().get_model_version(MODEL, versions[1]).tags
    assert tags["monitoring.action_id"] == "ab12"
    for alias, version, trained in zip(
        ("champion", "challenger"), versions, (model, challenger), strict=True
    ):
        registered = mlflow.MlflowClient().get_model_version_by_alias(MODEL, alias)
        assert registered.version == version
        assert registered.tags["monitoring.maturation"] == "20s"
        assert registered.tags["monitoring.team"] == "flights"
        info = mlflow.models.get_model_info(f"models:/{MODEL}@{alias}")
        assert info.metadata == {
            "monitoring": {"target": "late", "task": "binary", "reference_split": "test"}
        }
        assert info.signature.inputs.input_names() == list(FEATURES)
        path = mlflow.artifacts.download_artifacts(f"models:/{MODEL}/{version}/extra_files/reference.parquet")
        with open(path, "rb") as file:  # noqa: PTH123
            pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(file.read())), trained.reference)
        assert registered.run_id is not None
        run = mlflow.get_run(registered.run_id)
        assert run.data.metrics["roc_auc"] == pytest.approx(trained.metrics["roc_auc"])
        stored = mlflow.artifacts.load_dict(f"runs:/{registered.run_id}/monitoring/importance.json")
        assert stored == pytest.approx(trained.importance)

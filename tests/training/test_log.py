"""References that a training script logs, as the exporter then finds them, on a real MLflow server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import exporter
from exporter.config.models import ModelsConfig
from exporter.errors import ReferenceExistsError, ReferenceInvalidError, RegistryError
from exporter.profiling.isolated import profile
from exporter.reference.profile import Reference
from exporter.registry.registry import Registry
from exporter.settings import Settings
from tests.support.mlflow_server import MlflowServer
from tests.support.mlflow_world import World

ROWS = 4000
INPUTS = [{"name": "amount", "type": "double"}, {"name": "score", "type": "double"}]
MLMODEL = yaml.safe_dump(
    {
        "flavors": {},
        "metadata": {"monitoring": {"target": "of another file"}},
        "signature": {"inputs": json.dumps(INPUTS), "outputs": None},
    }
).encode()


def make_data() -> tuple[pd.DataFrame, dict[str, Any]]:
    """Features, one of which is called `score`, and the model's answers and labels over three weeks."""
    random = np.random.default_rng(0)
    amount = random.exponential(10, ROWS)
    features = pd.DataFrame({"amount": amount, "score": random.normal(600, 50, ROWS)})
    p1 = 1 / (1 + np.exp(10 - amount))
    return features, {
        "target": pd.Series((random.uniform(size=ROWS) < p1).astype(int), name="is_fraud"),
        "predictions": (p1 > 0.5).astype(int),
        "scores": p1,
        "timestamp": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(ROWS) * 450.0, unit="s"),
    }


def log(world: World, server: MlflowServer, model: Any, **said: Any) -> Any:
    features, own = make_data()
    return exporter.log_reference(model, features, **own, tracking_uri=server.uri, show=False, **said)


def found_by_the_exporter(registry: Registry, model: str) -> Reference:
    """The reference of the version with the alias, as discovery and loader find and profile it."""
    monitored = registry.poll().models[model]
    version = monitored.versions[monitored.aliases["champion"]]
    config, _ = ModelsConfig().resolve(model, {**version.model_tags, **version.tags})
    return registry.load_reference(version, config, lambda file: profile(file, Settings())).reference


def test_the_exporter_finds_it_and_makes_of_it_what_was_promised(
    registry: Registry, world: World, mlflow_server: MlflowServer, capsys: pytest.CaptureFixture[str]
) -> None:
    model = world.log_version({"MLmodel": MLMODEL}, tags={"monitoring.segments": "amount"})
    environment = dict(os.environ)
    features, own = make_data()
    review = exporter.log_reference(f"models:/{model}/1", features, **own, tracking_uri=mlflow_server.uri)
    assert dict(os.environ) == environment  # those who log have settings of their own for MLflow
    found = found_by_the_exporter(registry, model)
    assert (found.digest, found.remarks, found.source) == (review.digest, review.notes, "model")
    assert (found.target, found.split, found.task) == ("is_fraud", "test", "binary")
    assert found.named == {"prediction": "prediction", "score": "model_score", "timestamp": "timestamp"}
    assert [(column.name, column.role) for column in review.columns] == [
        ("amount", "feature"), ("score", "feature"), ("prediction", "prediction"), ("score", "score"),
        ("is_fraud", "label"),
    ]  # fmt: skip
    assert (review.final_windows, review.unjudged_windows) == (("24h", "7d"), ("1h",))
    (accuracy,) = [promised for promised in review.quality if promised.metric == "accuracy"]
    right = float(np.mean(own["target"] == own["predictions"]))
    assert accuracy.figure.value == pytest.approx(right)
    assert accuracy.figure.lower < right < accuracy.figure.upper
    assert (accuracy.tolerance, accuracy.source) == (0.03, "reference")
    said = capsys.readouterr().out
    assert said == f"{review}\n"
    assert f"Reference of {model} version 1: 4,000 rows, binary, target is_fraud" in said
    assert "Verdicts on windows of 24h, 7d are final" in said
    assert repr(review) == f"<reference of {model} version 1: 4,000 rows, 5 columns, {review.uri}>"


def test_a_run_may_get_it_before_there_is_a_model(
    registry: Registry, world: World, mlflow_server: MlflowServer
) -> None:
    run_id = world.add_run()
    run = world.client.get_run(run_id)
    review = exporter.log_reference(
        run, {"x": [1.5, 2.5], "label": [0, 1]}, tracking_uri=mlflow_server.uri, show=False
    )
    assert review.uri == f"runs:/{run_id}/monitoring/reference.parquet"
    model = world.log_version(run_id=run_id)
    found = found_by_the_exporter(registry, model)
    assert (found.digest, found.source) == (review.digest, "run_artifact")
    assert review.final_windows == ()
    assert review.no_quality == "the reference has no usable predictions"
    with pytest.raises(ReferenceExistsError, match=r"monitoring/reference\.parquet of the run: replace=True"):
        log(world, mlflow_server, f"runs:/{run_id}")


def test_a_version_without_a_logged_model_gets_that_of_its_run(
    registry: Registry, world: World, mlflow_server: MlflowServer
) -> None:
    run_id = world.add_run({"model/MLmodel": MLMODEL})
    model = world.add_model(versions=0)
    version = world.client.create_model_version(model, f"runs:/{run_id}/model", run_id, await_creation_for=0)
    world.client.set_registered_model_alias(model, "champion", version.version)
    review = log(world, mlflow_server, version)
    assert review.uri == f"runs:/{run_id}/monitoring/reference.parquet"
    assert found_by_the_exporter(registry, model).digest == review.digest


def test_one_that_is_there_is_replaced_only_on_demand(
    registry: Registry, world: World, mlflow_server: MlflowServer
) -> None:
    model = world.log_version({"extra_files/reference.parquet": b"no Parquet"})
    alias = f"models:/{model}@champion"
    with pytest.raises(ReferenceExistsError, match=r"extra_files/reference\.parquet of the model: "):
        log(world, mlflow_server, alias)
    review = log(world, mlflow_server, alias, replace=True)
    assert review.hints[0].startswith("an exporter that has the former one keeps it")
    found = found_by_the_exporter(registry, model)
    assert (found.digest, found.source) == (review.digest, "extra_files")


def test_one_that_is_named_elsewhere_is_in_the_way(world: World, mlflow_server: MlflowServer) -> None:
    model = world.log_version(tags={"monitoring.reference_uri": "s3://bucket/r.parquet"})
    with pytest.raises(ReferenceExistsError, match=r"looked for first: the tag monitoring\.reference_uri"):
        log(world, mlflow_server, f"models:/{model}/1", replace=True)


def test_unusable_data_is_not_uploaded(world: World, mlflow_server: MlflowServer) -> None:
    model = world.log_version()
    model_id = world.client.get_model_version(model, "1").source.removeprefix("models:/")
    for data in ({"label": [0, 1]}, {"x": []}):
        with pytest.raises(ReferenceInvalidError, match=r"no feature columns|no rows"):
            exporter.log_reference(f"models:/{model}/1", data, tracking_uri=mlflow_server.uri)
    assert [file.path for file in world.client.list_logged_model_artifacts(model_id)] == ["MLmodel"]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("models:/no-such-model/1", RegistryError, "has no such thing"),
        ("runs:/" + "0" * 32, RegistryError, "has no run 0000"),
        ("fraud/3", ReferenceInvalidError, "'fraud/3' is not models:/name/3, "),
        (7, TypeError, "a int is no model, version or run of MLflow"),
    ],
    ids=str,
)
def test_what_is_no_model_is_told(
    mlflow_environment: None, mlflow_server: MlflowServer, given: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        exporter.log_reference(given, {"x": [1]}, tracking_uri=mlflow_server.uri)


def test_the_package_imports_nothing_for_it_until_it_is_used() -> None:
    script = "import sys, exporter; assert not {'numpy', 'mlflow', 'pyarrow'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
    with pytest.raises(AttributeError, match="has no attribute 'no_such_thing'"):
        exporter.no_such_thing  # noqa: B018

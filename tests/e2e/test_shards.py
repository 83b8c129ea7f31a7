"""Two shards as processes, beside a real MLflow server, and a client that knows neither's address."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from exporter.client import Monitor
from exporter.shard import Shard
from tests.support.exporter_process import ExporterProcess
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.mlflow_server import MlflowServer
from tests.support.mlflow_world import World
from tests.support.rig import eventually

SHARDS = (Shard(1, 2), Shard(2, 2))


@pytest.fixture
def shards(mlflow_server: MlflowServer, free_port: int, tmp_path: Path) -> Iterator[list[ExporterProcess]]:
    """Both shards, at 127.0.0.1 and 127.0.0.2."""
    started = []
    for shard in SHARDS:
        host, directory = f"127.0.0.{shard.number}", tmp_path / str(shard.number)
        directory.mkdir()
        process = ExporterProcess(
            f"sqlite:///{directory}/exporter.db",
            free_port,
            directory,
            mlflow_server.uri,
            host=host,
            shard=shard,
            mlflow_poll_interval_seconds=1.0,
            mlflow_timeout_seconds=TIMEOUT_SECONDS,
        )
        process.url = f"http://{host}:{free_port}"
        started.append(process)
    for process in started:
        process.await_ready()
    yield started
    for process in started:
        process.terminate()


def labels_of(shard: ExporterProcess, name: str) -> set[str]:
    """All values of a label on `/metrics`."""
    page = httpx.get(f"{shard.url}/metrics", timeout=TIMEOUT_SECONDS, verify=False).text
    return {line.split(f'{name}="')[1].split('"')[0] for line in page.splitlines() if f'{name}="' in line}


def test_each_model_and_each_experiment_is_one_shards(
    world: World, shards: list[ExporterProcess], free_port: int
) -> None:
    models = [
        next(name for n in count() if shard.has(name := f"sharded-{uuid4().hex[:8]}-{n}")) for shard in SHARDS
    ]
    for model in models:  # and an experiment of the same name
        world.log_version(model=world.add_model(model, versions=0))
        world.add_finished_run(world.add_experiment(model))
    for name in ("model", "experiment"):
        for shard, model in zip(shards, models, strict=True):
            eventually(lambda name=name, shard=shard, model=model: model in labels_of(shard, name))
        for shard, process in zip(SHARDS, shards, strict=True):
            assert all(shard.has(each) for each in labels_of(process, name))

    url = f"http://127.0.0.{{shard}}:{free_port}"
    for shard, model in zip(shards, models, strict=True):
        with Monitor(url, model=model, alias="champion") as monitor:
            monitor.predictions({"age": 41}, 1, id="a1")
            assert monitor.flush(TIMEOUT_SECONDS)
            assert monitor.sent == {"prediction": 1}
        accepted = f'mlflow_model_predictions_total{{model="{model}",model_version="1"}}'
        assert shard.sample(accepted) == 1

    row = {"model": models[1], "version": "1", "predictions": [{"features": {"age": 1}, "prediction": 1}]}
    refused = httpx.post(f"{shards[0].url}/v1/predictions", json=row, timeout=TIMEOUT_SECONDS, verify=False)
    assert (refused.status_code, refused.json()["shard"], refused.json()["shards"]) == (421, 2, 2)

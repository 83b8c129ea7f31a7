"""Fills an MLflow server without training: runs, logged models, versions, aliases."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from exporter.registry.registry import Registry
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.mlflow_server import MlflowServer

if (
    TYPE_CHECKING
):  # at run time where it is used: the import takes seconds, which tests without MLflow need not wait
    from mlflow import MlflowClient

NOWHERE = "s3://no-such-bucket/model"  # a source that nobody looks at


@dataclass(frozen=True)
class World:
    client: MlflowClient
    experiment_id: str

    def add_experiment(self, name: str = "") -> str:
        """An experiment of its own; its id."""
        return str(self.client.create_experiment(name or f"experiment-{uuid4().hex[:8]}"))

    def add_finished_run(
        self,
        experiment_id: str,
        metrics: Mapping[str, float] | None = None,
        *,
        status: str = "FINISHED",
        name: str | None = None,
        started_ms: int | None = None,
    ) -> str:
        """A run that logged metrics and ended; its id."""
        run = self.client.create_run(experiment_id, start_time=started_ms, run_name=name)
        for metric, value in (metrics or {}).items():
            self.client.log_metric(run.info.run_id, metric, value)
        self.client.set_terminated(run.info.run_id, status)
        return str(run.info.run_id)

    def add_model(self, name: str = "", versions: int = 1, tags: Mapping[str, str] | None = None) -> str:
        """A registered model whose versions have no files; its name, a new one where none is given."""
        name = name or f"model-{uuid4().hex[:8]}"
        self.client.create_registered_model(name, tags=dict(tags or {}))
        for _ in range(versions):
            self.client.create_model_version(name, NOWHERE, await_creation_for=0)
        return name

    def add_run(self, files: Mapping[str, bytes] | None = None) -> str:
        """A run with artifacts; its id."""
        run_id = str(self.client.create_run(self.experiment_id).info.run_id)
        with tempfile.TemporaryDirectory() as directory:
            write_files(Path(directory), files or {})
            if files:
                self.client.log_artifacts(run_id, directory)
        return run_id

    def add_dataset(self, run_id: str, source: str, tags: Mapping[str, str], name: str = "flights") -> None:
        """A dataset as an input of a run; `source` is the JSON that MLflow's dataset sources write."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name=name, digest=uuid4().hex[:8], source_type="http", source=source)
        labels = [InputTag(key, value) for key, value in tags.items()]
        self.client.log_inputs(run_id, [DatasetInput(dataset, labels)])

    def log_version(
        self,
        files: Mapping[str, bytes] | None = None,
        *,
        run_id: str = "",
        tags: Mapping[str, str] | None = None,
        model: str = "",
    ) -> str:
        """A version, of a new model unless one is named, with these files and the alias `champion`.

        Returns:
            The name of the model.
        """
        logged = self.client.create_logged_model(self.experiment_id, source_run_id=run_id or None)
        with tempfile.TemporaryDirectory() as directory:
            write_files(Path(directory), {"MLmodel": b"flavors: {}\n", **(files or {})})
            self.client.log_model_artifacts(logged.model_id, directory)
        self.client.finalize_logged_model(logged.model_id, "READY")
        name = model or self.add_model(versions=0)
        created = self.client.create_model_version(
            name,
            f"models:/{logged.model_id}",
            run_id=run_id or None,
            tags=dict(tags or {}),
            model_id=logged.model_id,
            await_creation_for=0,
        )
        self.client.set_registered_model_alias(name, "champion", created.version)
        return name


@pytest.fixture(scope="session")
def world(mlflow_server: MlflowServer) -> World:
    from mlflow import MlflowClient

    client = MlflowClient(mlflow_server.uri)
    return World(client, client.create_experiment(f"experiment-{uuid4().hex[:8]}"))


@pytest.fixture
def registry(mlflow_environment: None, mlflow_server: MlflowServer) -> Registry:
    return Registry(mlflow_server.uri, None, timeout_seconds=TIMEOUT_SECONDS)


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)

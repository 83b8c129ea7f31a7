"""Real services that serve real models, and send their predictions to a real exporter by themselves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.exporter_process import ROOT, ExporterProcess, make_store
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.mlflow_server import MlflowServer
from tests.support.rig import eventually

RECORDS = [{"age": 61.0, "country": "DE", "new": False}, {"age": 20.5, "country": "FR", "new": True}]
FORMS: dict[str, Any] = {
    "dataframe_split": {"columns": [*RECORDS[0]], "data": [[*row.values()] for row in RECORDS]},
    "dataframe_records": RECORDS,
    "instances": RECORDS,
    "inputs": {name: [row[name] for row in RECORDS] for name in RECORDS[0]},
}


@dataclass
class Monitored:
    """An exporter that monitors version 1 of `served` and of `churn`."""

    exporter: ExporterProcess

    def count(self, series: str, model: str) -> float:
        return self.exporter.sample(f'{series}{{model="{model}",model_version="1"}}') or 0.0

    def figures(self, model: str, **labels: str) -> list[float]:
        """Values of the figures on data quality with these labels."""
        text = httpx.get(f"{self.exporter.url}/metrics", timeout=TIMEOUT_SECONDS).text
        lines = [
            line
            for line in text.splitlines()
            if line.startswith(f'mlflow_model_data_quality_ratio{{model="{model}"')
            and all(f'{name}="{value}"' in line for name, value in labels.items())
        ]
        return [float(line.rsplit(" ", 1)[1]) for line in lines]


@pytest.fixture(scope="module")
def monitored(
    tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[int], list[int]]
) -> Iterator[Monitored]:
    directory = tmp_path_factory.mktemp("serving")
    store = f"sqlite:///{directory}/exporter.db"
    for model in ("served", "churn"):
        make_store(store, model=model)
    exporter = ExporterProcess(store, free_ports(1)[0], directory, evaluation_interval_seconds=1.0)
    exporter.await_ready()
    yield Monitored(exporter)
    exporter.terminate()


@contextmanager
def running(
    command: list[str], url: str, directory: Path, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process, once it answers at a URL; it is terminated at the end."""
    with (directory / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def ready() -> bool:
        assert process.poll() is None, (directory / "service.log").read_text()
        try:
            return httpx.get(url, timeout=TIMEOUT_SECONDS).status_code == 200
        except httpx.TransportError:
            return False

    try:
        eventually(ready)
        yield process
    finally:
        process.terminate()
        process.wait(TIMEOUT_SECONDS)


def register(directory: Path) -> None:
    """Register a model that scores `age`, and refuses to where it is missing."""
    import mlflow
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    frame = pd.DataFrame({"age": [20.0, 30.0, 50.0, 60.0], "country": "DE", "new": False})
    chosen = ColumnTransformer([("age", "passthrough", ["age"])])
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            make_pipeline(chosen, LogisticRegression()).fit(frame, [0, 0, 1, 1]),
            name="model",
            registered_model_name="served",
            signature=infer_signature(frame),
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
        )
    mlflow.MlflowClient().set_registered_model_alias("served", "champion", "1")


@pytest.mark.filterwarnings("ignore")  # MLflow's own, on every log_model
def test_the_scoring_server_of_mlflow_is_monitored_by_one_other_word(
    monitored: Monitored,
    mlflow_server: MlflowServer,
    mlflow_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    free_port: int,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    register(tmp_path)
    url = f"http://127.0.0.1:{free_port}"
    command = ["-m", "exporter", "serve-model", "-m", "models:/served@champion", "-p", str(free_port)]

    with running([*command, "--exporter", monitored.exporter.url], f"{url}/ping", tmp_path) as process:
        assert (tmp_path / "service.log").read_text().startswith("serving version 1 of served")
        with httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS) as client:
            for form, content in FORMS.items():
                answer = client.post("/invocations", json={form: content}, headers={"X-Prediction-Id": form})
                assert (answer.status_code, answer.json()) == (200, {"predictions": [1, 0]})
                assert "x-prediction-id" not in answer.headers
            made = client.post("/invocations", json={"dataframe_records": RECORDS[:1]})
            refused = client.post("/invocations", json={"dataframe_records": [{"age": None}]})
            assert refused.status_code == 400
            junk = client.post("/invocations", content=b"{", headers={"Content-Type": "application/json"})
            assert junk.status_code == 400
        process.terminate()
        process.wait(TIMEOUT_SECONDS)  # what was queued has been sent by then

    assert monitored.count("mlflow_model_predictions_total", "served") == 10
    assert monitored.count("mlflow_model_latency_seconds_count", "served") == 10
    ids = [f"{form}/{row}" for form in FORMS for row in range(2)] + [made.headers["x-prediction-id"]]
    labels = {"model": "served", "labels": [{"id": each, "label": 1} for each in ids]}
    answer = httpx.post(f"{monitored.exporter.url}/v1/labels", json=labels, timeout=TIMEOUT_SECONDS)
    assert answer.json()["accepted"] == 9
    eventually(lambda: 0.1 in monitored.figures("served", column="prediction", check="missing"))
    assert monitored.figures("served", column="age", check="missing")
    assert not [*tmp_path.glob("mlflow-exporter-model-*")]  # the model's files


def test_a_service_of_ones_own_is_monitored_by_the_middleware(
    monitored: Monitored, free_port: int, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{free_port}"
    command = ["-m", "uvicorn", "tests.support.scored_service:app", "--port", str(free_port)]

    with running(command, f"{url}/openapi.json", tmp_path, EXPORTER_URL=monitored.exporter.url):
        path = f"{url}/customers/ann/churn"
        answers = [
            httpx.post(path, json={"age": age}, timeout=TIMEOUT_SECONDS) for age in (61, 20, -1, "old")
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 500, 422]
        assert answers[0].json() == {"churn": 1.0, "probability": 0.61}
        assert re.fullmatch("[0-9a-f]{32}", answers[0].headers["x-prediction-id"])
        eventually(lambda: monitored.count("mlflow_model_predictions_total", "churn") == 4)

    assert monitored.count("mlflow_model_latency_seconds_count", "churn") == 4
    eventually(lambda: 0.5 in monitored.figures("churn", column="prediction", check="missing"))
    assert 0.25 in monitored.figures("churn", column="age", check="type_mismatch")

"""Real services that serve real models, and send their predictions to a real exporter by themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support.exporter_process import ROOT, ExporterProcess, make_store
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.guides import OpenGuide
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


def register() -> None:
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
    open_guide: OpenGuide,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    register()
    guide = open_guide("serve-model", monitored.exporter.url, replaced={"models:/fraud": "models:/served"})

    guide.run()  # a row with the id a1

    assert guide.log.read_text().startswith("serving version 1 of served")
    url = f"http://127.0.0.1:{guide.ports[5001]}"
    with httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS) as client:
        for form, content in FORMS.items():
            answer = client.post("/invocations", json={form: content}, headers={"X-Prediction-Id": form})
            assert (answer.status_code, answer.json()) == (200, {"predictions": [1, 0]})
            assert "x-prediction-id" not in answer.headers
        made = client.post("/invocations", json={"dataframe_records": RECORDS[:1]})
        refused = client.post("/invocations", json={"dataframe_records": [{"age": None}]})
        junk = client.post("/invocations", content=b"{", headers={"Content-Type": "application/json"})
        assert (refused.status_code, junk.status_code) == (400, 400)
    eventually(lambda: monitored.count("mlflow_model_predictions_total", "served") == 11)
    assert monitored.count("mlflow_model_latency_seconds_count", "served") == 11
    ids = ["a1", *(f"{form}/{row}" for form in FORMS for row in range(2)), made.headers["x-prediction-id"]]
    labels = {"model": "served", "labels": [{"id": each, "label": 1} for each in ids]}
    posted = httpx.post(f"{monitored.exporter.url}/v1/labels", json=labels, timeout=TIMEOUT_SECONDS)
    assert posted.json()["accepted"] == 10
    eventually(lambda: 1 / 11 in monitored.figures("served", column="prediction", check="missing"))


def test_a_service_of_ones_own_is_monitored_by_the_middleware(
    monitored: Monitored, open_guide: OpenGuide
) -> None:
    replaced = {'model="fraud", version="3"': 'model="churn", version="1"'}
    guide = open_guide("Middleware", monitored.exporter.url, replaced=replaced)
    (guide.directory / "service.py").write_text((ROOT / "tests/support/scored_service.py").read_text())

    guide.run()  # one row

    path = f"http://127.0.0.1:{guide.ports[8000]}/score"
    answers = [httpx.post(path, json={"age": age}, timeout=TIMEOUT_SECONDS) for age in (20, -1, "old")]
    assert [answer.status_code for answer in answers] == [200, 500, 422]
    assert re.fullmatch("[0-9a-f]{32}", answers[0].headers["x-prediction-id"])
    eventually(lambda: monitored.count("mlflow_model_predictions_total", "churn") == 4)
    assert monitored.count("mlflow_model_latency_seconds_count", "churn") == 4
    eventually(lambda: 0.5 in monitored.figures("churn", column="prediction", check="missing"))
    assert 0.25 in monitored.figures("churn", column="age", check="type_mismatch")

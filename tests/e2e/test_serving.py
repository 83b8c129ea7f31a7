"""Real services that serve real models, and send their predictions to an exporter by themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import yaml

from tests.support.api_server import Server
from tests.support.exporter_process import ROOT
from tests.support.fakes import TIMEOUT_SECONDS, FakeRegistry
from tests.support.guides import OpenGuide
from tests.support.mlflow_server import MlflowServer
from tests.support.mlflow_world import World
from tests.support.rig import eventually, make_table

RECORDS = [{"age": 61.0, "country": "DE", "new": False}, {"age": 20.5, "country": "FR", "new": True}]
FORMS: dict[str, Any] = {
    "dataframe_split": {"columns": [*RECORDS[0]], "data": [[*row.values()] for row in RECORDS]},
    "dataframe_records": RECORDS,
    "instances": RECORDS,
    "inputs": {name: [row[name] for row in RECORDS] for name in RECORDS[0]},
}
TYPES = {"age": "double", "country": "string", "new": "boolean"}
# A model of MLflow by code alone: nothing is trained, and no library of models is imported.
MODEL = {
    "MLmodel": yaml.safe_dump(
        {
            "flavors": {"python_function": {"loader_module": "over_forty", "code": "code"}},
            "signature": {
                "inputs": json.dumps([{"name": name, "type": kind} for name, kind in TYPES.items()]),
                "outputs": None,
            },
        }
    ).encode(),
    "code/over_forty.py": b"""
class Model:
    def predict(self, frame):
        return (frame["age"] > 40).astype(int).to_numpy()


def _load_pyfunc(path):
    return Model()
""",
}


def monitor(serve: Callable[..., Server], model: str) -> Server:
    """An exporter that monitors version 1 of a model."""
    registry = FakeRegistry()
    registry.register(model, make_table(), alias="champion")
    server = serve(registry)
    server.await_ready(model)
    return server


def figures(server: Server, series: str, **labels: str) -> list[float]:
    """Values of a series with these labels."""
    return [
        float(line.rsplit(" ", 1)[1])
        for line in server.client.get("/metrics").text.splitlines()
        if line.startswith(f"{series}{{")
        and all(f'{name}="{value}"' in line for name, value in labels.items())
    ]


def missing_predictions(server: Server) -> list[float]:
    return figures(server, "mlflow_model_data_quality_ratio", column="prediction", check="missing")


def url(server: Server) -> str:
    return str(server.client.base_url).rstrip("/")


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_the_scoring_server_of_mlflow_is_monitored_by_one_other_word(
    serve: Callable[..., Server],
    mlflow_server: MlflowServer,
    world: World,
    mlflow_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    open_guide: OpenGuide,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    model = world.log_version(MODEL)
    server = monitor(serve, model)
    guide = open_guide("serve-model", url(server), replaced={"models:/fraud": f"models:/{model}"})

    guide.run()  # a row with the id a1

    assert guide.log.read_text().startswith(f"serving version 1 of {model}")
    scored = f"http://127.0.0.1:{guide.ports[5001]}"
    with httpx.Client(base_url=scored, timeout=TIMEOUT_SECONDS) as client:
        for form, content in FORMS.items():
            answer = client.post("/invocations", json={form: content}, headers={"X-Prediction-Id": form})
            assert (answer.status_code, answer.json()) == (200, {"predictions": [1, 0]})
            assert "x-prediction-id" not in answer.headers
        made = client.post("/invocations", json={"dataframe_records": RECORDS[:1]})
        refused = client.post("/invocations", json={"dataframe_records": [{"age": None}]})
        junk = client.post("/invocations", content=b"{", headers={"Content-Type": "application/json"})
        assert (refused.status_code, junk.status_code) == (400, 400)
    eventually(lambda: figures(server, "mlflow_model_predictions_total") == [11])
    assert figures(server, "mlflow_model_latency_seconds_count") == [11]
    ids = ["a1", *(f"{form}/{row}" for form in FORMS for row in range(2)), made.headers["x-prediction-id"]]
    labels = {"model": model, "labels": [{"id": each, "label": 1} for each in ids]}
    assert server.client.post("/v1/labels", json=labels).json()["accepted"] == 10
    eventually(lambda: 1 / 11 in missing_predictions(server))


def test_a_service_of_ones_own_is_monitored_by_the_middleware(
    serve: Callable[..., Server], open_guide: OpenGuide
) -> None:
    server = monitor(serve, "churn")
    replaced = {'model="fraud", version="3"': 'model="churn", version="1"'}
    guide = open_guide("Middleware", url(server), replaced=replaced)
    (guide.directory / "service.py").write_text((ROOT / "tests/support/scored_service.py").read_text())

    guide.run()  # one row

    path = f"http://127.0.0.1:{guide.ports[8000]}/score"
    answers = [httpx.post(path, json={"age": age}, timeout=TIMEOUT_SECONDS) for age in (20, -1, "old")]
    assert [answer.status_code for answer in answers] == [200, 500, 422]
    assert re.fullmatch("[0-9a-f]{32}", answers[0].headers["x-prediction-id"])
    eventually(lambda: figures(server, "mlflow_model_predictions_total") == [4])
    assert figures(server, "mlflow_model_latency_seconds_count") == [4]
    eventually(lambda: 0.5 in missing_predictions(server))
    mismatches = figures(server, "mlflow_model_data_quality_ratio", column="age", check="type_mismatch")
    assert 0.25 in mismatches

"""MLServer behind an agent like KServe's, a real MLflow, and the real exporter that takes the events."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.payloads.inference_v2 import read_request
from exporter.settings import Settings
from tests.support.exporter_process import ROOT, ExporterProcess
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.kserve_logger import Agent, new_id, v2_request, v2_tensor
from tests.support.mlflow_server import MlflowServer
from tests.support.programs import get_program
from tests.support.rig import eventually

pytestmark = pytest.mark.needs("mlserver")

FEATURES = ("amount", "hour", "age")
TOKEN = "5oN3xVb8+qLr/TzC"


def make_reference(rows: int = 1000) -> pa.Table:
    generator = np.random.default_rng(0)
    columns = {name: generator.normal(0, 1, rows) for name in FEATURES}
    score = 1 / (1 + np.exp(-columns["amount"] - columns["hour"]))
    return pa.table({**columns, "prediction": (score > 0.5).astype(np.int64), "score": score})


@dataclass(frozen=True)
class ModelServer:
    """A running MLServer, and requests by the codec of MLServer that made them."""

    url: str
    bodies: dict[str, str]


@pytest.fixture(scope="module")
def model_server(
    free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelServer]:
    directory = tmp_path_factory.mktemp("mlserver")
    http, grpc, metrics = free_ports(3)
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    (directory / "settings.json").write_text(json.dumps({**settings, "parallel_workers": 0}))
    model_settings = {"name": "fraud", "implementation": "mlserver_runtime.Logistic"}
    (directory / "model-settings.json").write_text(json.dumps(model_settings))
    shutil.copy(ROOT / "tests/support/mlserver_runtime.py", directory)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [get_program("mlserver"), "start", str(directory)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            cwd=directory,
        )
    url = f"http://127.0.0.1:{http}"

    def is_ready() -> bool:
        assert process.poll() is None, (directory / "log").read_text()
        try:
            return httpx.get(f"{url}/v2/models/fraud/ready", timeout=TIMEOUT_SECONDS).status_code == 200
        except httpx.TransportError:
            return False

    try:
        eventually(is_ready)
        yield ModelServer(url, json.loads((directory / "bodies.json").read_text()))
    finally:
        process.terminate()
        process.wait(TIMEOUT_SECONDS)


@pytest.mark.parametrize(
    ("codec", "expected"),
    [
        (
            "pandas",
            {
                "amount": [12.5, None],
                "count": [3, 4],
                "country": ["DE", "Österreich"],
                "new": [True, False],
                "tags": [["a", 1], {"b": 2}],
            },
        ),
        ("numpy", {"0": [1.5, 3.5], "1": [2.5, 4.5]}),
        (
            "inputs",
            {
                "country": ["DE", "FR"],
                "photo": ["text", "//4="],
                "seen": ["2026-11-30T10:00:00+00:00", "2026-11-30T11:00:00+00:00"],
                "amount": [0.5, 1.5],
            },
        ),
    ],
)
def test_what_mlservers_codecs_make_is_read(
    model_server: ModelServer, codec: str, expected: dict[str, object]
) -> None:
    assert read_request(json.loads(model_server.bodies[codec]), b"", Settings()).features == expected


class Proxy:
    """The agent of a pod: passes requests on to the model server, and logs both halves from a few workers."""

    def __init__(self, model_server: str, sink: str, service: str) -> None:
        self._agent = Agent(service)
        self._client = httpx.Client(timeout=TIMEOUT_SECONDS)
        self._model_server, self._sink = model_server, sink
        self._workers = ThreadPoolExecutor(5)
        self._random = random.Random(0)
        self.statuses: list[int] = []

    def infer(self, body: bytes, content_type: str = "application/json") -> int:
        """Return the status of the answer; its body is logged as it came, compressed or not."""
        event_id, came = new_id(), time.time()
        headers = {"content-type": content_type, "accept-encoding": "gzip"}
        url = f"{self._model_server}/v2/models/fraud/infer"
        with self._client.stream("POST", url, content=body, headers=headers) as answer:
            answered = b"".join(answer.iter_raw())
        halves = [(self._agent.headers("request", event_id, came, content_type), body)]
        if answer.status_code == 200:
            halves.append((self._agent.headers("response", event_id, time.time(), content_type), answered))
        self._random.shuffle(halves)
        for half in halves:
            self._workers.submit(self._log, *half)
        return answer.status_code

    def _log(self, headers: dict[str, str], body: bytes) -> None:
        self.statuses.append(self._client.post(self._sink, content=body, headers=headers).status_code)

    def close(self) -> None:
        self._workers.shutdown()
        self._client.close()


@pytest.fixture
def model(
    mlflow_server: MlflowServer, mlflow_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> str:
    """A registered model with a reference, whose version 1 says which inference service it is."""
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    pq.write_table(make_reference(), tmp_path / "reference.parquet")
    name = f"fraud-{uuid4().hex[:8]}"
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(tmp_path / "reference.parquet"), "monitoring")
    client = mlflow.MlflowClient()
    client.create_registered_model(name)
    client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
    client.set_registered_model_alias(name, "champion", "1")
    client.set_model_version_tag(name, "1", "monitoring.inference_service", f"shop/{name}-service")
    return name


@pytest.fixture
def exporter(
    model: str, mlflow_server: MlflowServer, free_port: int, tmp_path: Path
) -> Iterator[ExporterProcess]:
    (tmp_path / "tokens").write_text(f"kserve: {TOKEN} ingest\n")
    (tmp_path / "exporter.yml").write_text("capture: {wait: 2s}\n")
    process = ExporterProcess(
        f"sqlite:///{tmp_path}/exporter.db",
        free_port,
        tmp_path,
        mlflow_server.uri,
        mlflow_poll_interval_seconds=2.0,
        mlflow_timeout_seconds=TIMEOUT_SECONDS,
        evaluation_interval_seconds=2.0,
        config=str(tmp_path / "exporter.yml"),
        api_tokens_file=str(tmp_path / "tokens"),
        log_level="debug",
    )
    process.await_ready()
    try:
        yield process
    finally:
        process.terminate()


def events(exporter: ExporterProcess, kind: str, outcome: str) -> float | None:
    return exporter.sample(f'mlflow_exporter_cloudevents_total{{kind="{kind}",outcome="{outcome}"}}')


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_what_mlserver_serves_behind_kserves_logger_is_monitored(
    exporter: ExporterProcess, model: str, model_server: ModelServer
) -> None:
    labels = f'model="{model}",model_version="1"'
    eventually(lambda: exporter.sample(f"mlflow_model_reference_rows{{{labels}}}"))
    proxy = Proxy(model_server.url, f"{exporter.url}/v1/cloudevents?token={TOKEN}", f"{model}-service")
    rows = make_reference(60).select(FEATURES)
    try:
        for start in range(0, 60, 20):
            values = [value for row in rows.slice(start, 20).to_pylist() for value in row.values()]
            tensor = v2_tensor("input-0", "FP64", [20, 3], values)
            assert proxy.infer(v2_request(tensor)) == 200
        assert proxy.infer(v2_request(v2_tensor("input-0", "FP64", [2, 3], [0.5] * 6))) == 200
        assert proxy.infer(v2_request(v2_tensor("input-0", "FP64", [1, 4], [0.5] * 4))) >= 400
        named = (v2_tensor(name, "FP64", [1, 1], [0.5]) for name in FEATURES)
        assert proxy.infer(v2_request(*named, parameters={"content_type": "pd"})) == 200
        nameless = (v2_tensor(name, "FP64", [1], [0.5]) for name in FEATURES)
        assert proxy.infer(v2_request(*nameless)) >= 400  # MLServer wants one tensor
    finally:
        proxy.close()
    assert set(proxy.statuses) == {200}
    eventually(lambda: exporter.window_rows(model=model) == 64)
    assert (events(exporter, "request", "taken"), events(exporter, "response", "taken")) == (5, 5)
    assert events(exporter, "request", "unanswered") == 1
    assert events(exporter, "request", "unreadable") == 1  # it has four columns
    assert exporter.sample(f"mlflow_model_latency_seconds_count{{{labels}}}") == 63
    assert exporter.sample(f"mlflow_model_predictions_total{{{labels}}}") == 64
    assert TOKEN not in exporter.log

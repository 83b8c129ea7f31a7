"""MLServer with two models: a monitor sends predictions of one, an agent like KServe's those of the other."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest

from exporter.payloads.inference_v2 import read_request
from exporter.settings import Settings
from tests.support.api_server import Server
from tests.support.exporter_process import ROOT
from tests.support.fakes import TIMEOUT_SECONDS, FakeRegistry
from tests.support.guides import OpenGuide
from tests.support.kserve_logger import Agent, new_id, v2_request, v2_tensor
from tests.support.rig import eventually, make_table

FEATURES = ("amount", "hour", "age")
# What MLServer's codecs are given in `tests/support/mlserver_runtime.py`, as the exporter has to read it.
ENCODED: dict[str, dict[str, object]] = {
    "pandas": {
        "amount": [12.5, None],
        "count": [3, 4],
        "country": ["DE", "Österreich"],
        "new": [True, False],
        "tags": [["a", 1], {"b": 2}],
    },
    "numpy": {"0": [1.5, 3.5], "1": [2.5, 4.5]},
    "inputs": {
        "country": ["DE", "FR"],
        "photo": ["text", "//4="],
        "seen": ["2026-11-30T10:00:00+00:00", "2026-11-30T11:00:00+00:00"],
        "amount": [0.5, 1.5],
    },
}


def make_reference(rows: int = 1000) -> pa.Table:
    generator = np.random.default_rng(0)
    columns = {name: generator.normal(0, 1, rows) for name in FEATURES}
    score = 1 / (1 + np.exp(-columns["amount"] - columns["hour"]))
    return pa.table({**columns, "prediction": (score > 0.5).astype(np.int64), "score": score})


@pytest.fixture
def server(serve: Callable[..., Server], tmp_path: Path) -> Server:
    """An exporter that monitors `fraud` and `logistic`, which says which inference service it is."""
    registry, table = FakeRegistry(), make_table().select(["age", "country", "prediction", "score"])
    for _ in range(3):
        registry.register("fraud", table)
    registry.set_alias("fraud", "champion", "3")
    registry.register("logistic", make_reference(), alias="champion")
    registry.tag("logistic", "1", inference_service="shop/logistic-service")
    config = tmp_path / "exporter.yml"
    config.write_text("capture: {wait: 2s}\nreports: {on_verdicts: false}\n")
    server = serve(registry, config=str(config))
    server.await_ready("fraud", "3")
    server.await_ready("logistic")
    return server


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
        url = f"{self._model_server}/v2/models/logistic/infer"
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


@pytest.mark.needs("mlserver")
def test_models_of_mlserver_are_monitored_by_a_client_and_by_kserves_logger(
    server: Server, open_guide: OpenGuide
) -> None:
    """One test, because MLServer takes long to start."""
    import joblib
    from sklearn.dummy import DummyClassifier

    exporter = str(server.client.base_url).rstrip("/")
    guide = open_guide("MLServer", exporter, place="serving")
    for name, port in {"HTTP": 8080, "GRPC": 8081, "METRICS": 8082}.items():
        guide.environment[f"MLSERVER_{name}_PORT"] = str(guide.ports[port])
    model = DummyClassifier(strategy="most_frequent").fit([[0], [0], [0]], [0, 0, 1])
    joblib.dump(model, guide.directory / "model.joblib")
    logistic = guide.directory / "logistic"
    logistic.mkdir()
    shutil.copy(ROOT / "tests/support/mlserver_runtime.py", logistic)
    settings = {"name": "logistic", "implementation": "mlserver_runtime.Logistic"}
    (logistic / "model-settings.json").write_text(json.dumps(settings))

    guide.run()

    eventually(lambda: server.rows("accepted"))
    assert server.rows("accepted") == 1
    assert not server.service.fleet.versions["fraud", "3"].unknown_columns
    model_server = f"http://127.0.0.1:{guide.ports[8080]}"
    with httpx.Client(timeout=TIMEOUT_SECONDS) as client:
        ready = f"{model_server}/v2/models/logistic/ready"
        eventually(lambda: client.get(ready).status_code == 200)
    check_codecs(guide.directory)
    check_logger(server, Proxy(model_server, f"{exporter}/v1/cloudevents", "logistic-service"))


def check_codecs(directory: Path) -> None:
    """Requests that MLServer's codecs made are read."""
    bodies = json.loads((directory / "bodies.json").read_text())
    assert bodies.keys() == ENCODED.keys()
    for codec, expected in ENCODED.items():
        assert read_request(json.loads(bodies[codec]), b"", Settings()).features == expected


def check_logger(server: Server, proxy: Proxy) -> None:
    """Exchanges that KServe's logger sends are monitored."""
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
    labels = '{model="logistic",model_version="1"'
    eventually(lambda: sample(server, f'mlflow_model_window_rows{labels},window="24h"}}') == 64)
    events = server.counts("mlflow_exporter_cloudevents")
    assert (events["request", "taken"], events["response", "taken"]) == (5, 5)
    assert events["request", "unanswered"] == 1
    assert events["request", "unreadable"] == 1  # it has four columns
    assert sample(server, f"mlflow_model_latency_seconds_count{labels}}}") == 63
    assert sample(server, f"mlflow_model_predictions_total{labels}}}") == 64


def sample(server: Server, name: str) -> float | None:
    """Return a sample of `/metrics` by its name and labels as written."""
    for line in server.client.get("/metrics").text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.rsplit(" ", 1)[1])
    return None

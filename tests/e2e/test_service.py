"""The real command with a real MLflow server, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.exporter_process import ExporterProcess
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.mlflow_server import MlflowServer
from tests.support.rig import eventually, make_document, make_rows, make_table


@pytest.fixture
def exporter(mlflow_server: MlflowServer, free_port: int, tmp_path: Path) -> Iterator[ExporterProcess]:
    process = ExporterProcess(
        f"sqlite:///{tmp_path}/exporter.db",
        free_port,
        tmp_path,
        mlflow_server.uri,
        mlflow_poll_interval_seconds=2.0,
        mlflow_timeout_seconds=TIMEOUT_SECONDS,
        evaluation_interval_seconds=2.0,
    )
    process.await_ready()
    yield process
    process.terminate()


def register(reference: pa.Table, directory: Path) -> str:
    """Register a model as users do, and return its name."""
    import mlflow
    from sklearn.linear_model import LogisticRegression

    path = directory / "reference.parquet"
    pq.write_table(reference, path)
    name = f"fraud-{uuid4().hex[:8]}"
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            LogisticRegression().fit([[0.0], [1.0]], [0, 1]),
            name="model",
            registered_model_name=name,
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
            extra_files=[str(path)],
        )
    mlflow.MlflowClient().set_registered_model_alias(name, "champion", "1")
    return name


def scores(exporter: ExporterProcess, model: str) -> dict[str, float]:
    """Return drift scores by column in the shortest window."""
    found = {}
    page = httpx.get(
        f"{exporter.url}/metrics", params={"name[]": "mlflow_model_drift_score"}, timeout=TIMEOUT_SECONDS
    )
    for line in page.text.splitlines():
        if f'model="{model}"' in line and 'window="1h"' in line:
            found[line.split('column="')[1].split('"')[0]] = float(line.rsplit(" ", 1)[1])
    return found


@pytest.mark.filterwarnings("ignore")  # MLflow's own, on every log_model
def test_a_registered_version_shows_scores_without_anything_else_being_done(
    exporter: ExporterProcess,
    mlflow_server: MlflowServer,
    mlflow_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    eventually(lambda: exporter.sample("mlflow_up") == 1)
    model = register(make_table(2000), tmp_path)

    rows = make_rows(1000, seed=5)
    for row in rows:
        row["features"]["age"] *= 25.4
    document = make_document(rows, model, alias="champion")
    eventually(lambda: exporter_takes(exporter, document))
    columns = {"age", "country", "new", "prediction", "score"}
    eventually(lambda: scores(exporter, model).keys() == columns)
    found = scores(exporter, model)
    assert found["age"] > 6.3
    assert np.max([found[name] for name in columns - {"age"}]) < 0.1
    assert exporter.window_rows("1h", model) == 1000

    detail = httpx.get(f"{exporter.url}/v1/models/{model}/versions/1", timeout=TIMEOUT_SECONDS).json()
    assert (detail["status"], detail["reference"]["source"]) == ("ready", "extra_files")
    assert detail["drifted"] == ["age"]
    assert "Traceback" not in exporter.log


def exporter_takes(exporter: ExporterProcess, document: object) -> bool:
    answer = httpx.post(f"{exporter.url}/v1/predictions", json=document, timeout=TIMEOUT_SECONDS)
    assert answer.status_code in (202, 404, 503), answer.text  # 503: just discovered, it will be taken soon
    return answer.status_code == 202

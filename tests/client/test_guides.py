"""The blocks of `exporter/client/README.md` are run: services of each framework, against a real exporter."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import pyarrow.parquet as pq
import pytest

from tests.support.api_server import Server
from tests.support.docs import ROOT, page
from tests.support.fakes import TIMEOUT_SECONDS, FakeRegistry
from tests.support.guides import CLIENT_PAGE, RUN, Guide, OpenGuide, read_blocks, sections
from tests.support.rig import eventually, make_table

FEATURES = ["age", "country"]
# Each process of a framework would import MLflow and scikit-learn, as the service of FastAPI does.
SMALL_MODEL = {
    "import mlflow\n": "import nobody\n",
    'mlflow.sklearn.load_model("models:/fraud/3")': "nobody.Model()",
}
NOBODY = """
class Model:
    def predict(self, rows):
        assert rows.columns.tolist() == ["age", "country"]
        return (rows["age"] > 100).astype(int).to_numpy()
"""

pytestmark = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")  # MLflow's own


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of the model that the guides call `models:/fraud/3`; tests without it import no MLflow."""
    import joblib
    import mlflow
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = make_table().to_pandas()
    encode = make_column_transformer((OneHotEncoder(), ["country"]), remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression()).fit(frame[FEATURES], frame["prediction"])
    directory = tmp_path_factory.mktemp("trained")
    mlflow.sklearn.save_model(
        model,
        directory / "model",
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )
    joblib.dump(model, directory / "model.joblib")
    return directory


@pytest.fixture
def fraud(serve: Callable[..., Server]) -> Server:
    """An exporter that monitors version 3 of `fraud`."""
    registry, table = FakeRegistry(), make_table().select([*FEATURES, "prediction", "score"])
    for _ in range(3):
        version = registry.register("fraud", table)
    registry.set_alias("fraud", "champion", version)
    server = serve(registry)
    server.await_ready(version="3")
    return server


def url(server: Server) -> str:
    return str(server.client.base_url).rstrip("/")


def check_one_row(server: Server) -> None:
    """Wait for the row that a guide sends, whose features are all known."""
    eventually(lambda: server.rows("accepted"))
    assert server.rows("accepted") == 1
    assert not server.service.fleet.versions["fraud", "3"].unknown_columns


def test_every_section_with_blocks_is_run() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    run = set(re.findall(r'open_guide\(\s*"([^"]+)"', tests))
    assert run == {
        heading
        for heading, text in sections(page(CLIENT_PAGE)).items()
        if any(block.language in RUN for block in read_blocks(text))
    }


def test_the_package_is_installed_with_httpx(open_guide: OpenGuide, fraud: Server) -> None:
    open_guide("Which way", url(fraud)).run()


def test_a_monitor(open_guide: OpenGuide, fraud: Server) -> None:
    with open_guide("Monitor", url(fraud)).run()["monitor"] as monitor:
        assert monitor.flush(TIMEOUT_SECONDS)
        assert (monitor.sent, monitor.dropped) == ({"prediction": 4, "label": 1}, {})
    assert fraud.rows("accepted") == 4


def test_a_service_of_fastapi(open_guide: OpenGuide, fraud: Server, trained: Path) -> None:
    guide = open_guide("FastAPI", url(fraud), replaced={"models:/fraud/3": str(trained / "model")})
    guide.run()
    check_one_row(fraud)

    payment = {"id": "a2", "age": 41, "country": "DE"}
    httpx.post(f"http://127.0.0.1:{guide.ports[8000]}/score", json=payment, timeout=TIMEOUT_SECONDS)
    (service,) = guide.started
    service.terminate()
    service.wait(TIMEOUT_SECONDS)
    assert fraud.rows("accepted") == 2  # sent before the end


@pytest.mark.needs("bentoml")
def test_a_service_of_bentoml(open_guide: OpenGuide, fraud: Server, tmp_path: Path) -> None:
    guide = open_guide(
        "BentoML",
        url(fraud),
        place="serving",
        environment={"BENTOML_HOME": str(tmp_path / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"},
        replaced=SMALL_MODEL,
    )
    (guide.directory / "nobody.py").write_text(NOBODY)
    guide.run()
    check_one_row(fraud)


@pytest.mark.needs("serve")
def test_a_deployment_of_ray_serve(open_guide: OpenGuide, fraud: Server) -> None:
    guide = open_guide(
        "Ray Serve",
        url(fraud),
        place="serving",
        # In one process: a cluster has to be up within 30 seconds, which a busy machine cannot promise.
        environment={"RAY_SERVE_FORCE_LOCAL_TESTING_MODE": "1", "RAY_USAGE_STATS_ENABLED": "0"},
        replaced=SMALL_MODEL,
    )
    (guide.directory / "nobody.py").write_text(NOBODY)
    guide.run()
    check_one_row(fraud)


def test_kserves_logger(open_guide: OpenGuide, fraud: Server) -> None:
    open_guide("KServe", url(fraud)).run()
    check_one_row(fraud)


def test_files_of_a_batch_job(
    open_guide: OpenGuide, fraud: Server, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = at_the_exporter(open_guide("Files", url(fraud)), fraud)
    monkeypatch.chdir(guide.directory)
    inputs, ids = make_table(200, 7).select(FEATURES).to_pandas(), [f"p{row}" for row in range(200)]
    (guide.directory / "frauds.csv").write_text("payment,is_fraud\n" + "".join(f"{name},1\n" for name in ids))
    import joblib

    model = joblib.load(trained / "model.joblib")
    guide.run(inputs=inputs, ids=ids, times=[time.time()] * 200, model=model)
    assert fraud.rows("accepted") == 200
    assert fraud.counts("mlflow_exporter_ingest_rows")["label", "accepted"] == 200
    assert not fraud.service.fleet.versions["fraud", "3"].unknown_columns


def test_a_task_of_airflow_sends_the_files_of_its_day(
    open_guide: OpenGuide, fraud: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = open_guide("Airflow", url(fraud))
    [block] = guide.blocks
    operators = list[dict[str, object]]()
    operator = SimpleNamespace(BashOperator=lambda **options: operators.append(options))
    for name, module in {
        "pendulum": SimpleNamespace(datetime=datetime),
        "airflow.providers.standard.operators.bash": operator,
        "airflow.sdk": SimpleNamespace(DAG=lambda *_, **__: nullcontext()),
    }.items():
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type] # Airflow is not installed
    exec(block.text, {})
    [task] = operators
    path = guide.directory / "day=2026-11-30"
    path.mkdir()
    pq.write_table(make_table(100, 8), path / "part-0.parquet")
    command = str(task["bash_command"]).replace("s3://scores", str(guide.directory))
    command = command.replace("{{ ds }}", "2026-11-30").replace("--model", f"--exporter {url(fraud)} --model")
    subprocess.run(["bash", "-c", command], env=guide.environment, check=True)
    assert fraud.rows("accepted") == 100


def test_inference_tables_of_databricks(
    open_guide: OpenGuide, fraud: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, rows = 1000 * int(time.time()), []
    for number, fraction in enumerate([0.5] * 400 + [1.0] * 400):
        split = {"columns": FEATURES, "data": [[41.0, "DE"], [27.5, "FR"]]}
        rows.append(
            SimpleNamespace(
                client_request_id=None if number % 2 else f"client-{number}",
                databricks_request_id=f"databricks-{number}",
                timestamp_ms=now - number,
                sampling_fraction=fraction,
                request=json.dumps({"dataframe_split": split}),
                response=json.dumps({"predictions": [0, 1]}),
            )
        )
    table = SimpleNamespace(
        where=lambda _: table,
        agg=lambda _: SimpleNamespace(first=lambda: (0.5,)),
        toLocalIterator=lambda: iter(rows),
    )
    guide = at_the_exporter(open_guide("Databricks", url(fraud)), fraud)
    monkeypatch.chdir(guide.directory)
    guide.run(spark=SimpleNamespace(table=lambda _: table))
    # All of the requests with the smaller fraction, and about half of the others, two rows each.
    assert 2 * (400 + 150) < fraud.rows("accepted") < 2 * (400 + 250)
    assert not fraud.service.fleet.versions["fraud", "3"].unknown_columns


def at_the_exporter(guide: Guide, server: Server) -> Guide:
    """Let `mlflow-exporter push` find the exporter, which the page has at the usual address."""
    guide.replaced = {"--model fraud": f"--model fraud --exporter {url(server)}"}
    return guide

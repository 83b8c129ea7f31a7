"""The blocks of `exporter/client/README.md` are run: services of each framework, against a real exporter."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import joblib
import mlflow
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.support.api_server import Server
from tests.support.docs import ROOT, page
from tests.support.fakes import TIMEOUT_SECONDS, FakeRegistry
from tests.support.guides import CLIENT_PAGE, RUN, OpenGuide, read_blocks, sections
from tests.support.rig import eventually, make_table

FEATURES = ["age", "country"]

pytestmark = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")  # MLflow's own


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of the model that the guides call `models:/fraud/3`."""
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


@pytest.mark.needs("bentoml")
def test_a_service_of_bentoml(open_guide: OpenGuide, fraud: Server, trained: Path) -> None:
    guide = open_guide(
        "BentoML",
        url(fraud),
        place="serving",
        environment={"BENTOML_HOME": str(trained / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"},
        replaced={"models:/fraud/3": str(trained / "model")},
    )
    guide.run()
    check_one_row(fraud)


@pytest.mark.needs("serve")
def test_a_deployment_of_ray_serve(open_guide: OpenGuide, fraud: Server, trained: Path) -> None:
    guide = open_guide(
        "Ray Serve",
        url(fraud),
        place="serving",
        # In one process: a cluster has to be up within 30 seconds, which a busy machine cannot promise.
        environment={"RAY_SERVE_FORCE_LOCAL_TESTING_MODE": "1", "RAY_USAGE_STATS_ENABLED": "0"},
        replaced={"models:/fraud/3": str(trained / "model")},
    )
    guide.run()
    check_one_row(fraud)


@pytest.mark.needs("mlserver")
def test_a_runtime_of_mlserver(open_guide: OpenGuide, fraud: Server, trained: Path) -> None:
    guide = open_guide("MLServer", url(fraud), place="serving")
    for name, port in {"HTTP": 8080, "GRPC": 8081, "METRICS": 8082}.items():
        guide.environment[f"MLSERVER_{name}_PORT"] = str(guide.ports[port])
    joblib.dump(joblib.load(trained / "model.joblib"), guide.directory / "model.joblib")
    guide.run()
    check_one_row(fraud)


def test_kserves_logger(open_guide: OpenGuide, fraud: Server) -> None:
    open_guide("KServe", url(fraud)).run()
    check_one_row(fraud)

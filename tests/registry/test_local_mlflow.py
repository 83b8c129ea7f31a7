"""An MLflow without a server: a database file or a folder."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import exporter.registry.mlflow_uri
from exporter.errors import ConfigError, ReferenceInvalidError
from exporter.registry.registry import Registry
from exporter.service import Service
from exporter.settings import Settings
from exporter.training.log import log_reference
from tests.registry.test_sources import load, mark, reference
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.mlflow_world import World
from tests.support.rig import eventually

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, of folders


@pytest.fixture(params=["database", "folder"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mlflow.db" if request.param == "database" else str(tmp_path / "mlruns")


@pytest.fixture
def world(uri: str, tmp_path: Path, mlflow_environment: None, monkeypatch: pytest.MonkeyPatch) -> World:
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = MlflowClient(uri)
    return World(client, client.create_experiment("experiment"))


def test_its_models_references_and_runs_are_read(uri: str, world: World) -> None:
    run_id = world.add_finished_run(world.add_experiment("other"), {"auc": 0.9})
    model = world.log_version({"extra_files/reference.parquet": reference("model")}, run_id=run_id)
    registry = Registry(uri, None, TIMEOUT_SECONDS)
    assert (mark(load(registry, model)), load(registry, model).source) == ("model", "extra_files")
    found = registry.poll().models[model].versions["1"]
    assert registry.load_run_metrics(found) == {"auc": 0.9}
    names = registry.list_experiments()
    assert sorted(names.values()) == ["Default", "experiment", "other"]
    assert [run.run_id for page in registry.list_runs(list(names)) for run in page] == [run_id]
    since = [run.run_id for page in registry.list_runs_since(list(names), 0) for run in page]
    assert set(since) == {run_id}
    assert [run.run_id for run in registry.find_runs(list(names), [run_id])] == [run_id]


def test_a_tag_may_name_what_mlflow_has_and_nothing_else_of_this_machine(
    uri: str, world: World, tmp_path: Path
) -> None:
    (tmp_path / "r.csv").write_text("mark,x\noutside,1.5\n")
    run_id = world.add_run({"shared/r.parquet": reference("shared")})
    tagged = [
        world.log_version(tags={"monitoring.reference_uri": named})
        for named in (
            f"runs:/{run_id}/shared/r.parquet",
            str(tmp_path / "r.csv"),
            f"runs:/{run_id}/../../../r.csv",
            f"runs:/{run_id}/..%2f..%2f..%2fr.csv",
        )
    ]
    registry = Registry(uri, None, TIMEOUT_SECONDS)
    assert mark(load(registry, tagged[0])) == "shared"
    for model in tagged[1:]:
        with pytest.raises(ReferenceInvalidError, match=r"is not read|cannot be followed"):
            load(registry, model)


def test_the_service_monitors_it(uri: str, world: World, tmp_path: Path) -> None:
    model = world.log_version()
    data = {"x": [1.5, 2.5], "note": ["a", "b"]}
    review = log_reference(f"models:/{model}/1", data, target=[0, 1], tracking_uri=uri, show=False)
    service = Service(
        Settings(store=f"sqlite:///{tmp_path}/exporter.db"), Registry(uri, None, TIMEOUT_SECONDS)
    )
    service.start()
    try:
        eventually(lambda: (found := service.fleet.versions.get((model, "1"))) and found.counts)
        counts = service.fleet.versions[model, "1"].counts
        assert counts is not None
        found = counts.reference
        assert (found.digest, found.remarks, found.target) == (review.digest, review.notes, "label")
    finally:
        service.stop()


def test_without_its_package_the_error_says_what_to_install(
    uri: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(package: str) -> str:
        if package == "mlflow":
            raise PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(exporter.registry.mlflow_uri, "version", find)
    with pytest.raises(
        ConfigError, match=rf"^MLFLOW_TRACKING_URI is {uri}, .*: pip install mlflow==\d+\.\d+"
    ):
        Registry(uri, None, TIMEOUT_SECONDS)

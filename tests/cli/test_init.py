"""`init` on a real MLflow server: what it says, and the files that it writes."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from pydantic import BaseModel

from exporter.cli.init import render_config
from exporter.config.file import ConfigFile, load_config_file
from exporter.config.models import ModelConfig, ModelsConfig
from exporter.registry.registry import Registry
from exporter.registry.survey import Survey, SurveyedVersion, survey_registry
from tests.cli.commands import run_command
from tests.support.mlflow_server import MlflowServer
from tests.support.mlflow_world import World
from tests.support.wire import to_parquet

HOLIDAYS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:tests
BEGIN:VEVENT
UID:1
DTSTAMP:20260101T000000Z
DTSTART;VALUE=DATE:20261225
SUMMARY:Christmas
END:VEVENT
END:VCALENDAR
"""


@pytest.fixture
def directory(mlflow_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty directory in which commands run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_lists_what_is_monitored_and_what_lacks_what(
    directory: Path,
    world: World,
    mlflow_server: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    monkeypatch.setattr("exporter.cli.init.MAX_SHOWN", 1000)  # other tests have added models
    good = world.log_version({"reference.parquet": to_parquet(pa.table({"x": [1.0]}))})
    bare = world.log_version()
    wrong = world.log_version(tags={"monitoring.reference_uri": f"models:/{good}/1/nowhere.parquet"})
    alone = world.add_model("without 'alias", versions=2)
    empty = world.add_model(versions=0)
    off = world.add_model(tags={"monitoring.enabled": "false"})
    status, said = run_command(capsys, "init", "--scrape", "scrape.yml")
    assert status == 0
    for line in (
        f"  {good} version 1 (champion): model",
        f"  {bare} version 1 (champion): exporter.log_reference('models:/{bare}/1', held_out)",
        f"  {wrong} version 1 (champion): tag monitoring.reference_uri, ",
        f"""  {alone}: mlflow.MlflowClient().set_registered_model_alias("{alone}", 'champion', '2')""",
        f"  {empty}: it has no versions",
    ):
        assert f"\n{line}" in f"\n{said}"
    assert re.search(rf"^Opted out by monitoring\.enabled: .*{off}", said, re.M)
    config = load_config_file(directory / "exporter.yml")
    assert {good, bare, wrong} <= config.models.keys()
    assert not {alone, empty, off} & config.models.keys()
    (job,) = yaml.safe_load((directory / "scrape.yml").read_text())["scrape_configs"]
    assert job == {"job_name": "mlflow-exporter", "static_configs": [{"targets": ["localhost:19464"]}]}
    line = next(line for line in said.splitlines() if line.startswith(f"  {alone}: "))
    exec("import mlflow; " + line.partition(": ")[2])
    assert f"\n  {alone} version 2 (champion): " in run_command(capsys, "init", "--force")[1]


def test_a_file_that_is_there_is_overwritten_only_on_demand(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("exporter.yml", "scrape.yml"):
        (directory / name).write_text("mine")
    status, said = run_command(capsys, "init", "--scrape", "scrape.yml")
    assert (status, said) == (
        2,
        "mlflow-exporter: exporter.yml, scrape.yml is there already; --force overwrites it\n",
    )
    assert (directory / "exporter.yml").read_text() == "mine"


def test_without_mlflow_nothing_is_written(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    status, said = run_command(capsys, "init")
    assert (status, said) == (
        1,
        "mlflow-exporter: MLflow at http://127.0.0.1:9 cannot be reached: Connection refused\n",
    )
    assert not list(directory.iterdir())


def test_of_many_versions_some_are_looked_at(world: World, registry: Registry) -> None:
    names = sorted([world.log_version(), world.log_version()])
    survey = survey_registry(registry._mlflow, registry.poll(), ModelsConfig(), limit=1)
    assert [each.reference for each in survey.versions][1:] == [None] * (len(survey.versions) - 1)
    assert set(names) <= {each.model for each in survey.versions}


# -- the configuration file ---------------------------------------------------------------------------------


def make_survey(*models: str) -> Survey:
    versions = (SurveyedVersion(model, "3", ("champion",), "model") for model in models)
    return Survey(tuple(versions), {}, ())


def test_names_of_models_stay_as_they_are(tmp_path: Path) -> None:
    names = (
        'a "quoted" name',
        "007",
        "no: yes # x",
        "modèle",
        "漢字 🚀",
        "\x07\x85",
        "line\nbreak",
        "x" * 300,
    )
    (tmp_path / "exporter.yml").write_text(render_config(make_survey(*names)))
    assert load_config_file(tmp_path / "exporter.yml").models == dict.fromkeys(names[:-1], ModelConfig())


def test_the_file_changes_nothing_until_a_line_is_switched_on(tmp_path: Path) -> None:
    (tmp_path / "exporter.yml").write_text(render_config(make_survey()))
    assert load_config_file(tmp_path / "exporter.yml") == ConfigFile()


def test_every_key_is_there_with_its_default(tmp_path: Path) -> None:
    """All lines switched on are valid, have all keys, and change no default."""
    text = re.sub(r"^( *)#(?=\S)", r"\1", render_config(make_survey()), flags=re.M)
    (tmp_path / "exporter.yml").write_text(text)
    (tmp_path / "holidays.ics").write_text(HOLIDAYS)
    config = load_config_file(tmp_path / "exporter.yml")
    assert config.defaults.model_fields_set == set(ModelConfig.model_fields)
    for examples in (config.remediation.policies, tuple(config.capture.services.values())):
        said: set[str] = set().union(*(example.model_fields_set for example in examples))
        assert said == set(type(examples[0]).model_fields)
    compare(config, ConfigFile(), "")


def compare(found: BaseModel, default: BaseModel, where: str) -> None:
    """Assert that a section has every key, and where there is a default, with its value."""
    for name, field in type(found).model_fields.items():
        value, usual, place = getattr(found, name), getattr(default, name), f"{where}.{name}"
        if field.init is False:
            continue
        if place != ".models":
            assert name in found.model_fields_set, place
        if isinstance(value, BaseModel) and isinstance(usual, BaseModel):
            compare(value, usual, place)
        elif usual or isinstance(usual, bool | int | float):
            assert value == usual, place

"""The compose stack as written, and as Compose resolves it for the demo and for another MLflow."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from exporter.demo.scenario import Pace
from exporter.settings import Settings, load_settings
from tests.support.docs import page

ROOT = Path(__file__).parent.parent
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
DOCKERFILE = (ROOT / "exporter" / "Dockerfile").read_text()
WATCHING = {"exporter", "prometheus", "alertmanager", "grafana"}
DEMO = {"mlflow", "mailpit", "demo"}
GROUP = {"evaluator", "worker", "gateway", "kafka", "topics", "postgresql"}

Resolve = Callable[..., dict[str, Any]]

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


@each_service
def test_an_image_is_pinned_or_built_here(service: dict[str, Any]) -> None:
    tag = service["image"].rpartition(":")[2]
    assert tag == "local" if "build" in service else re.fullmatch(r"v?\d+(\.\d+){1,2}(-alpine)?", tag)


@each_service
def test_ports_are_published_on_loopback_only(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:${") for port in service.get("ports", []))


@each_service
def test_a_service_cannot_take_the_machine_down(service: dict[str, Any]) -> None:
    assert {"mem_limit", "cpus", "pids_limit", "restart"} <= service.keys()
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


@each_service
def test_a_service_gains_no_privileges(service: dict[str, Any]) -> None:
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_others_use_tells_whether_it_is_healthy(name: str) -> None:
    awaited = {
        dependency
        for service in SERVICES.values()
        for dependency, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }
    if SERVICES[name].get("ports") or name in awaited:
        assert "interval" in SERVICES[name]["healthcheck"]


@each_service
def test_what_is_mounted_is_there_and_read_only(service: dict[str, Any]) -> None:
    mounts = [mount for mount in service.get("volumes", []) if mount.startswith(".")]
    for mount in mounts:
        source, _, options = mount.split(":")
        assert (ROOT / source).exists()
        assert options == "ro"


def test_prometheus_scrapes_and_alerts_services_of_the_stack() -> None:
    config = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    jobs = config["scrape_configs"]
    groups = [group for job in jobs for group in job["static_configs"]]
    groups += [g for manager in config["alerting"]["alertmanagers"] for g in manager["static_configs"]]
    hosts = {target.partition(":")[0] for group in groups for target in group["targets"]}
    assert hosts - {"localhost"} <= WATCHING


def test_prometheus_scrapes_all_processes_of_a_group_and_is_the_same_otherwise() -> None:
    one, group = (
        yaml.safe_load((ROOT / "prometheus" / name).read_text())
        for name in ("prometheus.yml", "prometheus-scale.yml")
    )
    [found] = group["scrape_configs"][0].pop("dns_sd_configs")
    assert found.items() >= {"names": ["evaluator", "worker"], "type": "A", "port": 19464}.items()
    del one["scrape_configs"][0]["static_configs"]
    assert group == one


def test_the_exporter_is_asked_by_the_name_that_the_demo_uses() -> None:
    command = SERVICES["demo"]["command"]
    name = urlsplit(command[command.index("--exporter") + 1]).hostname
    assert (
        SERVICES["exporter"]["environment"]["EXPORTER_ALLOWED_HOSTS"].partition("$")[0] == name == "exporter"
    )


def test_grafana_opens_on_a_dashboard() -> None:
    grafana = SERVICES["grafana"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    sources = {mount.split(":")[1]: mount.split(":")[0] for mount in grafana["volumes"]}
    assert (ROOT / sources[str(Path(home).parent)] / Path(home).name).is_file()


def test_the_image_is_not_root_and_gets_its_signals() -> None:
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.M)[-1] == "10001:10001"
    assert 'ENTRYPOINT ["' in DOCKERFILE  # a shell between would keep SIGTERM to itself


def test_the_image_of_python_is_pinned() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.M))
    images = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)) - stages
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", image) for image in images)


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-demo.lock"])
def test_an_image_holds_the_versions_that_are_tested(lock: str) -> None:
    pin = re.compile(r"^\S+==\S+", re.M)
    tested = set(pin.findall((ROOT / "requirements.lock").read_text()))
    pinned = set(pin.findall((ROOT / "exporter" / lock).read_text()))
    assert pinned
    assert pinned <= tested


def test_the_full_image_is_the_small_one_and_drivers() -> None:
    pin = re.compile(r"^(\S+)==(\S+)", re.M)
    small, full, tested = (
        dict(pin.findall((ROOT / path).read_text()))
        for path in ("exporter/requirements.lock", "exporter/requirements-full.lock", "requirements.lock")
    )
    assert small.items() <= full.items()
    drivers = full.keys() - small.keys()
    assert {"psycopg", "confluent-kafka", "boto3", "google-cloud-storage", "azure-storage-blob"} <= drivers
    assert all(full[name] == tested[name] for name in drivers & tested.keys())


@pytest.fixture(scope="session")
def resolve() -> Resolve:
    """`resolve(COMPOSE_PROFILES="")`: the file as Compose resolves it with these variables."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}

    def config(**variables: str) -> dict[str, Any]:
        command = ["docker", "compose", "--file", str(ROOT / "docker-compose.yml"), "config", "--format=json"]
        done = subprocess.run(command, env=kept | variables, capture_output=True, text=True)
        if done.returncode != 0:
            raise ValueError(done.stderr)
        resolved: dict[str, Any] = json.loads(done.stdout)
        return resolved

    # Not `needs`: Debian has no package of Compose v2, so CI may be without it.
    usable = (
        shutil.which("docker")
        and not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    )
    if not usable:
        pytest.skip("docker has no compose here")
    return config


def exporter_environment(resolved: dict[str, Any], service: str = "exporter") -> dict[str, str]:
    environment = resolved["services"][service]["environment"]
    return {name: value for name, value in environment.items() if value is not None}


def test_the_demo_is_what_comes_up_by_itself(resolve: Resolve) -> None:
    assert resolve()["services"].keys() == WATCHING | DEMO


def test_the_demo_runs_at_the_pace_of_its_traffic(resolve: Resolve) -> None:
    settings = load_settings(exporter_environment(resolve()))
    own = replace(settings, allowed_hosts=(), grafana_url="", mlflow_url="", external_url="")
    assert own == load_settings(Pace().settings)


def test_the_demo_on_a_group_has_processes_of_both_roles_in_place_of_the_one(resolve: Resolve) -> None:
    resolved = resolve(SCALE="1")
    services = resolved["services"]
    assert services.keys() == WATCHING | DEMO | GROUP
    assert {name: services[name]["scale"] for name in ("exporter", "evaluator", "worker")} == {
        "exporter": 0,
        "evaluator": 2,
        "worker": 3,
    }
    pace = load_settings(Pace().settings)
    for role in ("evaluator", "worker"):
        settings = load_settings(exporter_environment(resolved, role))
        assert (settings.role, settings.ingest, settings.kafka_brokers) == (role, "kafka", ("kafka:9092",))
        assert settings.store.startswith("postgresql://")
        assert (settings.windows, settings.block_seconds) == (pace.windows, pace.block_seconds)


def test_the_gateway_of_a_group_is_at_the_exporters_address(resolve: Resolve) -> None:
    gateway, exporter = (
        resolve(SCALE=scale)["services"][name] for scale, name in (("1", "gateway"), ("", "exporter"))
    )
    assert gateway["networks"]["default"]["aliases"] == ["exporter"]
    assert gateway["ports"] == exporter["ports"]


def test_the_gateway_knows_every_process_of_a_group() -> None:
    config = (ROOT / "exporter" / "haproxy.cfg").read_text()
    servers = re.findall(r"server-template (\w+) (\d+) (\w+):19464 check", config)
    assert servers == [(name, str(SERVICES[name]["scale"]), name) for name in ("evaluator", "worker")]


def test_the_demo_its_group_and_yours_share_no_volume(resolve: Resolve) -> None:
    demo = {volume["name"] for volume in resolve()["volumes"].values()}
    group = {volume["name"] for volume in resolve(SCALE="1")["volumes"].values()}
    own = resolve(COMPOSE_PROFILES="", MLFLOW_TRACKING_URI="https://mlflow.example.org")
    assert len(demo | group) == len(demo) + len(group)
    assert (demo | group).isdisjoint(volume["name"] for volume in own["volumes"].values())


def test_the_demo_has_an_mlflow_of_its_own_whatever_the_shell_names(resolve: Resolve) -> None:
    services = resolve(MLFLOW_TRACKING_URI="https://mlflow.example.org")["services"]
    for name in ("exporter", "demo"):
        assert services[name]["environment"]["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"


def test_without_the_demo_it_watches_your_mlflow_with_production_settings(resolve: Resolve) -> None:
    yours = {"MLFLOW_TRACKING_URI": "https://mlflow.example.org", "MLFLOW_TRACKING_TOKEN": "secret"}
    resolved = resolve(COMPOSE_PROFILES="", **yours)
    assert resolved["services"].keys() == WATCHING
    assert yours.items() <= exporter_environment(resolved).items()
    urls = {"grafana_url": "http://localhost:3000", "external_url": "http://localhost:19464"}
    assert load_settings(exporter_environment(resolved)) == Settings(allowed_hosts=("exporter",), **urls)


def test_without_the_demo_and_without_an_mlflow_it_says_what_is_missing(resolve: Resolve) -> None:
    with pytest.raises(ValueError, match="set MLFLOW_TRACKING_URI to your MLflow"):
        resolve(COMPOSE_PROFILES="")


def test_ports_move_together_with_the_links_to_them(resolve: Resolve) -> None:
    services = resolve(PROMETHEUS_PORT="19090", GRAFANA_PORT="13000")["services"]
    assert services["prometheus"]["ports"][0]["published"] == "19090"
    assert "--web.external-url=http://localhost:19090" in services["prometheus"]["command"]
    assert services["grafana"]["environment"]["GF_SERVER_ROOT_URL"] == "http://localhost:13000"


def test_a_configuration_file_comes_from_a_directory_of_yours(resolve: Resolve, tmp_path: Path) -> None:
    resolved = resolve(CONFIG_DIRECTORY=str(tmp_path))

    (mount,) = (v for v in resolved["services"]["exporter"]["volumes"] if v["type"] == "bind")
    assert (mount["source"], mount["target"], mount["read_only"]) == (
        str(tmp_path),
        "/etc/mlflow-exporter",
        True,
    )
    assert exporter_environment(resolved)["EXPORTER_CONFIG"] == "/etc/mlflow-exporter/exporter.yml"


def test_without_one_nothing_of_the_machine_is_mounted(resolve: Resolve) -> None:
    resolved = resolve()

    assert {v["type"] for v in resolved["services"]["exporter"]["volumes"]} == {"volume"}
    assert not exporter_environment(resolved)["EXPORTER_CONFIG"]


def test_it_is_asked_by_names_of_yours_as_well(resolve: Resolve) -> None:
    environment = exporter_environment(resolve(EXPORTER_ALLOWED_HOSTS="ml01,*.example.org"))
    assert load_settings(environment).allowed_hosts == ("exporter", "ml01", "*.example.org")


def test_every_setting_that_is_passed_on_is_documented() -> None:
    start = page("exporter/README.md").partition("These [settings](#settings) are")[2].partition("\n\n")[0]
    passed = {name for name in SERVICES["exporter"]["environment"] if name.startswith("EXPORTER_")}
    assert set(re.findall(r"`(EXPORTER_\w+)`", start)) == passed - {"EXPORTER_CONFIG"}


def test_settings_of_runs_and_ids_are_passed_on(resolve: Resolve) -> None:
    yours = {
        "EXPORTER_RUNS": "false",
        "EXPORTER_RUN_METRICS": "val_*",
        "EXPORTER_PREDICTION_RETENTION_DAYS": "60",
    }

    settings = load_settings(exporter_environment(resolve(**yours)))

    assert (settings.runs, settings.run_metrics, settings.prediction_retention_days) == (
        False,
        ("val_*",),
        60,
    )


def test_tokens_are_passed_on(resolve: Resolve) -> None:
    yours = {"EXPORTER_API_TOKENS_FILE": "/etc/mlflow-exporter/tokens"}
    assert yours.items() <= exporter_environment(resolve(**yours)).items()
    assert "EXPORTER_API_TOKENS_FILE" not in exporter_environment(resolve())


def test_alertmanager_delivers_to_the_exporter() -> None:
    config = yaml.safe_load((ROOT / "prometheus" / "alertmanager.yml").read_text())
    urls = [hook["url"] for receiver in config["receivers"] for hook in receiver.get("webhook_configs", [])]
    assert [(urlsplit(url).hostname, urlsplit(url).port) for url in urls] == [("exporter", 19464)]


def test_the_image_installs_what_is_locked_and_resolves_nothing() -> None:
    installs = re.findall(r"pip (?:--python \S+ )?install .*--require-hashes.*", DOCKERFILE)
    assert len(installs) == 4
    assert all("--no-deps" in install for install in installs)

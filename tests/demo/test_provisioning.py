from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import exporter
from exporter.demo.errors import DemoError
from exporter.demo.provisioning import alertmanager_configuration, find_files, prometheus_configuration

FILES = find_files()
ADDRESSES = {
    "exporter:19464": "127.0.0.1:1",
    "localhost:9090": "127.0.0.1:2",
    "alertmanager:9093": "127.0.0.1:3",
}


def prometheus(addresses: dict[str, str] = ADDRESSES) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(prometheus_configuration(FILES, addresses))
    return content


def alertmanager() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(alertmanager_configuration(FILES, "127.0.0.1:4"))
    return content


def original(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FILES / name).read_text())
    return content


def routes(route: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield route
    for child in route.get("routes", []):
        yield from routes(child)


def test_the_files_are_those_of_the_repository() -> None:
    assert Path(exporter.__file__).parents[1] / "prometheus" == FILES


def test_an_installation_without_them_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(exporter, "__file__", str(tmp_path / "exporter" / "__init__.py"))
    with pytest.raises(DemoError, match="files that belong to"):
        find_files()


def test_an_installed_package_brings_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "exporter"
    (package / "_prometheus").mkdir(parents=True)
    (package / "_prometheus" / "prometheus.yml").touch()
    monkeypatch.setattr(exporter, "__file__", str(package / "__init__.py"))
    assert find_files() == package / "_prometheus"


def test_prometheus_loads_the_very_rules() -> None:
    patterns = [Path(pattern) for pattern in prometheus()["rule_files"]]
    loaded = {path for pattern in patterns for path in pattern.parent.glob(pattern.name)}
    assert loaded == set((FILES / "rules").iterdir())


def test_prometheus_scrapes_what_runs_here() -> None:
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in prometheus()["scrape_configs"]}
    assert jobs["mlflow-exporter"] == ["127.0.0.1:1"]
    managers = prometheus()["alerting"]["alertmanagers"]
    assert [group["targets"] for manager in managers for group in manager["static_configs"]] == [
        ["127.0.0.1:3"]
    ]


def test_what_does_not_run_here_is_not_scraped() -> None:
    jobs = [job["job_name"] for job in prometheus({"exporter:19464": "127.0.0.1:1"})["scrape_configs"]]
    assert jobs == ["mlflow-exporter"]


def test_alertmanager_mails_to_the_demo() -> None:
    assert alertmanager()["global"]["smtp_smarthost"] == "127.0.0.1:4"


def test_the_routing_is_the_same_but_for_intervals() -> None:
    ours, theirs = list(routes(alertmanager()["route"])), list(routes(original("alertmanager.yml")["route"]))
    intervals = {"group_wait", "group_interval", "routes"}
    assert [{k: v for k, v in route.items() if k not in intervals} for route in ours] == [
        {k: v for k, v in route.items() if k not in intervals} for route in theirs
    ]
    for name in ("receivers", "inhibit_rules"):
        assert alertmanager()[name] == original("alertmanager.yml")[name]


@pytest.mark.needs("promtool", "amtool")
def test_both_are_valid(program: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(prometheus_configuration(FILES, ADDRESSES))
    (tmp_path / "alertmanager.yml").write_text(alertmanager_configuration(FILES, "127.0.0.1:4"))
    for command in (
        [program("promtool"), "check", "config", str(tmp_path / "prometheus.yml")],
        [program("amtool"), "check-config", str(tmp_path / "alertmanager.yml")],
    ):
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr

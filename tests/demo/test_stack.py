from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
import yaml

import exporter
from exporter.demo.processes import Processes
from exporter.demo.scenario import Pace
from exporter.demo.stack import (
    PREFERRED_PORTS,
    Ports,
    Programs,
    Stack,
    alertmanager_configuration,
    clean_environment,
    find_files,
    find_ports,
    find_programs,
    hasten,
    prometheus_configuration,
    write_templates,
)
from exporter.errors import DemoError

ANY = dict.fromkeys(PREFERRED_PORTS, 0)
FILES = find_files()
PORTS = Ports(mlflow=1, exporter=2, prometheus=3, alertmanager=4, mail=5, evidently=6)


# -- ports and programs -------------------------------------------------------------------------------------


def test_well_known_ports_are_taken_where_they_are_free() -> None:
    def takes_a_free_one() -> bool:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            free = listener.getsockname()[1]
        return find_ports(ANY | {"exporter": free}).exporter == free

    assert any(takes_a_free_one() for _ in range(10))  # another program may be quicker


def test_another_port_is_taken_where_a_program_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        assert find_ports(ANY | {"exporter": taken}).exporter not in (taken, 0)


def test_all_ports_differ() -> None:
    assert len(set(astuple(find_ports(ANY)))) == len(ANY)


def test_settings_for_another_mlflow_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    monkeypatch.setenv("EXPORTER_API_TOKEN_FILE", "/run/secrets/token")
    environment = clean_environment(PORTS)
    assert environment["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:1"
    assert not {"MLFLOW_TRACKING_PASSWORD", "EXPORTER_API_TOKEN_FILE"} & set(environment)
    assert environment["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("name", ["alertmanager", "prometheus-alertmanager"])
def test_alertmanager_is_found_by_both_of_its_names(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for program in ("prometheus", name):
        (tmp_path / program).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    programs = find_programs()
    assert programs.complete
    assert programs.alertmanager == str(tmp_path / name)


def test_both_are_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "prometheus").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not find_programs().complete


# -- order --------------------------------------------------------------------------------------------------


class RecordedProcesses(Processes):
    """Starts nothing, but records what would be started; `written` is the output of the traffic."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory
        self.started: list[str] = []
        self.written = ""

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.started.append(name)

    def output(self, name: str) -> str:
        return self.written


def test_alerting_starts_once_all_references_are_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("exporter.demo.stack.fetch", lambda url: "")  # everything answers
    processes = RecordedProcesses(tmp_path)
    stack = Stack(processes, Programs("prometheus", "alertmanager"), PORTS, Pace(), remediate=False)
    processes.written = "training: two models, whose references are healthy: so far\n"
    for _ in range(3):
        stack.advance()
    assert processes.started == ["mlflow", "traffic", "exporter"]
    processes.written += "healthy: flights like those in training\n"
    stack.advance()
    assert processes.started[3:] == ["alertmanager", "prometheus"]


def test_evidently_starts_last_where_it_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("exporter.demo.stack.fetch", lambda url: "")
    processes = RecordedProcesses(tmp_path)
    programs = Programs("prometheus", "alertmanager", evidently=True)
    stack = Stack(processes, programs, PORTS, Pace(), remediate=False)
    processes.written = "\nhealthy: flights like those in training\n"
    for _ in range(3):
        stack.advance()
    assert processes.started == ["mlflow", "traffic", "exporter", "alertmanager", "prometheus", "evidently"]


# -- configuration ------------------------------------------------------------------------------------------


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
    patterns = [Path(pattern) for pattern in prometheus_configuration(FILES, PORTS)["rule_files"]]
    loaded = {path for pattern in patterns for path in pattern.parent.glob(pattern.name)}
    assert loaded == set((FILES / "rules").iterdir())


def test_prometheus_scrapes_what_runs_here() -> None:
    content = prometheus_configuration(FILES, PORTS)
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in content["scrape_configs"]}
    assert jobs["mlflow-exporter"] == ["127.0.0.1:2"]
    managers = content["alerting"]["alertmanagers"]
    assert [group["targets"] for manager in managers for group in manager["static_configs"]] == [
        ["127.0.0.1:4"]
    ]


def test_what_does_not_run_here_is_not_scraped() -> None:
    content = prometheus_configuration(FILES, PORTS)
    targets = [t for job in content["scrape_configs"] for g in job["static_configs"] for t in g["targets"]]
    assert set(targets) == {PORTS.address(name) for name in ("exporter", "prometheus", "alertmanager")}
    assert all(g["targets"] for job in content["scrape_configs"] for g in job["static_configs"])


def test_alertmanager_mails_to_the_demo() -> None:
    content = alertmanager_configuration(FILES, PORTS)
    assert content["global"]["smtp_smarthost"] == "127.0.0.1:5"


def test_alerts_go_to_the_exporter_of_the_demo_at_once() -> None:
    content = alertmanager_configuration(FILES, PORTS)
    (remediation,) = (each for each in content["receivers"] if each["name"] == "remediation")
    assert [each["url"] for each in remediation["webhook_configs"]] == ["http://127.0.0.1:2/v1/alerts"]
    (route,) = (each for each in content["route"]["routes"] if each.get("receiver") == "remediation")
    assert (route["group_wait"], route["group_interval"], route["repeat_interval"]) == ("0s", "5s", "10s")


def test_the_routing_is_the_same_but_for_intervals() -> None:
    content = alertmanager_configuration(FILES, PORTS)
    ours, theirs = list(routes(content["route"])), list(routes(original("alertmanager.yml")["route"]))
    waits = {
        route["group_wait"]
        for route in ours
        if route.get("receiver") != "remediation" and "group_wait" in route
    }
    assert waits == {"10s"}
    intervals = {"group_wait", "group_interval", "repeat_interval", "routes"}
    assert [{k: v for k, v in route.items() if k not in intervals} for route in ours] == [
        {k: v for k, v in route.items() if k not in intervals} for route in theirs
    ]
    assert content["inhibit_rules"] == original("alertmanager.yml")["inhibit_rules"]


def receivers(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {receiver.pop("name"): receiver for receiver in content["receivers"]}


def test_of_the_receivers_only_remediation_has_another_address() -> None:
    ours = receivers(alertmanager_configuration(FILES, PORTS))
    theirs = receivers(original("alertmanager.yml"))
    (webhook,) = ours.pop("remediation")["webhook_configs"]
    assert webhook["url"] == "http://127.0.0.1:2/v1/alerts"
    assert webhook["max_alerts"] == 0
    theirs.pop("remediation")
    assert ours == theirs


def test_mails_link_to_the_exporter_of_the_demo(tmp_path: Path) -> None:
    templates = write_templates(FILES, tmp_path, PORTS)
    assert {file.name for file in templates.iterdir()} == {f.name for f in (FILES / "templates").iterdir()}
    assert "}}http://127.0.0.1:2{{" in (templates / "report.tmpl").read_text()
    assert "http://localhost:19464" not in "".join(file.read_text() for file in templates.iterdir())


def test_a_token_is_sent_from_its_file(tmp_path: Path) -> None:
    content = alertmanager_configuration(FILES, PORTS, tmp_path / "token")
    (webhook,) = receivers(content)["remediation"]["webhook_configs"]
    assert webhook["http_config"]["authorization"] == {"credentials_file": str(tmp_path / "token")}


def test_the_rules_are_the_same_but_for_how_long_a_challenger_has_to_be_better(tmp_path: Path) -> None:
    hasten(FILES, tmp_path, Pace())
    changed = []
    for file in sorted((FILES / "rules").iterdir()):
        ours = yaml.safe_load((tmp_path / "rules" / file.name).read_text())
        theirs = yaml.safe_load(file.read_text())
        for group, original_group in zip(ours["groups"], theirs["groups"], strict=True):
            for rule, original_rule in zip(group["rules"], original_group["rules"], strict=True):
                if rule != original_rule:
                    changed.append(rule["alert"])
                    assert {**rule, "for": original_rule["for"]} == original_rule
    assert changed == ["ModelChallengerBetter"]


@pytest.mark.needs("promtool", "amtool")
def test_both_are_valid(program: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(prometheus_configuration(FILES, PORTS)))
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(alertmanager_configuration(FILES, PORTS)))
    for command in (
        [program("promtool"), "check", "config", str(tmp_path / "prometheus.yml")],
        [program("amtool"), "check-config", str(tmp_path / "alertmanager.yml")],
    ):
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr

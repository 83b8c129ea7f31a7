"""The demo's programs, their ports and their configuration.

MLflow, the exporter and the traffic, and Prometheus and Alertmanager where they are installed. The latter run
with the repository's own files: only targets, ports, paths and intervals are replaced, so that rules, limits,
routing and mails are those of production.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

import exporter
from exporter.demo.configuration import CHALLENGER_ALERT, Tokens, configuration
from exporter.demo.observation import fetch
from exporter.demo.processes import Processes
from exporter.demo.scenario import SCENARIO, SCRAPE_INTERVAL_SECONDS, Pace
from exporter.errors import DemoError
from exporter.settings import parse_window

# Debian renames programs that others ship under their upstream names.
ALERTMANAGER_NAMES = ("alertmanager", "prometheus-alertmanager")
PREFERRED_PORTS = {
    "mlflow": 5000,
    "exporter": 19464,
    "prometheus": 9090,
    "alertmanager": 9093,
    "mail": 0,
    "evidently": 8000,
}
# Within ten seconds a share of bad values becomes critical here, and its warning is not mailed. Later groups
# follow soon: days are seconds.
MAIL_SECONDS = {"group_wait": 10, "group_interval": 15}
# An action that was refused may be possible when the alert comes again.
REMEDIATION_SECONDS = {"group_wait": 0, "group_interval": 5, "repeat_interval": 10}
REMEDIATION = "remediation"  # the receiver


@dataclass(frozen=True)
class Programs:
    """Paths of the installed programs, empty where not installed; `evidently` is a Python package."""

    prometheus: str
    alertmanager: str
    evidently: bool = False

    @property
    def complete(self) -> bool:
        return bool(self.prometheus and self.alertmanager)


def find_programs() -> Programs:
    """Look for Prometheus and Alertmanager on the PATH, and for Evidently among Python's packages."""
    managers = [path for name in ALERTMANAGER_NAMES if (path := shutil.which(name))]
    return Programs(
        prometheus=shutil.which("prometheus") or "",
        alertmanager=managers[0] if managers else "",
        evidently=find_spec("evidently") is not None,
    )


@dataclass(frozen=True)
class Ports:
    """TCP ports on loopback."""

    mlflow: int
    exporter: int
    prometheus: int
    alertmanager: int
    mail: int
    evidently: int

    def address(self, name: str) -> str:
        return f"127.0.0.1:{getattr(self, name)}"

    def url(self, name: str) -> str:
        return f"http://{self.address(name)}"


def find_ports(preferred: Mapping[str, int] = PREFERRED_PORTS) -> Ports:
    """Return the preferred ports where nothing listens on them, other free ones elsewhere (0: any)."""
    with ExitStack() as held:  # all at once, or the kernel may hand out the same one twice
        return Ports(**{name: _free_port(port, held) for name, port in preferred.items()})


def _free_port(preferred: int, held: ExitStack) -> int:
    listener = held.enter_context(socket.socket())
    # As servers do: lingering connections of an earlier demo do not occupy the port.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", preferred))
        listener.listen()  # with SO_REUSEADDR, only this fails where another program listens
    except OSError:
        if not preferred:
            raise
        return _free_port(0, held)
    port: int = listener.getsockname()[1]
    return port


def clean_environment(ports: Ports) -> dict[str, str]:
    """Return the caller's environment without its MLflow and exporter, and with the demo's MLflow."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "EXPORTER_"))}
    return own | {"MLFLOW_TRACKING_URI": ports.url("mlflow"), "MLFLOW_DISABLE_TELEMETRY": "true"}


class Stack:
    """Starts the programs one after the other; `tokens` are None where the exporter needs none.

    All at once would be no faster on two cores, and the first alerts to be seen would be of the start: until
    a reference is profiled, ModelReferenceMissing is pending.
    """

    def __init__(
        self, processes: Processes, programs: Programs, ports: Ports, pace: Pace, *, remediate: bool
    ) -> None:
        self._processes = processes
        self._programs = programs
        self._ports = ports
        self._pace = pace
        self._remediate = remediate
        self._environment = clean_environment(ports)
        self.tokens = Tokens(processes.directory) if remediate else None
        self._waiting: list[tuple[Callable[[], bool], Callable[[], None]]] = [
            (self._mlflow_answers, self._start_exporter)
        ]
        if programs.complete:
            self._waiting.append((self._traffic_flows, self._start_alerting))
        if programs.evidently:
            self._waiting.append((self._traffic_flows, self._start_evidently))
        self._start_mlflow()
        self._start_traffic()  # it waits for MLflow and the exporter by itself, and has long imports

    def advance(self) -> None:
        """Start the next program once what it needs is there; to be called repeatedly."""
        if self._waiting and self._waiting[0][0]():
            self._waiting.pop(0)[1]()

    def _mlflow_answers(self) -> bool:
        return fetch(self._ports.url("mlflow") + "/health") is not None

    def _traffic_flows(self) -> bool:
        """Return true if all references are profiled, since the traffic waits for them."""
        return f"\n{SCENARIO.phases[0].name}: " in self._processes.output("traffic")

    def _start_mlflow(self) -> None:
        directory = self._processes.directory
        command = [
            sys.executable, "-m", "mlflow", "server", "--workers", "1",
            "--host", "127.0.0.1", "--port", str(self._ports.mlflow),
            "--backend-store-uri", f"sqlite:///{directory}/mlflow.db",
            "--artifacts-destination", str(directory / "artifacts"),
        ]  # fmt: skip
        # Job execution would take 1.6 GB and is not used here.
        environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self._processes.start("mlflow", command, self._environment | environment)

    def _start_traffic(self) -> None:
        command = [
            sys.executable, "-m", "exporter", "demo", "--traffic-only",
            "--exporter", self._ports.url("exporter"), "--speed", str(self._pace.speed),
        ]  # fmt: skip
        environment = {}
        if self.tokens is not None:
            command.append("--remediate")
            environment["EXPORTER_API_TOKEN_FILE"] = str(self.tokens.file("traffic"))
        self._processes.start("traffic", command, self._environment | environment)

    def _start_exporter(self) -> None:
        environment = {
            **self._pace.settings,
            "EXPORTER_HOST": "127.0.0.1",
            "EXPORTER_PORT": str(self._ports.exporter),
            "EXPORTER_STORE": self.store,
            "EXPORTER_EXTERNAL_URL": self._ports.url("exporter"),
            "EXPORTER_CONFIG": str(self._write_configuration()),
        }
        if self.tokens is not None:
            environment["EXPORTER_API_TOKENS_FILE"] = str(self.tokens.all)
            environment["EXPORTER_ALLOW_COMMANDS"] = "true"
            environment["EXPORTER_AUDIT_CHECKPOINT_SECONDS"] = "20"  # for Prometheus to witness
        command = [sys.executable, "-m", "exporter", "serve"]
        self._processes.start("exporter", command, self._environment | environment)

    @property
    def token(self) -> str:
        """Token of the operator, empty where none is needed."""
        return self.tokens.tokens["operator"] if self.tokens is not None else ""

    @property
    def store(self) -> str:
        """URI of the exporter's store."""
        return f"sqlite:///{self._processes.directory}/exporter.db"

    def _write_configuration(self) -> Path:
        file = self._processes.directory / "exporter.yml"
        content = configuration(
            self._pace,
            self._processes.directory,
            remediate=self._remediate,
            evidently_url=self._ports.url("evidently") if self._programs.evidently else "",
        )
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        return file

    def _start_alerting(self) -> None:
        files, directory, ports = find_files(), self._processes.directory, self._ports
        token = self.tokens.file("alertmanager") if self.tokens is not None else None
        rules = hasten(files, directory, self._pace) if self._remediate else files
        configurations = {
            "alertmanager": alertmanager_configuration(files, ports, token)
            | {"templates": [str(write_templates(files, directory, ports) / "*.tmpl")]},
            "prometheus": prometheus_configuration(files, ports, rules),
        }
        for name, content in configurations.items():
            file, data = directory / f"{name}.yml", directory / name
            file.write_text(yaml.safe_dump(content, sort_keys=False))
            flags = {
                "alertmanager": [f"--storage.path={data}", "--cluster.listen-address="],  # no cluster
                "prometheus": [f"--storage.tsdb.path={data}"],
            }
            command = [
                getattr(self._programs, name),
                f"--config.file={file}",
                f"--web.listen-address={ports.address(name)}",
                f"--web.external-url={ports.url(name)}",
                *flags[name],
            ]
            self._processes.start(name, command, self._environment)

    def _start_evidently(self) -> None:
        workspace = str(self._processes.directory / "evidently")
        command = [
            sys.executable, "-m", "evidently.cli", "ui", "--workspace", workspace,
            "--host", "127.0.0.1", "--port", str(self._ports.evidently),
        ]  # fmt: skip
        self._processes.start("evidently", command, self._environment | {"DO_NOT_TRACK": "1"})


def find_files() -> Path:
    """Return the directory of prometheus.yml, in the checkout or in the installed package.

    Raises:
        DemoError: there is none.
    """
    package = Path(exporter.__file__).parent
    for directory in (package.parent / "prometheus", package / "_prometheus"):
        if (directory / "prometheus.yml").is_file():
            return directory
    raise DemoError(f"the Prometheus and Alertmanager files that belong to {package} are missing")


def prometheus_configuration(files: Path, ports: Ports, rules: Path | None = None) -> dict[str, Any]:
    """Return prometheus.yml for the demo, without targets that do not run here.

    Args:
        files: the directory of prometheus.yml.
        ports: of the demo's programs.
        rules: the directory that `rules/` is in, if it is another one.
    """
    content = _read(files / "prometheus.yml")
    interval = f"{SCRAPE_INTERVAL_SECONDS}s"
    content["global"] |= {"scrape_interval": interval, "evaluation_interval": interval}
    content["rule_files"] = [str((rules or files) / pattern) for pattern in content["rule_files"]]
    addresses = {
        "exporter:19464": ports.address("exporter"),
        "localhost:9090": ports.address("prometheus"),
        "alertmanager:9093": ports.address("alertmanager"),
    }
    for discovery in (*content["alerting"]["alertmanagers"], *content["scrape_configs"]):
        for group in discovery["static_configs"]:
            group["targets"] = [addresses[name] for name in group["targets"] if name in addresses]
    content["scrape_configs"] = [
        job for job in content["scrape_configs"] if any(group["targets"] for group in job["static_configs"])
    ]
    return content


def alertmanager_configuration(files: Path, ports: Ports, token: Path | None = None) -> dict[str, Any]:
    """Return alertmanager.yml for the demo, which mails to the demo's mailbox and posts to its exporter.

    Args:
        files: the directory of alertmanager.yml.
        ports: of the demo's programs.
        token: file with the exporter's token; None if it needs none.
    """
    content = _read(files / "alertmanager.yml")
    content["global"]["smtp_smarthost"] = ports.address("mail")
    content["templates"] = [str(files / pattern) for pattern in content["templates"]]
    _shorten_intervals(content["route"])
    (webhook,) = next(each for each in content["receivers"] if each["name"] == REMEDIATION)["webhook_configs"]
    webhook["url"] = webhook["url"].replace("exporter:19464", ports.address("exporter"))
    webhook["http_config"] = {"authorization": {"credentials_file": str(token)}} if token is not None else {}
    return content


def write_templates(files: Path, directory: Path, ports: Ports) -> Path:
    """Copy the mails' templates to `directory`, with links to the demo's exporter; return their directory."""
    (directory / "templates").mkdir()
    for file in sorted((files / "templates").glob("*.tmpl")):
        content = file.read_text().replace("http://localhost:19464", ports.url("exporter"))
        (directory / "templates" / file.name).write_text(content)
    return directory / "templates"


def _shorten_intervals(route: dict[str, Any]) -> None:
    remediation = route.get("receiver") == REMEDIATION
    for name, seconds in (REMEDIATION_SECONDS if remediation else MAIL_SECONDS).items():
        if name in route:
            route[name] = f"{seconds}s"
    for child in route.get("routes", []):
        _shorten_intervals(child)


def hasten(files: Path, directory: Path, pace: Pace) -> Path:
    """Copy the rules to `directory`; a challenger has to be better for as long as the pace makes of it."""
    (directory / "rules").mkdir()
    for file in sorted((files / "rules").glob("*.yml")):
        content = _read(file)
        for rule in (rule for group in content["groups"] for rule in group["rules"]):
            if rule.get("alert") == CHALLENGER_ALERT:
                seconds = parse_window(rule["for"]).seconds * pace.factor
                rule["for"] = f"{max(1, round(seconds))}s"
        (directory / "rules" / file.name).write_text(yaml.safe_dump(content, sort_keys=False))
    return directory


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content

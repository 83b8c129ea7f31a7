"""The demo's processes: MLflow, the exporter, the traffic and, where installed, Prometheus, Alertmanager."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from exporter.demo.observation import fetch
from exporter.demo.pace import Pace
from exporter.demo.ports import claim_ports
from exporter.demo.processes import Processes
from exporter.demo.provisioning import alertmanager_configuration, find_files, prometheus_configuration

# Debian renames programs that others ship under their upstream names.
ALERTMANAGER_NAMES = ("alertmanager", "prometheus-alertmanager")
PREFERRED_PORTS = {"mlflow": 5000, "exporter": 19464, "prometheus": 9090, "alertmanager": 9093}


@dataclass(frozen=True)
class Programs:
    """Paths of the installed programs, empty where there are none."""

    prometheus: str
    alertmanager: str

    @property
    def complete(self) -> bool:
        return bool(self.prometheus and self.alertmanager)


def find_programs() -> Programs:
    """Look for Prometheus and Alertmanager on the PATH."""
    managers = [path for name in ALERTMANAGER_NAMES if (path := shutil.which(name))]
    return Programs(prometheus=shutil.which("prometheus") or "", alertmanager=managers[0] if managers else "")


@dataclass(frozen=True)
class Addresses:
    """Where everything listens, all on loopback."""

    mlflow: int
    exporter: int
    prometheus: int
    alertmanager: int
    mail: int

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{getattr(self, name)}"


@contextmanager
def claim_addresses(preferred: Mapping[str, int] = PREFERRED_PORTS) -> Iterator[Addresses]:
    """The well-known ports where they are free, others where they are not; other demos keep away."""
    with claim_ports([*preferred.values(), 0]) as ports:
        yield Addresses(**dict(zip((*preferred, "mail"), ports, strict=True)))


def clean_environment(addresses: Addresses) -> dict[str, str]:
    """The caller's environment without its own MLflow and exporter, whose settings are not for the demo's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "EXPORTER_"))}
    return own | {"MLFLOW_TRACKING_URI": addresses.url("mlflow"), "MLFLOW_DISABLE_TELEMETRY": "true"}


class Stack:
    """Starts everything, in the order in which one needs the other.

    All at once would be no faster on two cores, and the first alerts to be seen would be of the start.
    """

    def __init__(self, processes: Processes, programs: Programs, addresses: Addresses, pace: Pace) -> None:
        self._processes = processes
        self._programs = programs
        self._addresses = addresses
        self._pace = pace
        self._environment = clean_environment(addresses)
        self._waiting: list[tuple[str, Callable[[], None]]] = [
            (addresses.url("mlflow") + "/health", self._start_exporter)
        ]
        if programs.complete:
            self._waiting.append((addresses.url("exporter") + "/-/ready", self._start_alerting))
        self._start_mlflow()
        self._start_traffic()  # it waits for MLflow and the exporter by itself, and has long imports

    def advance(self) -> None:
        """Start what can be started by now; to be called over and over."""
        if self._waiting and fetch(self._waiting[0][0]) is not None:
            self._waiting.pop(0)[1]()

    def _start_mlflow(self) -> None:
        directory = self._processes.directory
        command = [
            sys.executable, "-m", "mlflow", "server", "--workers", "1",
            "--host", "127.0.0.1", "--port", str(self._addresses.mlflow),
            "--backend-store-uri", f"sqlite:///{directory}/mlflow.db",
            "--artifacts-destination", str(directory / "artifacts"),
        ]  # fmt: skip
        # Job execution would take 1.6 GB for what nobody uses here.
        environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self._processes.start("mlflow", command, self._environment | environment)

    def _start_traffic(self) -> None:
        command = [
            sys.executable, "-m", "exporter", "demo", "--traffic-only",
            "--exporter", self._addresses.url("exporter"), "--speed", str(self._pace.speed),
        ]  # fmt: skip
        self._processes.start("traffic", command, self._environment)

    def _start_exporter(self) -> None:
        environment = {
            **self._pace.settings,
            "EXPORTER_HOST": "127.0.0.1",
            "EXPORTER_PORT": str(self._addresses.exporter),
            "EXPORTER_STORE": f"sqlite:///{self._processes.directory}/exporter.db",
        }
        command = [sys.executable, "-m", "exporter", "serve"]
        self._processes.start("exporter", command, self._environment | environment)

    def _start_alerting(self) -> None:
        files, directory, addresses = find_files(), self._processes.directory, self._addresses
        listening = {
            "exporter:19464": f"127.0.0.1:{addresses.exporter}",
            "localhost:9090": f"127.0.0.1:{addresses.prometheus}",
            "alertmanager:9093": f"127.0.0.1:{addresses.alertmanager}",
        }
        (directory / "alertmanager.yml").write_text(
            alertmanager_configuration(files, f"127.0.0.1:{addresses.mail}")
        )
        (directory / "prometheus.yml").write_text(prometheus_configuration(files, listening))
        alertmanager = [
            self._programs.alertmanager,
            f"--config.file={directory}/alertmanager.yml",
            f"--storage.path={directory}/alertmanager",
            f"--web.listen-address={listening['alertmanager:9093']}",
            f"--web.external-url={addresses.url('alertmanager')}",
            "--cluster.listen-address=",  # a single one gossips with nobody
        ]
        prometheus = [
            self._programs.prometheus,
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/prometheus",
            f"--web.listen-address={listening['localhost:9090']}",
            f"--web.external-url={addresses.url('prometheus')}",
        ]
        self._processes.start("alertmanager", alertmanager, self._environment)
        self._processes.start("prometheus", prometheus, self._environment)

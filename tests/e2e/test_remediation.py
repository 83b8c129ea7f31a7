"""From alerts in Alertmanager to one rollback in MLflow, however often they are delivered, and its trail."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.prometheus.alerting import PROMETHEUS, switch_on
from tests.prometheus.servers import running_alertmanager, wait_for
from tests.prometheus.stack import FreePorts
from tests.support.background import running
from tests.support.exporter_process import ROOT, ExporterProcess
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.mlflow_server import MlflowServer
from tests.support.mlflow_world import World
from tests.support.programs import EDITIONS, find_program
from tests.support.rig import make_document, make_rows, make_table

REFERENCE_ROWS, REFERENCE_SECONDS = 5000, 240
ROWS, PERIOD_SECONDS = 100, 0.5
TOKENS = {"alerts": "token-of-alertmanager", "ingest": "token-of-the-scorer", "audit": "token-of-an-auditor"}
CONFIG = """
defaults:
  maturation: 10m # for which the verification waits for traffic
remediation:
  mode: auto
  policies:
    - name: champion-rollback
      match: {alertname: ModelErrorRateHigh, severity: critical|warning}
      model: "model-.*"
      action: rollback
      verify: {after: 4s}
"""


expect = partial(wait_for, interval=0.25)  # probes cost more than they wait for


def bearer(scope: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[scope]}"}


def make_reference() -> bytes:
    times = time.time() - np.linspace(REFERENCE_SECONDS, 0, REFERENCE_ROWS)
    stamps = pa.array((times * 1e6).astype("datetime64[us]"))
    buffer = BytesIO()
    pq.write_table(make_table(REFERENCE_ROWS).append_column("timestamp", stamps), buffer)
    return buffer.getvalue()


@dataclass
class Traffic:
    """Predictions of `version`, of which version 2 leaves most unanswered; the exporter may be restarting."""

    url: str
    model: str
    version: str = "2"
    _stop: Event = field(default_factory=Event)

    def _send(self) -> None:
        seed = 0
        with httpx.Client(headers=bearer("ingest"), timeout=TIMEOUT_SECONDS) as client:
            while not self._stop.wait(PERIOD_SECONDS):
                seed += 1
                rows = make_rows(ROWS, seed=seed)
                for row in rows[: 3 * ROWS // 4] if self.version == "2" else ():
                    row |= {"prediction": None, "score": None}
                document = make_document(rows, self.model, version=self.version)
                try:
                    client.post(f"{self.url}/v1/predictions", json=document)
                except httpx.TransportError:
                    continue

    def running(self) -> AbstractContextManager[None]:
        return running(self._send, self._stop)


class Manager:
    """An Alertmanager with the repository's configuration, whose messages to people go nowhere."""

    def __init__(self, program: str, directory: Path, port: int, exporter: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._program, self._port = program, port
        self._config = directory / "alertmanager.yml"
        directory.mkdir()
        (directory / "exporter_token").write_text(TOKENS["alerts"])
        config = yaml.safe_load(switch_on((PROMETHEUS / "alertmanager.yml").read_text()))
        hooks = {each["name"]: each.get("webhook_configs", []) for each in config["receivers"]}
        for hook in hooks["remediation"]:
            hook["url"] = hook["url"].replace("http://exporter:19464", exporter)
            hook["http_config"]["authorization"]["credentials_file"] = str(directory / "exporter_token")
        for route in config["route"]["routes"]:
            if route.get("receiver") == "remediation":
                route |= {"group_interval": "1s", "repeat_interval": "2s"}
        silent = [{"name": name} for name in hooks if name != "remediation"]
        receivers = [*silent, {"name": "remediation", "webhook_configs": hooks["remediation"]}]
        own = {"route": config["route"], "inhibit_rules": config["inhibit_rules"], "receivers": receivers}
        self._config.write_text(yaml.safe_dump(own))
        self._running = ExitStack()

    def start(self) -> None:
        self._running.enter_context(running_alertmanager(self._program, self._config, self._port))

    def stop(self) -> None:
        self._running.close()

    def fire(self, alerts: Sequence[dict[str, str]], began: datetime, ended: datetime | None = None) -> None:
        """Post alerts as Prometheus does, which gives them another start after a restart."""
        ends = {"endsAt": ended.isoformat()} if ended is not None else {}
        body = [{"labels": labels, "startsAt": began.isoformat(), **ends} for labels in alerts]
        httpx.post(f"{self.url}/api/v2/alerts", json=body, timeout=TIMEOUT_SECONDS).raise_for_status()


def make_alerts(model: str) -> list[dict[str, str]]:
    """One incident: two severities, of several Prometheus servers."""
    return [
        {
            "alertname": "ModelErrorRateHigh",
            "severity": severity,
            "model": model,
            "model_version": "2",
            "column": "prediction",
            "prometheus": prometheus,
        }
        for severity in ("critical", "warning")
        for prometheus in ("a", "b", "c")
    ]


def deliver(exporter: str, alerts: Sequence[dict[str, str]]) -> None:
    """Post what Alertmanager would, many times at once, ends before beginnings, and grouped in any way."""
    now = datetime.now(UTC)

    def post(number: int) -> int:
        status = "resolved" if number % 4 == 0 else "firing"
        body = {
            "version": "4",
            "groupKey": f"{{}}:{{number={number % 3}}}",
            "status": status,
            "receiver": "remediation",
            "truncatedAlerts": 0,
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager:9093",
            "alerts": [
                {
                    "status": status,
                    "labels": labels,
                    "annotations": {},
                    "startsAt": (now - timedelta(seconds=number)).isoformat(),
                    "endsAt": now.isoformat() if status == "resolved" else "0001-01-01T00:00:00Z",
                    "generatorURL": "",
                    "fingerprint": f"{number:016x}",
                }
                for labels in alerts[number % len(alerts) :]
            ],
        }
        return client.post(f"{exporter}/v1/alerts", json=body).status_code

    with (
        httpx.Client(headers=bearer("alerts"), timeout=TIMEOUT_SECONDS) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        assert set(pool.map(post, range(40))) == {202}


@pytest.mark.needs("alertmanager")
@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_an_incident_leads_to_one_rollback_and_to_a_trail_that_proves_it(
    mlflow_server: MlflowServer,
    world: World,
    mlflow_environment: None,
    free_ports: FreePorts,
    tmp_path: Path,
) -> None:
    port, *manager_ports = free_ports(3)
    store = f"sqlite:///{tmp_path}/exporter.db"
    (tmp_path / "exporter.yml").write_text(CONFIG)
    scopes = "".join(f"{scope}: {token} {scope}\n" for scope, token in TOKENS.items())
    (tmp_path / "tokens").write_text(scopes)

    def start() -> ExporterProcess:
        process = ExporterProcess(
            store,
            port,
            tmp_path,
            mlflow_server.uri,
            config=tmp_path / "exporter.yml",
            api_tokens_file=tmp_path / "tokens",
            windows="4s,8s",
            block_seconds=1,
            evaluation_interval_seconds=1,
            mlflow_poll_interval_seconds=1,
            runs="false",
        )
        process.await_ready()
        return process

    def ask(path: str, **query: str) -> Any:
        answer = httpx.get(
            f"{exporter.url}{path}", params=query, headers=bearer("audit"), timeout=TIMEOUT_SECONDS
        )
        return answer.raise_for_status().json()

    def actions() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ask("/v1/remediations", model=model)["remediations"]
        return found

    def states() -> list[str]:
        return [each["state"] for each in actions()]

    def champion() -> str:
        return str(world.client.get_model_version_by_alias(model, "champion").version)

    # Without the newest edition of the distribution both are of the installed one.
    programs = [find_program("alertmanager", edition) for edition in EDITIONS]
    exporter = start()
    managers = [
        Manager(found or str(programs[0]), tmp_path / f"alertmanager-{number}", free, exporter.url)
        for number, (found, free) in enumerate(zip(programs, manager_ports, strict=True))
    ]
    try:
        for manager in managers:
            manager.start()
        files = {"extra_files/reference.parquet": make_reference()}
        model = world.log_version(files)
        world.client.set_registered_model_tag(model, "monitoring.auto_rollback", "true")
        alias = f'mlflow_model_alias_version{{model="{model}",alias="champion"}}'
        expect("first champion", lambda: exporter.sample(alias) == 1)
        world.log_version(files, model=model)
        expect("second champion", lambda: exporter.sample(alias) == 2)

        alerts, began = make_alerts(model), datetime.now(UTC)
        traffic = Traffic(exporter.url, model)
        with traffic.running():
            labels = f'model="{model}",model_version="2",column="prediction",role="prediction"'
            bad = f'mlflow_model_data_quality_degraded{{{labels},check="missing"}}'
            expect("verdict on version 2", lambda: exporter.sample(bad) == 1)
            for manager in managers:
                manager.fire(alerts, began)
            deliver(exporter.url, alerts)
            expect("rollback", lambda: champion() == "1")

            # Both are killed; what fires then has another start.
            expect("verification", lambda: states() == ["verifying"])
            exporter.kill()
            managers[0].stop()
            exporter = start()
            managers[0].start()
            for manager in managers:
                manager.fire(alerts, datetime.now(UTC))
            deliver(exporter.url, alerts)
            assert states() == ["verifying"]

            traffic.version = "1"  # the scorer has loaded the champion again
            expect("recovery", lambda: states() == ["recovered"])
            deliver(exporter.url, alerts)
            resolved = 'mlflow_exporter_alerts_received_total{status="resolved"}'
            before = exporter.sample(resolved) or 0
            for manager in managers:
                manager.fire(alerts, began, ended=datetime.now(UTC))
            # An inhibited alert ends unnoticed: the critical ones are half of them.
            expected = before + len(managers) * len(alerts) / 2
            expect("end of the alerts", lambda: (exporter.sample(resolved) or 0) >= expected)

        (action,) = actions()
        assert (action["model_version"], action["target_version"], champion()) == ("2", "1", "1")
        tags = world.client.get_registered_model(model).tags
        assert tags["monitoring.action_id"] == action["id"]
        moves = ask("/v1/audit", model=model, kind="alias_moved")["entries"]
        assert [move["model_version"] for move in moves] == ["1", "2", "1"]  # newest first
        steps = ask("/v1/audit", action_id=action["id"], kind="remediation")["entries"]
        *before, executing, applied, verifying, recovered = (
            step["data"]["state"] for step in reversed(steps)
        )
        assert (executing, applied, verifying) == ("executing", "applied", "verifying")
        assert recovered == "recovered"
        # Refused as long as a busy machine's evaluation is too old for evidence, and planned again.
        assert set(before) <= {"planned", "refused"}
    finally:
        for manager in managers:
            manager.stop()
        exporter.terminate()
    assert "Traceback" not in exporter.log
    command = [sys.executable, "-m", "exporter", "audit", "verify", "--json", "--store", store]
    verified = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    found = json.loads(verified.stdout)
    assert found["intact"]
    assert found["signed"] == [[1, found["records"]]]  # by the checkpoint at the end

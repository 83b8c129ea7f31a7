"""From a series on /metrics to a mail: real Prometheus and Alertmanager with the repository's files.

Only addresses and waiting times are rewritten, so that a test takes seconds.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.monitoring.alerting import PROMETHEUS, RULE_FILES, read_yaml
from tests.monitoring.servers import (
    Mailbox,
    Target,
    open_mailbox,
    running_alertmanager,
    running_prometheus,
    serving_target,
    wait_for,
)

pytestmark = pytest.mark.needs("prometheus", "alertmanager")

VERSION = 'model="flights",model_version="3"'
REFERENCE = 'run_id="r",task="classification",reference_source="tag",reference_digest="d"'


def exposition(*, drifted: bool) -> str:
    """A version with one column, on the two windows of which the short one may have drifted."""
    column = f'{VERSION},column="dep_delay",role="feature"'
    return f"""\
mlflow_model_alias_info{{{VERSION},alias="champion",team=""}} 1
mlflow_model_version_info{{{VERSION},{REFERENCE},variation="reference"}} 1
mlflow_model_drift_score{{{column},window="1h"}} {2.31 if drifted else 0.04}
mlflow_model_drift_limit{{{column},window="1h"}} 0.204
mlflow_model_drift_detected{{{column},window="1h"}} {int(drifted)}
mlflow_model_drift_score{{{column},window="24h"}} 0.08
mlflow_model_drift_limit{{{column},window="24h"}} 0.153
mlflow_model_drift_detected{{{column},window="24h"}} 0
"""


@dataclass(frozen=True)
class Stack:
    target: Target
    mailbox: Mailbox
    prometheus: str
    alertmanager: str

    def evaluates_and_delivers(self) -> bool:
        """Whether Prometheus has evaluated its rules and found Alertmanager: it drops what fires before."""
        alerts = httpx.get(f"{self.prometheus}/api/v1/alerts").raise_for_status().json()["data"]
        found = httpx.get(f"{self.prometheus}/api/v1/alertmanagers").raise_for_status().json()["data"]
        return bool(alerts["alerts"]) and bool(found["activeAlertmanagers"])

    def alerts(self) -> set[str]:
        """Names of the alerts that Alertmanager knows of."""
        answer = httpx.get(f"{self.alertmanager}/api/v2/alerts").raise_for_status()
        return {alert["labels"]["alertname"] for alert in answer.json()}

    def let_every_group_have_its_turn(self) -> None:
        """Returns when what is known now has been mailed, or never will: a younger alert came and went."""
        self.post({"labels": {"alertname": "Marker", "severity": "warning"}})
        self.mailbox.wait_for("[warning] Marker")
        now = datetime.now(UTC).isoformat()
        self.post({"labels": {"alertname": "Marker", "severity": "warning"}, "endsAt": now})
        self.mailbox.wait_for("[resolved] Marker")

    def post(self, alert: dict[str, Any]) -> None:
        httpx.post(f"{self.alertmanager}/api/v2/alerts", json=[alert]).raise_for_status()


def hasten_rules(directory: Path) -> None:
    (directory / "rules").mkdir()
    for path in RULE_FILES:
        text = re.sub(r"^( +(?:for|keep_firing_for)): .*$", r"\1: 2s", path.read_text(), flags=re.MULTILINE)
        (directory / "rules" / path.name).write_text(text.replace("[5m]", "[5s]"))


def hasten_prometheus(directory: Path, ports: dict[str, int]) -> Path:
    config = read_yaml(PROMETHEUS / "prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "500ms"}

    def redirect(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {key: redirect(value) for key, value in tree.items()}
        if isinstance(tree, list):
            return [redirect(item) for item in tree]
        return f"127.0.0.1:{ports[tree]}" if tree in ports else tree

    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(redirect(config)))
    return path


def hasten_alertmanager(directory: Path, smtp_port: int) -> Path:
    shutil.copytree(PROMETHEUS / "templates", directory / "templates")
    config = read_yaml(PROMETHEUS / "alertmanager.yml")
    config["global"]["smtp_smarthost"] = f"127.0.0.1:{smtp_port}"
    config["route"]["group_wait"] = "500ms"
    config["route"]["group_interval"] = "1s"
    path = directory / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def stack(
    tmp_path: Path, program: Callable[[str], str], free_ports: Callable[[int], list[int]]
) -> Iterator[Stack]:
    target_port, smtp_port, prometheus_port, alertmanager_port = free_ports(4)
    ports = {
        "exporter:19464": target_port,
        "localhost:9090": prometheus_port,
        "alertmanager:9093": alertmanager_port,
    }
    hasten_rules(tmp_path)
    prometheus = hasten_prometheus(tmp_path, ports)
    alertmanager = hasten_alertmanager(tmp_path, smtp_port)
    with ExitStack() as servers:
        target = servers.enter_context(serving_target(target_port))
        target.exposition = exposition(drifted=False)
        mailbox = servers.enter_context(open_mailbox(smtp_port))
        stack = Stack(
            target,
            mailbox,
            servers.enter_context(running_prometheus(program("prometheus"), prometheus, prometheus_port)),
            servers.enter_context(
                running_alertmanager(program("alertmanager"), alertmanager, alertmanager_port)
            ),
        )
        wait_for("way from the rules to Alertmanager", stack.evaluates_and_delivers)
        yield stack


def test_drift_arrives_as_a_mail_and_so_does_its_end(stack: Stack) -> None:
    assert stack.mailbox.mails == []  # the rules have been evaluated by now

    stack.target.exposition = exposition(drifted=True)
    mail = stack.mailbox.wait_for("[warning] ModelFeatureDrift in flights v3: dep_delay")
    assert mail["To"] == "mlops-oncall@example.org"
    for part in ("plain", "html"):
        body = mail.get_body((part,))
        assert body is not None
        content = body.get_content()
        assert "at most 0.204 over 1h" in content or "PSI 2.310 over 1h, limit 0.204" in content
        assert "champion" in content
        assert "/prometheus/runbooks/ModelFeatureDrift.md" in content
        assert "/d/mlflow-model?var-model=flights" in content

    stack.target.exposition = exposition(drifted=False)
    stack.mailbox.wait_for("[resolved] ModelFeatureDrift in flights v3: dep_delay")
    assert len(stack.mailbox.mails) == 2  # one each, although the rules were evaluated many times


def test_a_dead_exporter_is_told_and_not_taken_for_recovery(stack: Stack) -> None:
    stack.target.exposition = exposition(drifted=True)
    stack.mailbox.wait_for("[warning] ModelFeatureDrift in flights v3: dep_delay")

    stack.target.exposition = None
    stack.mailbox.wait_for("[critical] MLflowExporterDown")
    wait_for("end of the drift alert", lambda: "ModelFeatureDrift" not in stack.alerts())
    stack.let_every_group_have_its_turn()
    assert not [s for s in stack.mailbox.subjects if s.startswith("[resolved] ModelFeatureDrift")]

"""The repository's Prometheus and Alertmanager files at work: from what is scraped to mails and messages.

Everything that is off is switched on; addresses and waiting times are rewritten, so that it takes seconds.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.prometheus.alerting import PROMETHEUS, RULE_FILES, read_yaml, switch_on
from tests.prometheus.servers import (
    Mailbox,
    Webhooks,
    open_mailbox,
    relaying_alerts,
    running_alertmanager,
    running_prometheus,
    serving_webhooks,
    wait_for,
)
from tests.support.fakes import TIMEOUT_SECONDS

Program = Callable[[str], str]
FreePorts = Callable[[int], list[int]]

MARKERS = count()
SHORT = {"30s": "1500ms", "1m": "1s", "5m": "1s"}  # the first is an evaluation of the exporter here, too


@dataclass(frozen=True)
class Delivery:
    """An Alertmanager and all that it sends to, and the Prometheus that it hears of, if there is one."""

    url: str
    mailbox: Mailbox
    webhooks: Webhooks
    prometheus: str = ""

    def fire(self, *alerts: dict[str, Any]) -> None:
        self._post(
            [{"labels": {"severity": "warning", **alert}, "annotations": ANNOTATIONS} for alert in alerts]
        )

    def resolve(self, *alerts: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat()
        self._post([{"labels": {"severity": "warning", **alert}, "endsAt": now} for alert in alerts])

    def _post(self, alerts: list[dict[str, Any]]) -> None:
        httpx.post(f"{self.url}/api/v2/alerts", json=alerts, timeout=TIMEOUT_SECONDS).raise_for_status()

    def alerts(self) -> set[str]:
        """Names of the alerts that Alertmanager knows of."""
        answer = httpx.get(
            f"{self.url}/api/v2/alerts", timeout=TIMEOUT_SECONDS, verify=False
        ).raise_for_status()
        return {alert["labels"]["alertname"] for alert in answer.json()}

    def forget(self, metric: str) -> None:
        """Now, and not when Prometheus has lost sight of it: rules look back for minutes."""
        answer = httpx.post(
            f"{self.prometheus}/api/v1/admin/tsdb/delete_series",
            params={"match[]": metric},
            timeout=TIMEOUT_SECONDS,
        )
        answer.raise_for_status()

    def let_every_group_have_its_turn(self) -> None:
        """Returns when what is known now has been told, or never will: a younger alert came and went."""
        marker = f"Marker{next(MARKERS)}"
        self.fire({"alertname": marker})
        self.mailbox.wait_for(f"[warning] {marker}")
        self.webhooks.wait_for_slack(f"[warning] {marker}")
        self.resolve({"alertname": marker})
        self.mailbox.wait_for(f"[resolved] {marker}")
        self.webhooks.wait_for_slack(f"[resolved] {marker}")


# What an alert of the rules brings along.
ANNOTATIONS = {
    "summary": "Something is the matter.",
    "description": "First: look.",
    "observed": "PSI 2.310",
    "expected": "at most 0.204 over 1h",
    "runbook_url": "https://example.org/runbook.md",
    "dashboard_url": "http://localhost:3000/d/mlflow-model",
}


@contextmanager
def delivering(directory: Path, program: Program, free_ports: FreePorts) -> Iterator[Delivery]:
    """Alertmanager alone: alerts come from the test."""
    smtp_port, http_port, port = free_ports(3)
    config = hasten_alertmanager(directory, smtp_port, http_port)
    with (
        open_mailbox(smtp_port) as mailbox,
        serving_webhooks(http_port) as webhooks,
        running_alertmanager(program("alertmanager"), config, port) as url,
    ):
        yield Delivery(url, mailbox, webhooks)


@contextmanager
def alerting(directory: Path, program: Program, free_ports: FreePorts, exporter: int) -> Iterator[Delivery]:
    """Prometheus scrapes what listens on the port `exporter`, and evaluates the rules."""
    with delivering(directory, program, free_ports) as delivery:
        port, relay = free_ports(2)
        config = hasten_prometheus(
            directory,
            {
                "exporter:19464": f"127.0.0.1:{exporter}",
                "localhost:9090": f"127.0.0.1:{port}",
                "alertmanager:9093": f"127.0.0.1:{relay}",
            },
        )
        hasten_rules(directory)
        with (
            relaying_alerts(relay, delivery.url),
            running_prometheus(program("prometheus"), config, port) as prometheus,
        ):
            wait_for("way from the rules to receivers", lambda: delivery.webhooks.at("/dead-mans-switch"))
            # Prometheus takes five seconds to find its targets. As short as times are here, this is told.
            wait_for("scrape of the exporter", lambda: "MLflowExporterDown" not in delivery.alerts())
            delivery.let_every_group_have_its_turn()
            delivery.mailbox.mails.clear()
            delivery.webhooks.posts.clear()
            yield replace(delivery, prometheus=prometheus)


def shorten(setting: re.Match[str]) -> str:
    seconds = 30 if setting[2] == "1d" else 3 if setting[1].endswith(" for") else 2
    return f"{setting[1]}: {seconds}s"


def hasten_rules(directory: Path) -> None:
    (directory / "rules").mkdir()
    for path in RULE_FILES:
        text = re.sub(r"^( +(?:for|keep_firing_for)): (.*)$", shorten, path.read_text(), flags=re.MULTILINE)
        # What explains a drift has to be there before it, however busy the machine is.
        text = re.sub(r"(alert: ModelDriftExplained\n(?:.*\n)*?        for:) .*", r"\1 0s", text)
        (directory / "rules" / path.name).write_text(text)


def hasten_prometheus(directory: Path, addresses: dict[str, str]) -> Path:
    config = read_yaml(PROMETHEUS / "prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "500ms"}

    def redirect(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {key: redirect(value) for key, value in tree.items()}
        if isinstance(tree, list):
            return [redirect(item) for item in tree]
        return addresses.get(tree, tree)

    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(redirect(config)))
    return path


def hasten_alertmanager(directory: Path, smtp_port: int, http_port: int) -> Path:
    shutil.copytree(PROMETHEUS / "templates", directory / "templates")
    config = yaml.safe_load(switch_on((PROMETHEUS / "alertmanager.yml").read_text()))
    secrets = {"slack_url": f"http://127.0.0.1:{http_port}/slack", "exporter_token": "secret"}
    for name, secret in secrets.items():
        (directory / name).write_text(secret)
    config["global"] |= {
        "smtp_smarthost": f"127.0.0.1:{smtp_port}",
        "slack_api_url_file": str(directory / "slack_url"),
    }
    for setting in ("smtp_auth_username", "smtp_auth_password_file"):
        del config["global"][setting]  # the mailbox asks for none
    for receiver in config["receivers"]:
        for webhook in receiver.get("webhook_configs", []):
            webhook["url"] = f"http://127.0.0.1:{http_port}/{receiver['name']}"
            if "http_config" in webhook:
                webhook["http_config"]["authorization"]["credentials_file"] = str(
                    directory / "exporter_token"
                )
    _hasten(config["route"])
    path = directory / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def _hasten(route: dict[str, Any]) -> None:
    route.update(
        {name: SHORT[value] for name, value in route.items() if isinstance(value, str) and value in SHORT}
    )
    for child in route.get("routes", []):
        _hasten(child)

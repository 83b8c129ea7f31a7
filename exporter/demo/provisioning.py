"""The repository's own Prometheus and Alertmanager files, pointed at the demo's ports.

Targets, ports, paths and intervals are replaced. The rules, their limits, the routing and the mail's
templates are used as they are: what the demo shows is what they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import exporter
from exporter.demo.errors import DemoError
from exporter.demo.pace import SCRAPE_INTERVAL_SECONDS

# In ten seconds a share of bad values becomes critical here, and the warning before it is not mailed then.
# What breaks next is told soon: days are seconds.
GROUP_WAIT_SECONDS = 10
GROUP_INTERVAL_SECONDS = 15


def find_files() -> Path:
    """The directory with prometheus.yml: of the checkout, or of the installed package.

    Raises:
        DemoError: there is none.
    """
    package = Path(exporter.__file__).parent
    for directory in (package.parent / "prometheus", package / "_prometheus"):
        if (directory / "prometheus.yml").is_file():
            return directory
    raise DemoError(f"the Prometheus and Alertmanager files that belong to {package} are missing")


def prometheus_configuration(files: Path, addresses: Mapping[str, str]) -> str:
    """prometheus.yml for the demo.

    Args:
        files: the directory of the original.
        addresses: who listens where, by the target's name in the original. Targets that are not among them do
            not run here, and would only be reported as down.
    """
    content = _read(files / "prometheus.yml")
    content["global"]["scrape_interval"] = f"{SCRAPE_INTERVAL_SECONDS}s"
    content["global"]["evaluation_interval"] = f"{SCRAPE_INTERVAL_SECONDS}s"
    content["rule_files"] = [str(files / pattern) for pattern in content["rule_files"]]
    for manager in content["alerting"]["alertmanagers"]:
        _replace_targets(manager, addresses)
    jobs = content["scrape_configs"]
    for job in jobs:
        _replace_targets(job, addresses)
    content["scrape_configs"] = [
        job for job in jobs if any(group["targets"] for group in job["static_configs"])
    ]
    return yaml.safe_dump(content, sort_keys=False)


def alertmanager_configuration(files: Path, smarthost: str) -> str:
    """alertmanager.yml for the demo, whose mails go to `smarthost` (host:port)."""
    content = _read(files / "alertmanager.yml")
    content["global"]["smtp_smarthost"] = smarthost
    content["templates"] = [str(files / pattern) for pattern in content["templates"]]
    _hurry(content["route"])
    return yaml.safe_dump(content, sort_keys=False)


def _replace_targets(discovery: dict[str, Any], addresses: Mapping[str, str]) -> None:
    for group in discovery["static_configs"]:
        group["targets"] = [addresses[name] for name in group["targets"] if name in addresses]


def _hurry(route: dict[str, Any]) -> None:
    for name, seconds in (("group_wait", GROUP_WAIT_SECONDS), ("group_interval", GROUP_INTERVAL_SECONDS)):
        if name in route:
            route[name] = f"{seconds}s"
    for child in route.get("routes", []):
        _hurry(child)


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content

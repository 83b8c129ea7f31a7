"""Provisioning: data sources with fixed uids, and the folder of the dashboards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROVISIONING = ROOT / "grafana" / "provisioning"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def entries(kind: str, key: str) -> list[dict[str, Any]]:
    files = sorted((PROVISIONING / kind).glob("*.yml"))
    assert files
    return [entry for path in files for entry in load(path)[key]]


def datasources() -> dict[str, dict[str, Any]]:
    return {source["uid"]: source for source in entries("datasources", "datasources")}


def test_every_folder_that_grafana_reads_is_there() -> None:
    # Grafana logs an error at every start for one that is missing, also for those with nothing in them.
    assert {path.name for path in PROVISIONING.iterdir()} == {
        "alerting",
        "dashboards",
        "datasources",
        "plugins",
    }


def test_data_sources_have_fixed_uids_and_one_is_the_default() -> None:
    assert {uid: source["type"] for uid, source in datasources().items()} == {
        "prometheus": "prometheus",
        "alertmanager": "alertmanager",
    }
    assert [uid for uid, source in datasources().items() if source.get("isDefault")] == ["prometheus"]


def test_alerts_are_looked_up_in_a_data_source_that_exists() -> None:
    assert datasources()["prometheus"]["jsonData"]["alertmanagerUid"] in datasources()


def test_the_scrape_interval_is_prometheus_own() -> None:
    # Grafana makes the range of rate() of it: one that is too short shows gaps.
    scraped = load(ROOT / "prometheus" / "prometheus.yml")["global"]["scrape_interval"]
    assert datasources()["prometheus"]["jsonData"]["timeInterval"] == scraped


def test_dashboards_come_from_files_only() -> None:
    (provider,) = entries("dashboards", "providers")
    assert provider["type"] == "file"
    assert provider["allowUiUpdates"] is False
    assert provider["disableDeletion"] is True


def test_what_compose_mounts_is_where_grafana_looks() -> None:
    (provider,) = entries("dashboards", "providers")
    mounted = {
        target: ROOT / source
        for source, target, *_ in (
            volume.split(":")
            for volume in load(ROOT / "docker-compose.yml")["services"]["grafana"]["volumes"]
        )
    }
    assert mounted["/etc/grafana/provisioning"] == PROVISIONING
    assert list(mounted[provider["options"]["path"]].glob("*.json"))

"""Deliveries as Alertmanager sends them."""

from __future__ import annotations

from typing import Any

import orjson

from exporter.fleet import Fleet, Version
from exporter.remediation.alerts import Alert
from exporter.settings import Settings
from exporter.storage.schema import AliasMove, StoredVersion
from tests.support.rig import NOON

LABELS = {
    "alertname": "ModelQualityDegraded",
    "severity": "critical",
    "model": "fraud",
    "model_version": "3",
    "metric": "recall",
    "team": "risk",
}


def make_alert(status: str = "firing", **labels: str) -> dict[str, Any]:
    """Return an alert on version 3 of `fraud`; a label that is empty is left out, as Prometheus does."""
    said = {name: value for name, value in {**LABELS, **labels}.items() if value}
    return {
        "status": status,
        "labels": said,
        "annotations": {"summary": "recall of fraud v3 is 0.62", "description": "at least 0.75"},
        "startsAt": "2026-02-16T11:52:26.739266876+02:00",
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-02-16T12:30:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up&g0.tab=1",
        "fingerprint": "1a30ba71cca2921f",
    }


def make_webhook(*alerts: dict[str, Any], **own: Any) -> dict[str, Any]:
    """Return a document of the webhook, which Alertmanager makes of one group."""
    found = list(alerts) or [make_alert()]
    return {
        "receiver": "remediation",
        "status": "firing",
        "alerts": found,
        "groupLabels": {"alertname": "ModelQualityDegraded", "model": "fraud"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "version": "4",
        "groupKey": '{}:{alertname="ModelQualityDegraded", model="fraud"}',
        "truncatedAlerts": 0,
        **own,
    }


def make_body(*alerts: dict[str, Any], **own: Any) -> bytes:
    return orjson.dumps(make_webhook(*alerts, **own))


def read_alert(status: str = "firing", **labels: str) -> Alert:
    """Return the same alert as it is read."""
    said = {name: value for name, value in {**LABELS, **labels}.items() if value}
    return Alert("resolved" if status == "resolved" else "firing", said, {"summary": "?"}, NOON)


def make_fleet(*versions: str, moves: str = "2 3", alias: str = "champion") -> Fleet:
    """Return a fleet with versions of `fraud` and a history of the alias, a day a move; `-` removes it."""
    fleet = Fleet(Settings())
    for key, version in enumerate(versions or ("2", "3", "4"), 1):
        fleet.add(Version(StoredVersion(key, "fraud", version, 0, None, "", 0)))
    numbers = moves.split()
    fleet.record(
        AliasMove("fraud", alias, number.replace("-", ""), NOON - 86400.0 * (len(numbers) - index))
        for index, number in enumerate(numbers)
    )
    return fleet

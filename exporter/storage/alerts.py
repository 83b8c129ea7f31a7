"""Stored deliveries of Alertmanager and their alerts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from exporter.errors import decoding
from exporter.storage.schema import alert_deliveries, alerts

ALERT_RETENTION_SECONDS = 45 * 86400.0
MAX_STORED = 100_000  # alerts, and deliveries


@dataclass(frozen=True)
class StoredDelivery:
    """A delivery: `alerts` came, of which the first are stored; `truncated` were left out by Alertmanager."""

    at: float
    actor: str
    receiver: str
    group_key: str
    alerts: int
    truncated: int


@dataclass(frozen=True)
class StoredAlert:
    """An alert as it was delivered; times are in seconds since the epoch."""

    at: float
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: float | None
    ends_at: float | None
    fingerprint: str


def add_delivery(connection: sa.Connection, delivery: StoredDelivery, kept: Sequence[StoredAlert]) -> int:
    """Store a delivery with alerts, and return its id."""
    key = connection.execute(alert_deliveries.insert(), vars(delivery)).inserted_primary_key
    assert key is not None
    rows = [
        {
            **vars(alert),
            "delivery_id": int(key[0]),
            "alertname": alert.labels.get("alertname", ""),
            "model": alert.labels.get("model", ""),
            "model_version": alert.labels.get("model_version", ""),
            "labels": _encode(alert.labels),
            "annotations": _encode(alert.annotations),
        }
        for alert in kept
    ]
    if rows:
        connection.execute(alerts.insert(), rows)
    return int(key[0])


def load_alerts(
    connection: sa.Connection, limit: int, *, since: float = 0.0, fingerprint: str = ""
) -> list[StoredAlert]:
    """Return stored alerts, newest first; those with one fingerprint, if it is given."""
    columns = alerts.c
    query = sa.select(alerts).where(columns.at >= since).order_by(columns.id.desc()).limit(limit)
    if fingerprint:
        query = query.where(columns.fingerprint == fingerprint)
    with decoding("a stored alert"):
        return [
            StoredAlert(
                at=row.at,
                status=row.status,
                labels=json.loads(row.labels),
                annotations=json.loads(row.annotations),
                starts_at=row.starts_at,
                ends_at=row.ends_at,
                fingerprint=row.fingerprint,
            )
            for row in connection.execute(query)
        ]


def expire_alerts(connection: sa.Connection, before: float) -> None:
    """Delete deliveries and alerts from before a time, and the oldest beyond the number that is kept."""
    for table in (alerts, alert_deliveries):
        beyond = sa.select(sa.func.max(table.c.id) - MAX_STORED).scalar_subquery()
        connection.execute(sa.delete(table).where(sa.or_(table.c.at < before, table.c.id <= beyond)))


def _encode(values: Mapping[str, str]) -> str:
    return json.dumps(dict(values), ensure_ascii=False, sort_keys=True)

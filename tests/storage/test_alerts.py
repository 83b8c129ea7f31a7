"""Stored deliveries and alerts, and how long they are kept."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from exporter.storage import alerts as module
from exporter.storage.alerts import StoredAlert, StoredDelivery, add_delivery, expire_alerts, load_alerts
from exporter.storage.schema import alert_deliveries
from exporter.storage.store import Store


def make_labels(model: str) -> dict[str, str]:
    return {"alertname": "A", "model": model, "é": "ü"}


def deliver(store: Store, at: float, *models: str) -> int:
    found = [
        StoredAlert(at, "firing", make_labels(model), {"summary": "s"}, at - 60, None, "f")
        for model in models
    ]
    with store.writing() as connection:
        return add_delivery(connection, StoredDelivery(at, "am", "remediation", "{}", len(models), 0), found)


def loaded(store: Store, limit: int = 100, **said: object) -> list[tuple[float, str]]:
    with store.reading() as connection:
        return [(alert.at, alert.labels["model"]) for alert in load_alerts(connection, limit, **said)]  # type: ignore[arg-type]


def test_alerts_come_back_newest_first(store: Store) -> None:
    assert deliver(store, 100.0, "a", "b") < deliver(store, 200.0, "a")
    deliver(store, 300.0)  # without alerts
    assert loaded(store) == [(200.0, "a"), (100.0, "b"), (100.0, "a")]
    assert loaded(store, 1) == [(200.0, "a")]
    assert loaded(store, since=150.0) == [(200.0, "a")]
    with store.reading() as connection:
        found = load_alerts(connection, 1)[0]
    assert found == StoredAlert(200.0, "firing", make_labels("a"), {"summary": "s"}, 140.0, None, "f")


def test_they_expire_by_time_and_by_number(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in (100.0, 200.0, 300.0, 400.0):
        deliver(store, at, "a")
    with store.writing() as connection:
        expire_alerts(connection, 200.0)
    assert [at for at, _ in loaded(store)] == [400.0, 300.0, 200.0]
    monkeypatch.setattr(module, "MAX_STORED", 1)
    with store.writing() as connection:
        expire_alerts(connection, 0.0)
        assert connection.scalar(sa.select(sa.func.count()).select_from(alert_deliveries)) == 1
    assert [at for at, _ in loaded(store)] == [400.0]


def test_retention_takes_them_along(store: Store) -> None:
    for at in (100.0, 200.0):
        deliver(store, at, "a")
    with store.begin() as transaction:
        transaction.expire(
            keys_before=0.0,
            blocks_before=0.0,
            outcomes_before=0.0,
            alerts_before=150.0,
            sources_before=0.0,
            days_before=0,
        )
    assert [at for at, _ in loaded(store)] == [200.0]

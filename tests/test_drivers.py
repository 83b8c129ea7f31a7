"""Drivers that are not installed."""

from __future__ import annotations

import pytest

from exporter.drivers import missing_artifact_driver, missing_driver
from exporter.errors import ConfigError
from exporter.settings import load_settings
from exporter.storage.store import Store


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the small image, whatever is installed here."""
    monkeypatch.setattr("exporter.drivers.find_spec", lambda name: None)


def test_what_is_installed_is_not_missing() -> None:
    assert missing_driver("psycopg") == ""
    assert missing_artifact_driver("mlflow-artifacts") == ""


def test_a_store_in_postgresql_says_that_it_takes_psycopg(without: None) -> None:
    with pytest.raises(ConfigError, match=r"psycopg\[binary\] is not installed: .* target `full`"):
        Store("postgresql://user:secret@host/name")


def test_a_role_of_a_kafka_group_says_that_it_takes_a_client_of_kafka(without: None) -> None:
    group = {"ROLE": "worker", "STORE": "postgresql://host/name", "KAFKA_BROKERS": "kafka:9092"}
    with pytest.raises(ConfigError, match=r"EXPORTER_ROLE=worker: confluent-kafka is not installed"):
        load_settings({f"EXPORTER_{name}": value for name, value in group.items()})

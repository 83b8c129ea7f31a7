"""Clients come from the settings and the file of properties; what cannot be used is told by name."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.kafka.configuration import (
    Sparing,
    make_admin,
    make_consumer,
    make_producer,
    read_properties,
)
from exporter.settings import Settings


def settings_for(directory: Path, *lines: str) -> Settings:
    file = directory / "kafka.properties"
    file.write_text("\n".join(lines))
    return Settings(role="worker", kafka_brokers=("127.0.0.1:1",), kafka_config_file=str(file))


def test_the_file_has_properties_of_librdkafka_and_comments(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "# SASL", "", " sasl.password = a=b ", "linger.ms=7")

    assert read_properties(settings) == {"sasl.password": "a=b", "linger.ms": "7"}
    assert read_properties(Settings()) == {}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("linger.ms", "line 1: it has to be property=value$"),
        ("group.id=other", r"line 1: group\.id is not for this file \(EXPORTER_KAFKA_GROUP\)$"),
        ("acks=1", r"line 1: acks is not for this file \(all replicas in sync"),
        ("enable.auto.commit=true", "offsets are in the store"),
        ("a=1\na=2", "line 2: a is there twice$"),
    ],
)
def test_a_line_that_cannot_be_used_is_told(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        read_properties(settings_for(tmp_path, line))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff")
    for name, reason in [("/none", "cannot be read: No such file"), (str(binary), "is no text$")]:
        with pytest.raises(ConfigError, match=reason):
            read_properties(Settings(kafka_config_file=name))
    large = settings_for(tmp_path, "#" * 70_000)
    with pytest.raises(ConfigError, match="more than 65536 bytes"):
        read_properties(large)


@pytest.mark.parametrize("make", [make_producer, make_consumer, make_admin])
def test_a_property_that_librdkafka_refuses_is_told_without_secrets(tmp_path: Path, make: object) -> None:
    assert callable(make)
    with pytest.raises(ConfigError, match=r"^EXPORTER_KAFKA_CONFIG_FILE: Java JAAS .* is not supported"):
        make(settings_for(tmp_path, "sasl.jaas.config=x"))
    with pytest.raises(ConfigError) as error:
        make(settings_for(tmp_path, "security.protocol=hunter2", "sasl.password=hunter2"))
    assert "hunter2" not in str(error.value)


def test_properties_of_producers_and_consumers_may_be_in_one_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(
        tmp_path, "linger.ms=7", "session.timeout.ms=9000", "client.rack=a", "log_level=4"
    )
    for make in (make_producer, make_consumer, make_admin):
        make(settings)

    assert "CONFWARN" not in capfd.readouterr().err


def test_a_broker_that_is_down_is_logged_once_a_minute() -> None:
    now = [0.0]
    sparing = Sparing(lambda: now[0])

    def passes(text: str) -> bool:
        return sparing.filter(logging.makeLogRecord({"msg": text}))

    attempts = [f"kafka:9092: Connect to 10.0.0.1:9092 failed (after {n}ms)" for n in (3, 0, 12)]
    assert [passes(text) for text in attempts] == [True, False, False]
    assert passes("kafka:9092: authentication failed")
    now[0] = 61.0
    assert passes(attempts[0])

"""Clients of the brokers, from the settings and the file of librdkafka's properties."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.errors import ConfigError
from exporter.formats.texts import first_line
from exporter.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer
    from confluent_kafka import KafkaError as DriverError
    from confluent_kafka.admin import AdminClient

Properties = dict[str, str | int | float | bool]

MAX_MESSAGE_BYTES = 1_000_000  # librdkafka's default
# Of the largest message, for its key and its headers: names and ids have 256 characters at most.
ENVELOPE_BYTES = 8192
DELIVERY_SECONDS = 10  # for the brokers to have a message, after which its request is refused
SESSION_SECONDS = 6  # without a heartbeat, after which the group gives a worker's partitions to others
MAX_FILE_BYTES = 2**16

# Of the brokers' connection and of all clients: set here, since a group does not work with others.
_OURS = {
    "bootstrap.servers": "EXPORTER_KAFKA_BROKERS",
    "metadata.broker.list": "EXPORTER_KAFKA_BROKERS",
    "group.id": "EXPORTER_KAFKA_GROUP",
    "group.protocol": "the classic protocol",
    "enable.auto.commit": "offsets are in the store",
    "enable.auto.offset.store": "offsets are in the store",
    "auto.offset.reset": "offsets are in the store",
    "isolation.level": "no transactions of Kafka are used",
    "enable.idempotence": "messages are produced once and in order",
    "acks": "all replicas in sync have what is answered with 202",
    "request.required.acks": "all replicas in sync have what is answered with 202",
    "partitioner": "murmur2",
    "transactional.id": "no transactions of Kafka are used",
}
# Of consumers alone, with which another client logs a warning; and the other way round.
_CONSUMING = (
    *("session.", "heartbeat.", "max.poll.", "partition.assignment.", "fetch.", "queued.", "group."),
    *("check.crcs", "enable.partition.eof", "max.partition.fetch.", "coordinator."),
)
_PRODUCING = (
    *("linger.", "batch.", "compression.", "delivery.", "message.timeout.", "queue.buffering."),
    *("request.timeout.", "retries", "sticky.", "max.in.flight", "message.send.max.retries"),
)
_SECRET = ("password", "secret", "key", "jaas", "config")


class Sparing(logging.Filter):
    """Passes a line of the driver once a minute: it logs every attempt to reach a broker, twice a second."""

    SECONDS, MOST = 60.0, 1000

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._passed: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return false for a line that differs in numbers only from one of the last minute."""
        now, line = self._monotonic(), re.sub(r"\d+", "0", record.getMessage())
        if now - self._passed.get(line, -self.SECONDS) < self.SECONDS:
            return False
        if len(self._passed) >= self.MOST:
            self._passed.clear()
        self._passed[line] = now
        return True


log = logging.getLogger("exporter.kafka")  # of the driver
log.addFilter(Sparing())


def make_producer(
    settings: Settings,
    note_error: Callable[[DriverError], None] = lambda _: None,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
) -> Producer:
    """Idempotent producer that asks all replicas in sync.

    Args:
        settings: brokers, and the file of properties.
        note_error: called with errors of the driver, in the threads that poll and flush.
        max_message_bytes: unless the file says otherwise.

    Raises:
        ConfigError: a property cannot be used.
    """
    with _Checking(settings):
        from confluent_kafka import Producer

        defaults: Properties = {
            "delivery.timeout.ms": 1000 * DELIVERY_SECONDS,
            "linger.ms": 5,
            "compression.type": "lz4",
            "queue.buffering.max.kbytes": 2**16,
            "message.max.bytes": max_message_bytes,
        }
        fixed: Properties = {"enable.idempotence": True, "acks": "all", "partitioner": "murmur2"}
        properties = _without(_CONSUMING, defaults | _read(settings)) | _brokers(settings) | fixed
        return Producer(properties | {"error_cb": note_error}, logger=log)


def make_consumer(settings: Settings) -> Consumer:
    """Consumer of the group, whose offsets are in the store.

    Raises:
        ConfigError: a property cannot be used.
    """
    with _Checking(settings):
        from confluent_kafka import Consumer

        defaults: Properties = {
            "session.timeout.ms": 1000 * SESSION_SECONDS,
            "heartbeat.interval.ms": 1000 * SESSION_SECONDS // 3,
            "partition.assignment.strategy": "cooperative-sticky",
            # Beyond the longest commit.
            "max.poll.interval.ms": 300_000,
        }
        fixed: Properties = {
            "group.id": settings.kafka_group,
            "group.protocol": "classic",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
        }
        properties = _without(_PRODUCING, defaults | _read(settings)) | _brokers(settings) | fixed
        return Consumer(properties, logger=log)


def make_admin(settings: Settings) -> AdminClient:
    """Client that asks the brokers about topics.

    Raises:
        ConfigError: a property cannot be used.
    """
    with _Checking(settings):
        from confluent_kafka.admin import AdminClient

        properties = _without(_CONSUMING + _PRODUCING, _read(settings))
        return AdminClient(properties | _brokers(settings), logger=log)


def read_properties(settings: Settings) -> Properties:
    """Properties of EXPORTER_KAFKA_CONFIG_FILE, empty without one.

    Raises:
        ConfigError: it cannot be read, a line is no property, or one is not for it to say.
    """
    name = settings.kafka_config_file
    if not name:
        return {}
    try:
        with Path(name).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        text = content.decode()
    except OSError as error:
        raise ConfigError(f"EXPORTER_KAFKA_CONFIG_FILE {name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"EXPORTER_KAFKA_CONFIG_FILE {name} is no text") from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"EXPORTER_KAFKA_CONFIG_FILE {name} has more than {MAX_FILE_BYTES} bytes")
    properties: Properties = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        place = f"EXPORTER_KAFKA_CONFIG_FILE {name}, line {number}"
        if not equals or not key:
            raise ConfigError(f"{place}: it has to be property=value")
        if key in _OURS:
            raise ConfigError(f"{place}: {key} is not for this file ({_OURS[key]})")
        if key in properties:
            raise ConfigError(f"{place}: {key} is there twice")
        properties[key] = value
    return properties


def _brokers(settings: Settings) -> Properties:
    return {"bootstrap.servers": ",".join(settings.kafka_brokers), "client.id": "mlflow-exporter"}


def _read(settings: Settings) -> Properties:
    """Properties of the file, and defaults of all clients."""
    # Each attempt to connect would be logged.
    return {"reconnect.backoff.ms": 1000, "log.connection.close": False} | read_properties(settings)


def _without(prefixes: tuple[str, ...], properties: Properties) -> Properties:
    return {name: value for name, value in properties.items() if not name.startswith(prefixes)}


class _Checking:
    """Context in which errors of the driver are told as `ConfigError`, without values that are secret."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None or isinstance(error, ConfigError):
            return
        if type(error).__name__ != "KafkaException" and not isinstance(error, ValueError | TypeError):
            return
        shown = str(getattr(error.args[0], "str", lambda: error)()) if error.args else str(error)
        for name, value in read_properties(self._settings).items():
            if any(part in name for part in _SECRET):
                shown = shown.replace(str(value), "***")
        raise ConfigError(f"EXPORTER_KAFKA_CONFIG_FILE: {first_line(Exception(shown))}") from None

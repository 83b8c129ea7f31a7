"""Facts about a topic, from the brokers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.errors import ConfigError, KafkaError

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

_LIMIT = "max.message.bytes"


@dataclass(frozen=True)
class Topic:
    """`max_message_bytes` is None where the brokers do not tell."""

    name: str
    partitions: int
    max_message_bytes: int | None = None


def find_topic(admin: AdminClient, name: str, timeout_seconds: float) -> Topic:
    """Ask the brokers about a topic, without making it.

    Raises:
        ConfigError: there is no such topic, or we may not see it.
        KafkaError: the brokers give no answer.
    """
    from confluent_kafka import KafkaError as DriverError
    from confluent_kafka import KafkaException, TopicCollection

    asked = admin.describe_topics(TopicCollection([name]), request_timeout=timeout_seconds)
    try:
        described = asked[name].result(timeout_seconds + 1)
    except KafkaException as error:
        code = error.args[0].code()
        if code == DriverError.UNKNOWN_TOPIC_OR_PART:
            raise ConfigError(f"the brokers have no topic {name!r}: create it") from None
        if code == DriverError.TOPIC_AUTHORIZATION_FAILED:
            raise ConfigError(f"the brokers do not let us see the topic {name!r}") from None
        raise KafkaError(f"the brokers do not answer: {error.args[0].str()}") from None
    except TimeoutError:
        raise KafkaError("the brokers do not answer in time") from None
    return Topic(name, len(described.partitions), _find_limit(admin, name, timeout_seconds))


def _find_limit(admin: AdminClient, name: str, timeout_seconds: float) -> int | None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined] # they are

    asked: dict[Any, Any] = admin.describe_configs(
        [ConfigResource(ResourceType.TOPIC, name)], request_timeout=timeout_seconds
    )
    try:
        (configs,) = (future.result(timeout_seconds + 1) for future in asked.values())
        return int(configs[_LIMIT].value)
    except (KafkaException, TimeoutError, KeyError, ValueError):  # it needs a right of its own
        return None

"""Messages that cannot be taken, produced to a topic of their own with the reason."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from exporter.errors import KafkaError
from exporter.kafka.configuration import DELIVERY_SECONDS, make_producer
from exporter.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka import KafkaError as DriverError
    from confluent_kafka import Message

Headers = list[tuple[str, str | bytes | None]]
MAX_DETAIL = 1000  # characters
_MAX_VALUE_BYTES = 1_000_000_000  # the largest that librdkafka takes; the topic's own limit decides


class DeadLetters:
    """Producer of dead letters. A message keeps its key, value and headers.

    Raises:
        ConfigError: a property cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.dead_letter_topic
        self._producer = make_producer(settings, max_message_bytes=_MAX_VALUE_BYTES)
        self._undelivered = 0
        self._fault = ""

    def send(self, message: Message, reason: str, detail: str) -> None:
        """Queue a message with the reason why it is not taken; `flush` delivers it.

        Raises:
            KafkaError: the queue is full.
        """
        headers: Headers = [
            *cast("Headers", message.headers() or []),
            ("dead-letter-reason", reason.encode()),
            ("dead-letter-detail", detail[:MAX_DETAIL].encode("utf-8", "replace")),
            ("dead-letter-topic", (message.topic() or "").encode()),
            ("dead-letter-partition", str(message.partition()).encode()),
            ("dead-letter-offset", str(message.offset()).encode()),
        ]
        self._produce(message.value(), message.key(), headers)

    def flush(self) -> None:
        """Wait until the brokers have all messages.

        Raises:
            KafkaError: they did not take one.
        """
        self._fault = ""
        if self._undelivered:
            self._producer.flush(DELIVERY_SECONDS + 5)
        if self._undelivered or self._fault:
            raise KafkaError(
                f"dead letters are not taken by {self._topic}: {self._fault or 'no answer in time'}"
            )

    def _produce(self, value: bytes | None, key: bytes | None, headers: Headers) -> None:
        from confluent_kafka import KafkaException

        noted = partial(self._delivered, value, key, headers)
        try:
            self._producer.produce(self._topic, value, key, headers=headers, on_delivery=noted)
        except BufferError:
            raise KafkaError("the queue of dead letters is full") from None
        except KafkaException as error:
            raise KafkaError(f"dead letters are not taken by {self._topic}: {error.args[0].str()}") from None
        self._undelivered += 1

    def _delivered(
        self, value: bytes | None, key: bytes | None, headers: Headers, error: DriverError | None, _: Message
    ) -> None:
        from confluent_kafka import KafkaError as Driver

        self._undelivered -= 1
        if error is None:
            return
        if value is not None and error.code() in (Driver.MSG_SIZE_TOO_LARGE, Driver.RECORD_LIST_TOO_LARGE):
            # Its partition would stop here for good; it is still in the topic that it came from.
            without = ("dead-letter-value-bytes", str(len(value)).encode())
            self._produce(None, key, [*headers, without])
        else:
            self._fault = error.str()

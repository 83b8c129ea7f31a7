"""Messages that cannot be taken, produced to a topic of their own with the reason."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from exporter.errors import KafkaError
from exporter.kafka.configuration import DELIVERY_SECONDS, make_producer
from exporter.kafka.headers import Headers, headers_of
from exporter.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka import KafkaError as DriverError
    from confluent_kafka import Message

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
        reasons: Headers = [
            ("dead-letter-reason", reason.encode()),
            ("dead-letter-detail", detail[:MAX_DETAIL].encode("utf-8", "replace")),
            ("dead-letter-topic", (message.topic() or "").encode()),
            ("dead-letter-partition", str(message.partition()).encode()),
            ("dead-letter-offset", str(message.offset()).encode()),
        ]
        self._produce(message.value(), message.key(), headers_of(message), reasons)

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

    def _produce(self, value: bytes | None, key: bytes | None, given: Headers, reasons: Headers) -> None:
        from confluent_kafka import KafkaException

        noted = partial(self._delivered, value, key, given, reasons)
        try:
            self._producer.produce(self._topic, value, key, headers=[*given, *reasons], on_delivery=noted)
        except BufferError:
            raise KafkaError("the queue of dead letters is full") from None
        except KafkaException as error:
            if not self._shrink(value, key, given, reasons, error.args[0]):
                fault = error.args[0].str()
                raise KafkaError(f"dead letters are not taken by {self._topic}: {fault}") from None
        else:
            self._undelivered += 1

    def _delivered(
        self,
        value: bytes | None,
        key: bytes | None,
        given: Headers,
        reasons: Headers,
        error: DriverError | None,
        _: Message,
    ) -> None:
        self._undelivered -= 1
        if error is not None and not self._shrink(value, key, given, reasons, error):
            self._fault = error.str()

    def _shrink(
        self,
        value: bytes | None,
        key: bytes | None,
        given: Headers,
        reasons: Headers,
        error: DriverError,
    ) -> bool:
        """Produce a message that is too large without its value, and then without its key and headers.

        Its partition would stop here for good; it is still in the topic that it came from.
        """
        from confluent_kafka import KafkaError as Driver

        if error.code() not in (Driver.MSG_SIZE_TOO_LARGE, Driver.RECORD_LIST_TOO_LARGE):
            return False
        if value is not None:
            without = ("dead-letter-value-bytes", str(len(value)).encode())
            self._produce(None, key, given, [*reasons, without])
        elif key is not None or given:
            self._produce(None, None, [], reasons)
        else:
            return False
        return True

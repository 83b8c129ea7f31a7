"""Messages of the topic: their headers, and what is read from them.

The value is the body of a request to `/v1/predictions` or `/v1/labels`, in JSON or Arrow, or of one to
`/v1/aggregates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from exporter.errors import MalformedError, TooLargeError, UnsupportedError
from exporter.formats.labels import decode_labels
from exporter.formats.predictions import read_predictions
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE, RawRequest, media_type
from exporter.ingest.aggregates_body import read_aggregates
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.commit import IngestRequest
from exporter.ingest.deduplication import IdempotencyKey
from exporter.ingest.join import prepare_labels
from exporter.kafka.headers import headers_of
from exporter.kafka.partitioner import partitions_of, row_key
from exporter.settings import Settings
from exporter.storage.partition import Partition

if TYPE_CHECKING:
    from confluent_kafka import Message

Kind = Literal["predictions", "labels", "aggregates"]

KIND, CONTENT_TYPE = "kind", "content-type"
IDEMPOTENCY_KEY = "idempotency-key"  # a request with it that was committed in the last 24 hours counts once
IDEMPOTENCY_DIGEST = "idempotency-digest"  # of the request that the message is a part of; else of the value
TARGET_HEADERS = ("model", "version", "alias")  # of Arrow, which has no other place for them
_KINDS: tuple[Kind, ...] = ("predictions", "labels", "aggregates")


@dataclass(frozen=True, eq=False)
class Received:
    """A message as it came; `received_at` is its timestamp, in seconds since the epoch."""

    value: bytes
    headers: Mapping[str, bytes]
    received_at: float

    @classmethod
    def of(cls, message: Message, now: float) -> Received:
        """Read a consumed message; `now` is its time where it has none."""
        kind, milliseconds = message.timestamp()
        given = cast("list[tuple[str, bytes | None]]", headers_of(message))
        at = milliseconds / 1000 if kind and milliseconds >= 0 else now
        headers = {name: value or b"" for name, value in given}
        return cls(message.value() or b"", headers, min(at, now))

    @property
    def kind(self) -> Kind:
        """
        Raises:
            UnsupportedError: an unknown kind.
        """
        kind = self._text(KIND) or _KINDS[0]
        if kind not in _KINDS:
            raise UnsupportedError(f"kind {kind[:40]!r}, taken are {', '.join(_KINDS)}", f"headers.{KIND}")
        return kind

    def idempotency(self, *scope: str) -> IdempotencyKey | None:
        """Key of the request that the message is a part of, None where it has none."""
        key = self._text(IDEMPOTENCY_KEY)
        if not key:
            return None
        return IdempotencyKey.of(*scope, key, body=self.headers.get(IDEMPOTENCY_DIGEST) or self.value)

    def raw(self) -> RawRequest:
        """The message as a request.

        Raises:
            MalformedError: it has no value, or a header is no text.
            TooLargeError: its value is larger than a body may be.
            UnsupportedError: neither JSON nor Arrow, or compressed by the producer itself.
        """
        if not self.value:
            raise MalformedError("a message without a value")
        if self.headers.get("content-encoding"):
            raise UnsupportedError("values are not compressed one by one: set `compression.type`")
        content_type = media_type(self._text(CONTENT_TYPE))
        if content_type not in (JSON_TYPE, ARROW_TYPE):
            taken = f"taken are {JSON_TYPE} and {ARROW_TYPE}"
            raise UnsupportedError(f"content type {content_type[:80]!r}, {taken}")
        query = {name: self._text(name) for name in TARGET_HEADERS if name in self.headers}
        return RawRequest(content_type, {} if content_type == JSON_TYPE else query, self.value)

    def _text(self, name: str) -> str:
        try:
            return self.headers.get(name, b"").decode()
        except UnicodeDecodeError:
            raise MalformedError("not in UTF-8", f"headers.{name}") from None


def decode(received: Received, settings: Settings, partition: Partition | None = None) -> IngestRequest:
    """Decode a message.

    Args:
        received: the message.
        settings: limits, which are those of a request.
        partition: that it came from, which must be that of its ids; None: it is not looked at.

    Raises:
        RequestError: it cannot be read, or does not belong to its partition.
    """
    if len(received.value) > settings.max_body_bytes:
        detail = f"{len(received.value)} bytes, at most {settings.max_body_bytes} are taken"
        raise TooLargeError(detail)
    kind, raw = received.kind, received.raw()
    if kind == "aggregates":
        aggregates = read_aggregates(raw.body, received.received_at)
        _check_partition(aggregates.model, [aggregates.document.source], partition)
        return aggregates
    if kind == "labels":
        batch = decode_labels(raw.body, raw.content_type, raw.query, settings)
        _check_partition(batch.model, batch.ids, partition)
        key = received.idempotency("labels", batch.model)
        return prepare_labels(batch, received.received_at, key)
    decoded = read_predictions(raw.body, raw.content_type, raw.query, settings)
    _check_partition(decoded.target.model, decoded.ids, partition)
    key = received.idempotency(decoded.target.model)
    return PredictionRequest(raw, decoded, received.received_at, key)


def _check_partition(
    model: str, ids: list[str | None] | list[str] | None, partition: Partition | None
) -> None:
    """
    Raises:
        MalformedError: an id belongs to another partition, where its label or its prediction is.
    """
    if partition is None or ids is None:
        return
    named = [row_id for row_id in ids if row_id is not None]
    found = partitions_of([row_key(model, row_id) for row_id in named], partition.count)
    elsewhere = np.flatnonzero(found != partition.number)
    if len(elsewhere):
        row_id, own = named[elsewhere[0]], found[elsewhere[0]]
        raise MalformedError(
            f"id {row_id[:80]!r} belongs to partition {own}, the message came from {partition.number}: "
            "the key is model, NUL, id, and the partitioner murmur2"
        )

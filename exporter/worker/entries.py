"""Messages on their way to a commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.errors import (
    MalformedError,
    RequestError,
    TooLargeError,
    UnavailableError,
    UnknownModelError,
    UnsupportedError,
)
from exporter.exposition.group import DeadReason
from exporter.ingest.answers import queued_rows
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.commit import IngestRequest
from exporter.ingest.join import PreparedLabels
from exporter.ingest.writer import MAX_GROUP_BYTES, MAX_GROUP_ROWS
from exporter.kafka.messages import Received, decode
from exporter.settings import Settings
from exporter.storage.partition import Partition

if TYPE_CHECKING:
    from confluent_kafka import Message


@dataclass(frozen=True, eq=False)
class Entry:
    """A message, and the request in it, or the error and the reason for which there is none.

    `read_at` is when it was read, by the monotonic clock.
    """

    message: Message
    offset: int
    read_at: float
    request: IngestRequest | None = None
    error: RequestError | None = None
    reason: DeadReason = "undecodable"

    @property
    def rows(self) -> int:
        return queued_rows(self.request) if self.request is not None else 1

    @property
    def size_bytes(self) -> int:
        """Upper estimate of its memory until it is committed, in bytes."""
        request = self.request
        return request.size_bytes if isinstance(request, PredictionRequest) else len(self.message)

    @property
    def at(self) -> float:
        """Timestamp of the message, in seconds since the epoch."""
        return self.message.timestamp()[1] / 1000

    @property
    def model(self) -> str:
        """Model that its rows are of, empty where it cannot be read."""
        if self.request is None:
            return ""
        if isinstance(self.request, PredictionRequest):
            return self.request.decoded.target.model
        return self.request.model


def read_entry(
    message: Message, settings: Settings, partition: Partition, now: float, read_at: float
) -> Entry:
    """Decode a message.

    Args:
        message: as it was consumed.
        settings: with the limits of a body.
        partition: that it came from.
        now: the clock's time.
        read_at: the same by the monotonic clock.
    """
    offset = message.offset()
    assert offset is not None
    try:
        return Entry(message, offset, read_at, decode(Received.of(message, now), settings, partition))
    except RequestError as error:
        return Entry(message, offset, read_at, error=error, reason=_REASONS.get(type(error), "undecodable"))


_REASONS: dict[type[RequestError], DeadReason] = {
    TooLargeError: "too_large",
    UnsupportedError: "unsupported",
}


def reason_of(error: RequestError) -> DeadReason:
    """Reason for which a decoded message is not taken."""
    if isinstance(error, UnknownModelError):
        return "unknown"
    if isinstance(error, UnavailableError):
        return "unavailable"
    return "refused"


def poisoned(entry: Entry, error: MalformedError, reason: DeadReason) -> Entry:
    """The entry of a message whose commit failed for what is in it."""
    return Entry(entry.message, entry.offset, entry.read_at, None, error, reason)


def of_one_commit(entries: Sequence[Entry]) -> Sequence[Entry]:
    """The first entries that can share a commit.

    An idempotency key is in a commit once. A commit takes predictions before labels: those that bring labels
    along are not in one with labels before them, which would have the last word then.
    """
    rows = size = 0
    keys, labelled = set[bytes](), False
    for number, entry in enumerate(entries):
        key = entry.request.key if entry.request is not None else None
        rows, size = rows + entry.rows, size + entry.size_bytes
        too_much = rows > MAX_GROUP_ROWS or size > MAX_GROUP_BYTES
        repeated = key is not None and key.key in keys
        request = entry.request
        brings = isinstance(request, PredictionRequest) and request.decoded.labels is not None
        if number and (too_much or repeated or (brings and labelled)):
            return entries[:number]
        labelled |= isinstance(request, PreparedLabels)
        if key is not None:
            keys.add(key.key)
    return entries

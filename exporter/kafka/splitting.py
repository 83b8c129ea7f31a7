"""Requests -> messages, each with the rows of one partition.

A request whose rows all go to one partition is sent as it came. Otherwise the rows of each partition are
encoded anew, as columns of the values that they came with, so that the same is read from them: JSON where
they came in JSON, else Arrow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from operator import itemgetter
from typing import Any, Protocol

import numpy as np
import orjson

from exporter.errors import TooLargeError
from exporter.formats.batch import Decoded
from exporter.formats.labels import DecodedLabels
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE
from exporter.ingest.aggregates_body import AggregatesRequest
from exporter.ingest.commit import IngestRequest
from exporter.ingest.deduplication import IdempotencyKey
from exporter.ingest.join import PreparedLabels
from exporter.kafka.arrow_rows import ArrowRows
from exporter.kafka.configuration import ENVELOPE_BYTES
from exporter.kafka.messages import CONTENT_TYPE, IDEMPOTENCY_DIGEST, IDEMPOTENCY_KEY, KIND, Kind
from exporter.kafka.partitioner import partitions_of, row_key
from exporter.typing import Floats, Ints

_NULL = re.compile(rb"[:,\[]null")

Headers = list[tuple[str, str | bytes | None]]  # the values are bytes; the driver's type


@dataclass(frozen=True, eq=False)
class Outgoing:
    """A message to be produced, with `rows` of the request; `whole`: it is the request as it came."""

    partition: int
    key: bytes | None
    value: bytes
    headers: Headers
    rows: int
    whole: bool


@dataclass(frozen=True)
class Layout:
    """Partitions of the topic, bytes of its largest message, and the partition of rows that have no id."""

    partitions: int
    max_message_bytes: int
    anonymous: int

    @property
    def max_value_bytes(self) -> int:
        return max(self.max_message_bytes // 2, self.max_message_bytes - ENVELOPE_BYTES)


class Rows(Protocol):
    """Encodes rows of a request as the value of a message."""

    def encode(self, rows: Ints) -> bytes: ...


def split(request: IngestRequest, layout: Layout) -> list[Outgoing]:
    """Messages of a request. They are the same whenever it is sent, where its rows have ids or it has a key.

    Raises:
        TooLargeError: a row alone is larger than a message may be, or counts are.
    """
    if isinstance(request, AggregatesRequest):
        return [_whole(request, layout)]
    if isinstance(request, PreparedLabels):
        assert request.decoded is not None  # labels that came along with predictions are in those
        labels = request.decoded
        where = _Where("labels", labels.model, labels.ids, request.key, [(CONTENT_TYPE, JSON_TYPE.encode())])
        return [*_messages(where, request.rows, _LabelRows(labels, request.at), None, layout)]
    decoded, raw = request.decoded, request.raw
    headers: Headers = [(CONTENT_TYPE, raw.content_type.encode())]
    headers += [(name, value.encode()) for name, value in raw.query.items()]
    where = _Where("predictions", decoded.target.model, decoded.ids, request.key, headers)
    rows: Rows = ArrowRows(raw.body, decoded) if raw.content_type == ARROW_TYPE else _JsonRows(decoded)
    return [*_messages(where, decoded.rows, rows, raw.body, layout)]


def _whole(request: AggregatesRequest, layout: Layout) -> Outgoing:
    """The message of counts, in the partition of their source."""
    size, limit = len(request.body), layout.max_value_bytes
    if size > limit:
        raise TooLargeError(f"the body takes {size} bytes, the topic takes {limit} in a message")
    key = row_key(request.model, request.document.source)
    partition = int(partitions_of([key], layout.partitions)[0])
    headers: Headers = [(KIND, b"aggregates"), (CONTENT_TYPE, JSON_TYPE.encode())]
    return Outgoing(partition, key, request.body, headers, request.rows, whole=True)


@dataclass(frozen=True)
class _Where:
    kind: Kind
    model: str
    ids: Sequence[str | None] | None
    key: IdempotencyKey | None
    headers: Headers


def _messages(
    where: _Where, count: int, rows: Rows, whole: bytes | None, layout: Layout
) -> Iterator[Outgoing]:
    partitions, keys = _place(where, count, layout)
    order = np.argsort(partitions, kind="stable")
    used, starts = np.unique(partitions[order], return_index=True)
    for partition, chosen in zip(used.tolist(), np.split(order, starts[1:]), strict=True):
        if whole is not None and len(used) == 1 and len(whole) <= layout.max_value_bytes:
            pieces = iter([(chosen, whole)])
        else:
            pieces = _fitting(rows.encode, chosen, layout.max_value_bytes)
        for piece, value in pieces:
            key = next((keys[row] for row in piece.tolist() if keys[row] is not None), None)
            headers: Headers = [(KIND, where.kind.encode()), *where.headers]
            if where.key is not None:
                # Several messages of a request may be in one partition, where each counts.
                part = "" if len(piece) == len(chosen) else f"/{piece[0]}+{len(piece)}"
                headers += [
                    (IDEMPOTENCY_KEY, f"{where.key.key.hex()}{part}".encode()),
                    (IDEMPOTENCY_DIGEST, where.key.body),
                ]
            yield Outgoing(partition, key, value, headers, len(piece), value is whole)


def _place(where: _Where, count: int, layout: Layout) -> tuple[Ints, list[bytes | None]]:
    """(rows,) partition of each row, and the key by which it is there."""
    anonymous, key = layout.anonymous, None
    if where.key is not None:
        key = row_key(where.model, where.key.key.hex())
        anonymous = int(partitions_of([key], layout.partitions)[0])
    partitions = np.full(count, anonymous)
    keys: list[bytes | None] = [key] * count
    if where.ids is not None:
        named = [(row, row_id) for row, row_id in enumerate(where.ids) if row_id is not None]
        found = [row_key(where.model, row_id) for _, row_id in named]
        partitions[[row for row, _ in named]] = partitions_of(found, layout.partitions)
        for (row, _), own in zip(named, found, strict=True):
            keys[row] = own
    return partitions, keys


def _fitting(encode: Callable[[Ints], bytes], rows: Ints, limit: int) -> Iterator[tuple[Ints, bytes]]:
    """Rows in parts whose values are within the limit.

    Raises:
        TooLargeError: a row alone is not.
    """
    value = encode(rows)
    if len(value) <= limit:
        yield rows, value
        return
    if len(rows) == 1:
        raise TooLargeError(f"row {rows[0]} takes {len(value)} bytes, the topic takes {limit} in a message")
    parts = min(len(rows), ceil(1.1 * len(value) / limit))
    for part in np.array_split(rows, max(parts, 2)):
        yield from _fitting(encode, part, limit)


class _JsonRows:
    def __init__(self, decoded: Decoded) -> None:
        own: dict[str, Any] = {
            "id": decoded.ids,
            "timestamp": None if decoded.timestamps is None else _or_none(decoded.timestamps),
            "prediction": decoded.prediction,
            "score": decoded.scores,
            "label": decoded.labels,
            "latency_seconds": None if decoded.latency is None else _or_none(decoded.latency),
        }
        self._target = decoded.target.to_json()
        self._own = {name: values for name, values in own.items() if values is not None}
        self._features = decoded.features

    def encode(self, rows: Ints) -> bytes:
        pick = _picker(rows)
        features = {name: pick(values) for name, values in self._features.items()}
        own = {name: pick(values) for name, values in self._own.items()}
        missing = sum(values.count(None) for values in (*features.values(), *own.values()))
        return _dump({**self._target, "columns": {**own, "features": features}}, missing)


class _LabelRows:
    def __init__(self, labels: DecodedLabels, at: Sequence[float]) -> None:
        self._model = labels.model
        self._columns = {"id": labels.ids, "label": labels.labels, "timestamp": at}

    def encode(self, rows: Ints) -> bytes:
        pick = _picker(rows)
        columns = {name: pick(values) for name, values in self._columns.items()}
        return _dump({"model": self._model, "columns": columns}, 0)


def _picker(rows: Ints) -> Callable[[Any], tuple[Any, ...]]:
    """Function that picks the values of the rows."""
    if len(rows) == 1:
        row = int(rows[0])
        return lambda values: (values[row],)
    return itemgetter(*rows.tolist())


def _or_none(numbers: Sequence[float] | Floats) -> list[float | None]:
    values: list[float] = numbers.tolist() if isinstance(numbers, np.ndarray) else list(numbers)
    return [value if value == value else None for value in values]


def _dump(document: dict[str, Any], missing: int) -> bytes:
    """JSON with the same values; `missing` of them are None, outside of lists and objects in values."""
    try:
        body = orjson.dumps(document)
    except (TypeError, ValueError):  # half a surrogate pair
        return json.dumps(document).encode()
    # Infinities and NaN become null, too: Python's encoder keeps them.
    return body if len(_NULL.findall(body)) == missing else json.dumps(document).encode()

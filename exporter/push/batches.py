"""Requests that are made of rows: their bodies, and keys by which each counts once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import orjson
import pyarrow as pa

from exporter.formats.raw import ARROW_TYPE, JSON_TYPE
from exporter.payloads.target import Target
from exporter.push.assignment import Column, Fields
from exporter.push.reading import BATCH_BYTES, Rows


@dataclass(frozen=True)
class Destination(Target):
    """Where rows go: to the predictions of a version or alias, or to the labels of a model."""

    labels: bool = False

    @property
    def path(self) -> str:
        return "/v1/labels" if self.labels else "/v1/predictions"


@dataclass(frozen=True)
class Request:
    content_type: str
    query: Mapping[str, str]
    body: bytes
    key: str


@dataclass(frozen=True)
class Batch:
    """Rows of one request: of batch `number` of a file, from its row `start` on."""

    file: str
    number: int
    rows: Rows
    start: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def halves(self) -> Iterator[Batch]:
        half = (len(self) + 1) // 2
        yield replace(self, rows=self.rows.slice(0, half))
        yield replace(self, rows=self.rows.slice(half, len(self)), start=self.start + half)

    def take(self, rows: list[int]) -> Batch:
        return replace(self, rows=self.rows.take(rows))

    def request(self, target: Destination) -> Request:
        """The request; the same rows of the same file to the same target have the same key.

        A file that has changed has other keys where its rows have changed. So has one with another name,
        since two files may well hold the same rows.
        """
        columns = [*self.rows.fields.own.values(), *self.rows.fields.features.values()]
        if any(isinstance(column, list) for column in columns):
            content_type, query, body = JSON_TYPE, {}, _json(self.rows.fields, target)
        else:
            content_type, query, body = ARROW_TYPE, target.to_json(), _arrow(self.rows.fields)
        digest = hashlib.sha256(body)  # three times as fast as BLAKE2b where the processor helps
        place = (target.path, *target.to_json().values(), self.file, str(self.number), str(self.start))
        digest.update("\0".join(place).encode("utf-8", "surrogatepass"))
        return Request(content_type, query, body, f"push-{digest.hexdigest()[:40]}")


def batches_of(file: str, rows: Iterator[Rows]) -> Iterator[Batch]:
    """Batches of a file; rows that would make too large a body are several."""
    number = 0
    for each in rows:
        parts = max(1, min(len(each), -(-_size_bytes(each.fields) // BATCH_BYTES)))
        length = -(-len(each) // parts)
        for start in range(0, len(each), length):
            yield Batch(file, number, each.slice(start, start + length))
            number += 1


def _size_bytes(fields: Fields) -> int:
    """Memory of the columns of Arrow; lists are small enough as they come."""
    columns = [*fields.own.values(), *fields.features.values()]
    return sum(column.nbytes for column in columns if isinstance(column, pa.Array))


def _arrow(fields: Fields) -> bytes:
    """Features are in a structure, so that they may be called as any other field."""
    columns = dict(fields.own)
    if fields.features:
        columns["features"] = pa.StructArray.from_arrays(
            list(fields.features.values()), list(fields.features)
        )
    batch, sink = pa.record_batch(columns), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def _json(fields: Fields, target: Destination) -> bytes:
    columns: dict[str, object] = {name: _values(column) for name, column in fields.own.items()}
    if fields.features:
        columns["features"] = {name: _values(column) for name, column in fields.features.items()}
    return orjson.dumps({**target.to_json(), "columns": columns})


def _values(column: Column) -> list[object]:
    return column if isinstance(column, list) else column.to_pylist()

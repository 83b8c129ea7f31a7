"""Reads Arrow IPC streams as tables, within bounds.

Only uncompressed streams are taken: their tables need no more memory than the body, apart from texts that are
referred to more than once and dictionaries that grow, which are bounded.
"""

from __future__ import annotations

import pyarrow as pa

from exporter.errors import MalformedError
from exporter.payloads.limits import check_expansion, check_rows
from exporter.settings import Settings

_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3  # MessageHeader in Arrow's Message.fbs


def read_arrow_stream(body: bytes, settings: Settings) -> pa.Table:
    """The table of a stream, every value of it valid.

    Raises:
        MalformedError: it is compressed, or without rows.
        TooLargeError: too many rows, or dictionaries that grow to too much.
        pa.ArrowException, OSError, ValueError: it is no stream.
    """
    _check_messages(body, settings)
    # Only the stream reader checks the type of each message. `read_schema` takes any message for a schema,
    # of an unknown type even one that was not verified, whose offsets then lead anywhere in memory.
    with pa.ipc.open_stream(body) as reader:
        batches, rows = [], 0
        for batch in reader:
            rows += batch.num_rows
            if rows:
                check_rows(rows, settings)
            batch.validate(full=True)  # offsets of a hostile stream would read beyond its buffers
            batches.append(batch)
        check_rows(rows, settings)
        return pa.Table.from_batches(batches, reader.schema)


def _check_messages(body: bytes, settings: Settings) -> None:
    """
    Raises:
        MalformedError: a message is compressed.
        TooLargeError: dictionaries grow to too much.
    """
    sizes: dict[int, int] = {}  # bytes of each dictionary by its id
    grown = 0
    for message in pa.ipc.MessageReader.open_stream(body):
        header = _Header(message.metadata.to_pybytes())
        if header.compressed:
            # A compressed buffer states its size itself, and nothing bounds it before it is unpacked.
            raise MalformedError("compressed Arrow streams are not taken; send it uncompressed or as Parquet")
        if header.kind == _DICTIONARY_BATCH:
            size = message.body.size if message.body is not None else 0
            if header.is_delta:  # each makes the whole dictionary anew, while rows refer to the one before
                size += sizes.get(header.dictionary_id, 0)
                grown += size
                check_expansion(grown, settings)
            sizes[header.dictionary_id] = size


class _Header:
    """Header fields of an Arrow IPC message (Message.fbs) that pyarrow does not expose.

    This reads the flatbuffer, which pyarrow has verified for the types that are looked into: a table starts
    with the distance to its vtable, which holds the place of each field, 0 where it is absent.
    """

    def __init__(self, metadata: bytes) -> None:
        self._metadata = metadata
        message = self._number(0, 4)
        self.kind = self._scalar(message, 1, 1)
        self._table = self._follow(self._field(message, 2))

    @property
    def compressed(self) -> bool:
        """True for a record batch, on its own or as a dictionary, with `BodyCompression`."""
        batch = self._table
        if batch and self.kind == _DICTIONARY_BATCH:
            batch = self._follow(self._field(batch, 1))
        elif self.kind != _RECORD_BATCH:
            return False
        return bool(batch and self._field(batch, 3))

    @property
    def dictionary_id(self) -> int:
        return self._scalar(self._table, 0, 8)

    @property
    def is_delta(self) -> bool:
        """True if a dictionary adds entries to an earlier one."""
        return bool(self._scalar(self._table, 2, 1))

    def _number(self, place: int, size: int) -> int:
        return int.from_bytes(self._metadata[place : place + size], "little")

    def _field(self, table: int, number: int) -> int:
        """Place of a field of a table, 0 where it is absent."""
        vtable = table - int.from_bytes(self._metadata[table : table + 4], "little", signed=True)
        entry = 4 + 2 * number
        offset = self._number(vtable + entry, 2) if entry < self._number(vtable, 2) else 0
        return table + offset if offset else 0

    def _scalar(self, table: int, number: int, size: int) -> int:
        place = self._field(table, number) if table else 0
        return self._number(place, size) if place else 0

    def _follow(self, place: int) -> int:
        return place + self._number(place, 4) if place else 0

"""Arrow IPC streams -> tables, within bounds.

Only what is not compressed is taken: then a stream holds no more than its body, with the exception of texts
that it refers to more than once.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from exporter.config import Settings
from exporter.errors import MalformedError
from exporter.limits import check_rows

_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3  # MessageHeader in Arrow's Message.fbs


def read_arrow_stream(body: bytes, settings: Settings) -> pa.Table:
    """The table of a stream, every value of it valid.

    Raises:
        MalformedError: it is compressed, or without rows.
        TooLargeError: too many rows.
        pa.ArrowException, OSError, ValueError: it is no stream.
    """
    messages = list(pa.ipc.MessageReader.open_stream(body))
    if any(_is_compressed(message.metadata.to_pybytes()) for message in messages):
        # A compressed buffer says how large it wants to become, and nothing bounds it before it is.
        raise MalformedError("compressed Arrow streams are not taken; send it uncompressed or as Parquet")
    if messages and all(message.type == "record batch" for message in messages[1:]):
        schema = pa.ipc.read_schema(messages[0])
        read = (pa.ipc.read_record_batch(message, schema) for message in messages[1:])
        return _check(read, schema, settings)
    with pa.ipc.open_stream(body) as reader:  # which knows what to do with dictionaries
        return _check(reader, reader.schema, settings)


def _check(read: Iterable[pa.RecordBatch], schema: pa.Schema, settings: Settings) -> pa.Table:
    batches, rows = [], 0
    for batch in read:
        rows += batch.num_rows
        if rows:
            check_rows(rows, settings)
        batch.validate(full=True)  # offsets of a hostile stream would read beyond its buffers
        batches.append(batch)
    check_rows(rows, settings)
    return pa.Table.from_batches(batches, schema)


def _is_compressed(metadata: bytes) -> bool:
    """Whether an Arrow IPC message holds a record batch with `BodyCompression` (Arrow's Message.fbs).

    pyarrow does not tell without decompressing, so this reads the flatbuffer, which pyarrow has verified: a
    table starts with the distance to its vtable, which holds the place of each field, 0 where it is absent.
    """

    def field(table: int, number: int) -> int:
        vtable = table - int.from_bytes(metadata[table : table + 4], "little", signed=True)
        size = int.from_bytes(metadata[vtable : vtable + 2], "little")
        entry = 4 + 2 * number
        if entry >= size:
            return 0
        offset = int.from_bytes(metadata[vtable + entry : vtable + entry + 2], "little")
        return table + offset if offset else 0

    def follow(place: int) -> int:
        return place + int.from_bytes(metadata[place : place + 4], "little") if place else 0

    message = int.from_bytes(metadata[:4], "little")
    kind, header = field(message, 1), follow(field(message, 2))
    if not kind or not header:
        return False
    if metadata[kind] == _DICTIONARY_BATCH:
        header = follow(field(header, 1))
        return bool(header and field(header, 3))
    return metadata[kind] == _RECORD_BATCH and field(header, 3) != 0

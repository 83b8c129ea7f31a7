"""Arrow IPC streams -> tables, within bounds.

Only what is not compressed is taken: then a stream holds no more than its body, with the exception of texts
that it refers to more than once.
"""

from __future__ import annotations

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
    source = pa.BufferReader(body)
    for message in pa.ipc.MessageReader.open_stream(source):
        if _is_compressed(message.metadata.to_pybytes()):
            # A compressed buffer says how large it wants to become, and nothing bounds it before it is.
            raise MalformedError("compressed Arrow streams are not taken; send it uncompressed or as Parquet")
    source.seek(0)
    batches, rows = [], 0
    with pa.ipc.open_stream(source) as reader:
        for batch in reader:
            rows += batch.num_rows
            if rows:
                check_rows(rows, settings)
            batch.validate(full=True)  # offsets of a hostile stream would read beyond its buffers
            batches.append(batch)
        check_rows(rows, settings)
        return pa.Table.from_batches(batches, reader.schema)


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

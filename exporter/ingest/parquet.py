"""Turns Parquet bodies into Arrow IPC streams, in child processes: what comes after only knows Arrow."""

from __future__ import annotations

from functools import cache

import pyarrow as pa

from exporter.errors import IsolationError, MalformedError
from exporter.formats.parquet import read_parquet
from exporter.formats.raw import ARROW_TYPE, RawRequest
from exporter.formats.texts import first_line
from exporter.isolation import Children
from exporter.payloads.limits import MAX_EXPANSION
from exporter.settings import Settings

PROCESSES = 2
READING_SECONDS = 60.0
MIN_MEMORY_BYTES = 256 * 2**20


def parquet_to_arrow(raw: RawRequest, settings: Settings) -> RawRequest:
    """A request with a Parquet body as one with an Arrow IPC stream. It blocks, and any thread may call it.

    Raises:
        MalformedError: it is no Parquet, has no rows, or takes too much memory or time.
        TooLargeError: too many rows, or it unpacks to too much.
    """
    try:
        body = _children(settings.max_body_bytes).run(_to_arrow, raw.body, settings)
    except IsolationError as error:
        raise MalformedError(f"the body cannot be read as Parquet: {error}") from error
    return RawRequest(ARROW_TYPE, raw.query, body, parquet=raw.body)


@cache
def _children(max_body_bytes: int) -> Children:
    unpacked = MAX_EXPANSION * max_body_bytes
    # The table, and the stream that is made of it, which grows by doubling.
    memory = MIN_MEMORY_BYTES + 3 * unpacked
    return Children(PROCESSES, [__name__], memory, READING_SECONDS, answer_bytes=2 * unpacked + 2**20)


def _to_arrow(body: bytes, settings: Settings) -> memoryview:
    sink = pa.BufferOutputStream()
    try:
        table = read_parquet(body, settings)
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    except MemoryError:  # some of Arrow's exceptions are one
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise MalformedError(f"not Parquet: {first_line(error)}") from None
    return memoryview(sink.getvalue())

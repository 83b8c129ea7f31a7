"""Bodies in Arrow IPC and Parquet -> tables of known shape, and their columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pyarrow as pa

from exporter.errors import MalformedError, UnsupportedError
from exporter.formats.arrow_columns import from_arrow
from exporter.formats.arrow_ipc import read_arrow_stream
from exporter.formats.columns import OPAQUE, Texts
from exporter.formats.parquet import read_parquet
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE, PARQUET_TYPE, PARQUET_TYPES, media_type
from exporter.formats.texts import first_line
from exporter.settings import Settings


def read_table(body: bytes, content_type: str, settings: Settings) -> pa.Table:
    """The table of an Arrow or Parquet body.

    Raises:
        MalformedError: it is not of its content type.
        UnsupportedError: an unknown content type.
    """
    kind = media_type(content_type)
    readers = {
        ARROW_TYPE: ("an Arrow IPC stream", read_arrow_stream),
        # Of a request that an older version stored; new ones are read in a child process.
        **dict.fromkeys(PARQUET_TYPES, ("Parquet", read_parquet)),
    }
    if kind not in readers:
        raise UnsupportedError(
            f"content type {kind!r}, taken are {JSON_TYPE}, {ARROW_TYPE} and {PARQUET_TYPE}"
        )
    name, read = readers[kind]
    with understanding(name):
        return read(body, settings)


@contextmanager
def understanding(name: str) -> Iterator[None]:
    """Context in which errors of Arrow are told as `MalformedError`."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise MalformedError(f"not {name}: {first_line(error)}") from None


def without_index(table: pa.Table) -> pa.Table:
    """The table without an index that pandas wrote along under a name of its own.

    Raises:
        MalformedError: two columns have one name.
    """
    names = table.schema.names
    if len(set(names)) != len(names):
        raise MalformedError("column names must be distinct", "schema")
    try:
        described = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
        indices = [each["field_name"] for each in described.get("columns", ()) if each["name"] is None]
        written = described.get("index_columns", ())
        return table.drop_columns([name for name in indices if name in written and name in names])
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):  # not as pandas writes it
        return table


def read_ids_column(column: pa.ChunkedArray) -> list[object]:
    """(rows,) ids as `read_ids` takes them."""
    kind = column.type
    if isinstance(kind, pa.UuidType):
        column, kind = pa.chunked_array([c.storage for c in column.chunks], kind.storage_type), pa.binary(16)
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == 16:  # UUIDs, as Parquet keeps them
        return [None if value is None else str(UUID(bytes=value)) for value in column.to_pylist()]
    value_type = kind.value_type if pa.types.is_dictionary(kind) else kind
    numeric = (pa.types.is_integer, pa.types.is_float64, pa.types.is_decimal, pa.types.is_null)
    if any(is_kind(value_type) for is_kind in numeric):
        return list(column.to_pylist())
    values = from_arrow(column)
    return [*values.rows()] if isinstance(values, Texts) else [OPAQUE] * len(column)

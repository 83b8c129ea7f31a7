"""Parquet. Its readers are for child processes, because damaged or explosive files can end a process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exporter.payloads.limits import check_expansion, check_rows
from exporter.settings import Settings

_DICTIONARIES = {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}
# pyarrow makes no dictionaries of these, which may be in the same column.
_DELTAS = {"DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"}


def read_parquet(body: bytes, settings: Settings) -> pa.Table:
    """The table of a file; texts and binary that are encoded as dictionaries stay such.

    Raises:
        MalformedError: no rows.
        TooLargeError: too many rows, or it unpacks to too much.
        pa.ArrowException, OSError, ValueError: it is no Parquet.
    """
    file = open_parquet(pa.BufferReader(body))
    check_rows(file.metadata.num_rows, settings)
    tables, unpacked = [], 0
    # One by one, since pyarrow cannot put dictionaries of several groups together where they are nested.
    for group in range(file.num_row_groups):
        tables.append(file.read_row_group(group, use_threads=False))
        unpacked += tables[-1].nbytes
        check_expansion(unpacked, settings)
    table = pa.concat_tables(tables)
    table.validate(full=True)
    return table


def open_parquet(source: Any, **options: Any) -> pq.ParquetFile:
    """A file of which texts and binary that are encoded as dictionaries stay such.

    One long text that every row refers to would otherwise become as many long texts.
    """
    with pq.ParquetFile(source, **options) as plain:
        metadata = plain.metadata
        leaves = [plain.schema.column(k) for k in range(metadata.num_columns)]
    texts = []
    for number, leaf in enumerate(leaves):
        if leaf.physical_type == "BYTE_ARRAY":
            chunks = [metadata.row_group(k).column(number) for k in range(metadata.num_row_groups)]
            encodings = {encoding for chunk in chunks for encoding in chunk.encodings}
            if encodings & _DICTIONARIES and not encodings & _DELTAS:
                texts.append(leaf.path)
    return pq.ParquetFile(
        source, metadata=metadata, read_dictionary=texts, arrow_extensions_enabled=False, **options
    )


def column_leaves(schema: pa.Schema) -> Iterator[tuple[pa.Field, range]]:
    """Each column, and the numbers of its leaves in Parquet's order, which is depth first."""
    first = 0
    for field in schema:
        leaves = range(first, first + _count_leaves(field.type))
        yield field, leaves
        first = leaves.stop


def _count_leaves(kind: pa.DataType) -> int:
    return sum(_count_leaves(kind.field(k).type) for k in range(kind.num_fields)) or 1


def without_unused(array: pa.Array) -> pa.Array:
    """The array, of a dictionary with those entries that are in use."""
    if not pa.types.is_dictionary(array.type):
        return array
    used = pc.unique(array.indices).drop_null()
    codes = pc.index_in(array.indices, used).cast(array.type.index_type)
    return pa.DictionaryArray.from_arrays(codes, array.dictionary.take(used), ordered=array.type.ordered)

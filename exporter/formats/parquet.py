"""Parquet -> tables, within bounds.

A file says in its footer how large its columns become, and nothing holds it to that. What is really unpacked
stands in the header of each page: the size before compression, and the number of values, which a run of one
dictionary entry can make of a few bytes. So both are read first, and pyarrow only gets what is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exporter.errors import TooLargeError
from exporter.formats.limits import MAX_VALUES, check_expansion, check_rows
from exporter.formats.parquet_pages import DICTIONARY_PAGE, Bounds, FileBytes, Page, read_groups, read_pages
from exporter.settings import Settings

# Of one request.
MAX_FOOTER_BYTES = 2**21
MAX_COLUMN_CHUNKS = 10_000
MAX_PAGES = 20_000
# Of a file: half a gigabyte in pages of the usual size is far from it, and to count them takes seconds.
FILE_BOUNDS = Bounds(footer_bytes=2**25, column_chunks=100_000, pages=200_000)
BATCH_ROWS = 65_536
BUFFER_BYTES = 2**20
DICTIONARY_COPIES = 6  # that pyarrow makes of a page with texts while it reads a row group, as measured


def read_parquet(body: bytes, settings: Settings) -> pa.Table:
    """The table of a file; texts and binary that are encoded as dictionaries stay such.

    Raises:
        MalformedError: without rows, or in a form that is not taken.
        TooLargeError: too many rows or values, or it unpacks to too much.
        pa.ArrowException, OSError, ValueError: it is no Parquet.
    """
    bounds = Bounds(MAX_FOOTER_BYTES, MAX_COLUMN_CHUNKS, MAX_PAGES)
    groups = read_groups(body, bounds)
    check_rows(sum(group.rows for group in groups), settings)
    pages = read_pages(body, groups, bounds)
    if sum(page.values for group in pages for each in group for page in each) > 2 * MAX_VALUES:
        raise TooLargeError(f"more than {MAX_VALUES} values")  # the entries of dictionaries are among them
    file = _open(pa.BufferReader(body), pages, bounds)
    unpacked = 0
    for number, (leaf, kind) in enumerate(_leaves(file)):
        each = [page for group in pages for page in group[number]]
        unpacked += sum(page.unpacked_bytes for page in each)
        unpacked += _entry_bytes(leaf, kind, each) * sum(page.values for page in each)
    check_expansion(unpacked, settings)
    # One by one, since pyarrow cannot put dictionaries of several groups together where they are nested.
    table = pa.concat_tables([file.read_row_group(k, use_threads=False) for k in range(len(groups))])
    table.validate(full=True)
    return table


def _open(source: Any, pages: list[list[list[Page]]], bounds: Bounds, **options: Any) -> pq.ParquetFile:
    """A file of which texts and binary that are encoded as dictionaries stay such.

    One long text that every row refers to would be as many long texts else.
    """
    limit = bounds.column_chunks
    with pq.ParquetFile(source, thrift_container_size_limit=limit, **options) as plain:
        leaves = [plain.schema.column(k) for k in range(plain.metadata.num_columns)]
        if any(len(group) != len(leaves) for group in pages):
            raise ValueError("its row groups have other columns than its schema")
        texts = [
            leaf.path
            for number, leaf in enumerate(leaves)
            if leaf.physical_type == "BYTE_ARRAY"
            and any(page.kind == DICTIONARY_PAGE for group in pages for page in group[number])
        ]
        metadata = plain.metadata
    return pq.ParquetFile(
        source, metadata=metadata, read_dictionary=texts, arrow_extensions_enabled=False, **options
    )


def _leaves(file: pq.ParquetFile) -> Iterator[tuple[Any, pa.DataType]]:
    """What Parquet and what Arrow says of each leaf."""
    for number, kind in enumerate(_leaf_types(file.schema_arrow)):
        yield file.schema.column(number), kind


def _leaf_types(parent: pa.Schema | pa.DataType) -> Iterator[pa.DataType]:
    """Types of the leaves in Parquet's order, which is depth first."""
    fields = parent if isinstance(parent, pa.Schema) else map(parent.field, range(parent.num_fields))
    for field in fields:
        if field.type.num_fields:
            yield from _leaf_types(field.type)
        else:
            yield field.type


def _entry_bytes(leaf: Any, kind: pa.DataType, pages: list[Page]) -> int:
    """The most that a value can take in memory for which the pages hold but a reference to a dictionary."""
    if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY":
        return int(leaf.length)
    if leaf.physical_type == "BYTE_ARRAY" and not pa.types.is_dictionary(kind):
        return max((page.unpacked_bytes for page in pages if page.kind == DICTIONARY_PAGE), default=4)
    return 12  # INT96, the longest of the others


# -- files that are larger than a request -------------------------------------------------------------------


class ColumnFile:
    """A file that is read column by column, batch by batch, so that little of it is in memory at once."""

    def __init__(self, path: Path) -> None:
        """Look at what it says of itself, and read nothing yet.

        Raises:
            RequestError: in a form that is not taken.
            pa.ArrowException, OSError, ValueError: it is no Parquet.
        """
        with path.open("rb", buffering=0) as stream:
            body = FileBytes(stream)
            groups = read_groups(body, FILE_BOUNDS)
            pages = read_pages(body, groups, FILE_BOUNDS)
        # By default it reads a row group's columns ahead, half a gigabyte for 20 columns of a million rows.
        self._file = _open(path, pages, FILE_BOUNDS, pre_buffer=False, buffer_size=BUFFER_BYTES)
        self.rows: int = self._file.metadata.num_rows
        self.schema: pa.Schema = self._file.schema_arrow.remove_metadata()
        leaves = list(_leaves(self._file))
        # What all rows take in memory, without dictionaries, which do not become smaller with fewer rows.
        self.kept_bytes = sum(
            _kept_bytes(*leaf, each) for group in pages for leaf, each in zip(leaves, group, strict=True)
        )
        self._held = [
            [_held_bytes(*leaf, each) for leaf, each in zip(leaves, group, strict=True)] for group in pages
        ]

    def columns(self) -> Iterator[tuple[str, int, Iterator[pa.Array]]]:
        """Name, most bytes that are in memory at once while it is read, and the batches of each column."""
        first = 0
        for field in self.schema:
            leaves = range(first, first + sum(1 for _ in _leaf_types(pa.schema([field]))))
            held = max((sum(group[leaf] for leaf in leaves) for group in self._held), default=0)
            yield field.name, held, self._batches(leaves)
            first = leaves.stop

    def _batches(self, leaves: range) -> Iterator[pa.Array]:
        # By number, since a name may be another's path; group by group as nested dictionaries have to be.
        for group in range(len(self._held)):
            for batch in self._file.reader.iter_batches(BATCH_ROWS, [group], list(leaves), use_threads=False):
                array = without_unused(batch.column(0))  # which sees entries that are not there
                array.validate(full=True)
                yield array


def _kept_bytes(leaf: Any, kind: pa.DataType, pages: list[Page]) -> int:
    """What the values of a leaf of a row group take in memory, if a text is there once for each row."""
    data = [page for page in pages if page.kind != DICTIONARY_PAGE]
    values = sum(page.values for page in data)
    if leaf.physical_type == "BYTE_ARRAY":
        return sum(page.unpacked_bytes for page in data) + 4 * values
    if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY" and not pa.types.is_decimal(kind):
        return int(leaf.length) * values
    return 8 * values


def _held_bytes(leaf: Any, kind: pa.DataType, pages: list[Page]) -> int:
    """The most of a leaf of a row group that is in memory at once while batches are made of it."""
    data = [page for page in pages if page.kind != DICTIONARY_PAGE]
    dictionaries = sum(page.unpacked_bytes for page in pages if page.kind == DICTIONARY_PAGE)
    if pa.types.is_dictionary(kind):
        dictionaries *= DICTIONARY_COPIES
    if not data:
        return dictionaries
    values = np.cumsum([page.values for page in data])
    unpacked = np.concatenate([[0], np.cumsum([page.unpacked_bytes for page in data])])
    entry = _entry_bytes(leaf, kind, pages)
    if leaf.max_repetition_level:  # a row may have any number of values
        return dictionaries + int(unpacked[-1]) + entry * int(values[-1])
    entries = entry * min(BATCH_ROWS, int(values[-1]))
    if pa.types.is_dictionary(kind):  # what was read stays in the dictionary up to the group's end
        return dictionaries + int(unpacked[-1]) + entries
    # A batch that begins with the last value of a page, and all pages that it reaches.
    last = np.searchsorted(values, values + BATCH_ROWS - 2, side="right")
    reached = unpacked[np.minimum(last + 1, len(data))] - unpacked[:-1]
    return dictionaries + int(reached.max()) + entries


def without_unused(array: pa.Array) -> pa.Array:
    """The array, of a dictionary with those entries that are in use."""
    if not pa.types.is_dictionary(array.type):
        return array
    used = pc.unique(array.indices).drop_null()
    codes = pc.index_in(array.indices, used).cast(array.type.index_type)
    return pa.DictionaryArray.from_arrays(codes, array.dictionary.take(used), ordered=array.type.ordered)

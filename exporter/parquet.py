"""Parquet bodies -> tables, within bounds.

A file says in its footer how large its columns become, and nothing holds it to that. What is really unpacked
stands in the header of each page, and pyarrow does not show those, so they are read here: the sizes before
decompression, and the numbers of values, which a run of one dictionary entry can make of a few bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exporter.config import Settings
from exporter.errors import MalformedError, TooLargeError
from exporter.limits import MAX_VALUES, check_expansion, check_rows

# Of one request; both cost time without holding anything, and a file has no need for more.
MAX_COLUMN_CHUNKS = 10_000
MAX_PAGES = 20_000

# PageType and Encoding in parquet.thrift
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
_DELTA_BYTE_ARRAY = 7
# field number in PageHeader of each page type's own header, and in that the number of the encoding
_OWN_HEADER = {_DATA_PAGE: (5, 2), _DICTIONARY_PAGE: (7, 2), _DATA_PAGE_V2: (8, 4)}


def read_parquet(body: bytes, settings: Settings) -> pa.Table:
    """The table of a file; texts and binary are dictionaries.

    Raises:
        MalformedError: without rows, or in a form that is not taken.
        TooLargeError: too many rows, or it unpacks to too much.
        pa.ArrowException, OSError, ValueError: it is no Parquet.
    """
    plain = pq.ParquetFile(pa.BufferReader(body), thrift_container_size_limit=MAX_COLUMN_CHUNKS)
    metadata = plain.metadata
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    check_rows(max(metadata.num_rows, sum(group.num_rows for group in groups)), settings)
    if len(groups) * metadata.num_columns > MAX_COLUMN_CHUNKS:
        raise MalformedError(f"more than {MAX_COLUMN_CHUNKS} column chunks")
    leaves = [plain.schema.column(k) for k in range(metadata.num_columns)]
    # One long text that every row refers to would be as many long texts if it did not stay a dictionary.
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    file = pq.ParquetFile(
        pa.BufferReader(body), metadata=metadata, read_dictionary=texts, arrow_extensions_enabled=False
    )
    _check_pages(body, groups, leaves, list(_leaf_types(file.schema_arrow)), settings)
    table = file.read(use_threads=False)
    table.validate(full=True)
    return table


def _leaf_types(parent: pa.Schema | pa.DataType) -> Iterator[pa.DataType]:
    """Types of the leaves in Parquet's order, which is depth first."""
    fields = parent if isinstance(parent, pa.Schema) else map(parent.field, range(parent.num_fields))
    for field in fields:
        if field.type.num_fields:
            yield from _leaf_types(field.type)
        else:
            yield field.type


def _check_pages(
    body: bytes, groups: list[Any], leaves: list[Any], types: list[pa.DataType], settings: Settings
) -> None:
    pages = values = unpacked = 0
    for group in groups:
        for number, (leaf, kind) in enumerate(zip(leaves, types, strict=True)):
            entry = (
                leaf.length if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY" else 12
            )  # INT96 is the longest
            for page in _pages(body, group.column(number)):
                if page.kind == _DICTIONARY_PAGE and leaf.physical_type == "BYTE_ARRAY":
                    # Every value may be the same entry, which is at most as long as the page.
                    entry = 4 if pa.types.is_dictionary(kind) else page.unpacked_bytes
                if page.kind != _DICTIONARY_PAGE and page.encoding == _DELTA_BYTE_ARRAY:
                    raise MalformedError("encoding DELTA_BYTE_ARRAY is not taken: it repeats without bound")
                pages += 1
                values += page.values
                unpacked += page.unpacked_bytes + page.values * entry
                if pages > MAX_PAGES:
                    raise MalformedError(f"more than {MAX_PAGES} pages")
                if values > 2 * MAX_VALUES:  # the entries of dictionaries are among them
                    raise TooLargeError(f"more than {MAX_VALUES} values")
                check_expansion(unpacked, settings)


@dataclass(frozen=True)
class _Page:
    """What the header of a page says."""

    kind: int
    unpacked_bytes: int
    values: int
    encoding: int


def _pages(body: bytes, chunk: Any) -> Iterator[_Page]:
    """The pages that pyarrow reads of a column chunk: until it has its values or the chunk is at its end."""
    place = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < place:
        place = chunk.dictionary_page_offset
    end = place + chunk.total_compressed_size
    if not 0 <= place <= end <= len(body):
        raise ValueError("a column chunk lies outside of the file")
    values = 0
    while place < end and values < chunk.num_values:
        header = _CompactReader(body, place)
        try:
            fields = header.read_struct()
        except IndexError:
            raise ValueError("a page header is cut short") from None
        kind, unpacked, packed = (fields.get((number, _I32), -1) for number in (1, 2, 3))
        place = header.place + packed
        if unpacked < 0 or packed < 0 or place > end:
            raise ValueError("a page has no valid size")
        if kind not in _OWN_HEADER:  # pyarrow skips those
            continue
        own, encoding = _OWN_HEADER[kind]
        detail = fields.get((own, _STRUCT), {})
        page = _Page(kind, unpacked, detail.get((1, _I32), -1), detail.get((encoding, _I32), -1))
        if page.values < 0:
            raise ValueError("a page has no number of values")
        yield page
        values += 0 if kind == _DICTIONARY_PAGE else page.values


_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 12


class _CompactReader:
    """Reads as much of Thrift's compact protocol as page headers are made of (thrift-compact-protocol.md).

    Where a header says something twice, or in another type than it should, this takes what Thrift's own
    reader takes: the last of the right type.
    """

    def __init__(self, data: bytes, place: int) -> None:
        self._data = data
        self.place = place

    def read_struct(self, depth: int = 0) -> dict[tuple[int, int], Any]:
        """Values by number and type of the field.

        Raises:
            IndexError: cut short.
            ValueError: none of what page headers are made of.
        """
        if depth > 3:
            raise ValueError("a page header is nested too deeply")
        fields: dict[tuple[int, int], Any] = {}
        number = 0
        while True:
            byte = self._data[self.place]
            self.place += 1
            step, kind = byte >> 4, byte & 15
            if kind == 0:
                return fields
            number = number + step if step else self._read_integer()
            number = (number + 2**15) % 2**16 - 2**15  # 16 bits are what it is
            fields[number, kind] = self._read_value(kind, depth)

    def _read_value(self, kind: int, depth: int) -> Any:
        if kind in (_I16, _I32, _I64):
            return self._read_integer()
        if kind == _STRUCT:
            return self.read_struct(depth + 1)
        if kind in (_BYTE, _DOUBLE):
            self.place += 1 if kind == _BYTE else 8
        elif kind == _BINARY:
            length = self._read_varint()
            self.place += length
        elif kind not in (_TRUE, _FALSE):
            raise ValueError("a page header holds a type that is none of its own")
        return None

    def _read_integer(self) -> int:
        bits = self._read_varint()
        return (bits >> 1) ^ -(bits & 1)

    def _read_varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._data[self.place]
            self.place += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value & 0xFFFFFFFF  # of 64-bit ones, which only statistics have, the place is enough
        raise ValueError("a page header holds a number that is too long")

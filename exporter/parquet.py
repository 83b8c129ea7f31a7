"""Parquet bodies -> tables, within bounds.

A file says in its footer how large its columns become, and nothing holds it to that. What is really unpacked
stands in the header of each page: the size before compression, and the number of values, which a run of one
dictionary entry can make of a few bytes. pyarrow does not show page headers, and what it shows of a footer
ends the process where the footer is damaged, so both are read here, and pyarrow only gets what is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exporter.config import Settings
from exporter.errors import MalformedError, TooLargeError
from exporter.limits import MAX_VALUES, check_expansion, check_rows

# Of one request. All of these cost time without holding anything, and a file has no need for more.
MAX_FOOTER_BYTES = 2**21
MAX_COLUMN_CHUNKS = 10_000
MAX_PAGES = 20_000
MAX_HEADER_STEPS = 1000  # of a page; statistics may be long, and are passed over in one

# PageType and Encoding in parquet.thrift
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
_DELTA_BYTE_ARRAY = 7


def read_parquet(body: bytes, settings: Settings) -> pa.Table:
    """The table of a file; texts and binary that are encoded as dictionaries stay such.

    Raises:
        MalformedError: without rows, or in a form that is not taken.
        TooLargeError: too many rows or values, or it unpacks to too much.
        pa.ArrowException, OSError, ValueError: it is no Parquet.
    """
    groups = _read_groups(body)
    check_rows(sum(group.rows for group in groups), settings)
    pages = _read_pages(body, groups)
    plain = pq.ParquetFile(pa.BufferReader(body), thrift_container_size_limit=MAX_COLUMN_CHUNKS)
    leaves = [plain.schema.column(k) for k in range(plain.metadata.num_columns)]
    # One long text that every row refers to would be as many long texts if it did not stay a dictionary.
    encoded = [any(page.kind == _DICTIONARY_PAGE for page in each) for each in pages]
    texts = [leaf.path for leaf, is_encoded in zip(leaves, encoded, strict=True)
             if is_encoded and leaf.physical_type == "BYTE_ARRAY"]  # fmt: skip
    file = pq.ParquetFile(
        pa.BufferReader(body), metadata=plain.metadata, read_dictionary=texts, arrow_extensions_enabled=False
    )
    unpacked = 0
    for leaf, kind, each in zip(leaves, _leaf_types(file.schema_arrow), pages, strict=True):
        unpacked += sum(page.unpacked_bytes for page in each)
        unpacked += _entry_bytes(leaf, kind, each) * sum(page.values for page in each)
    check_expansion(unpacked, settings)
    # One by one, since pyarrow cannot put dictionaries of several groups together where they are nested.
    table = pa.concat_tables([file.read_row_group(k, use_threads=False) for k in range(len(groups))])
    table.validate(full=True)
    return table


def _entry_bytes(leaf: Any, kind: pa.DataType, pages: list[_Page]) -> int:
    """The most that a value can take in memory for which the pages hold but a reference to a dictionary."""
    if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY":
        return int(leaf.length)
    if leaf.physical_type == "BYTE_ARRAY" and not pa.types.is_dictionary(kind):
        return max((page.unpacked_bytes for page in pages if page.kind == _DICTIONARY_PAGE), default=4)
    return 12  # INT96, the longest of the others


def _leaf_types(parent: pa.Schema | pa.DataType) -> Iterator[pa.DataType]:
    """Types of the leaves in Parquet's order, which is depth first."""
    fields = parent if isinstance(parent, pa.Schema) else map(parent.field, range(parent.num_fields))
    for field in fields:
        if field.type.num_fields:
            yield from _leaf_types(field.type)
        else:
            yield field.type


# -- what the file says -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Chunk:
    """A column of a row group: where its pages are, and how many values they have."""

    start: int
    end: int
    values: int


@dataclass(frozen=True)
class _Group:
    """A row group, with a chunk for each leaf."""

    rows: int
    chunks: list[_Chunk]


@dataclass(frozen=True)
class _Page:
    """What the header of a page says."""

    kind: int
    unpacked_bytes: int
    values: int
    encoding: int


def _read_groups(body: bytes) -> list[_Group]:
    size = int.from_bytes(body[-8:-4], "little")
    if len(body) < 12 or body[-4:] != b"PAR1" or size > len(body) - 12:
        raise ValueError("it does not end as Parquet does")
    if size > MAX_FOOTER_BYTES:
        raise MalformedError(f"the footer has {size} bytes, at most {MAX_FOOTER_BYTES} are taken")
    footer = _CompactReader(body, len(body) - 8 - size, size).read(_FOOTER)
    groups = [_Group(_number(group, 3), [_chunk(chunk, len(body)) for chunk in group.get(1, [])])
              for group in footer.get(4, [])]  # fmt: skip
    if sum(len(group.chunks) for group in groups) > MAX_COLUMN_CHUNKS:
        raise MalformedError(f"more than {MAX_COLUMN_CHUNKS} column chunks")
    if len({len(group.chunks) for group in groups}) > 1:
        raise ValueError("its row groups differ in their columns")
    return groups


def _chunk(chunk: Mapping[int, Any], size: int) -> _Chunk:
    metadata = chunk.get(3, {})
    start, dictionary = _number(metadata, 9), metadata.get(11, 0)
    if 0 < dictionary < start:
        start = dictionary
    end = start + _number(metadata, 7)
    if end > size:
        raise ValueError("a column chunk lies outside of the file")
    return _Chunk(start, end, _number(metadata, 5))


def _read_pages(body: bytes, groups: list[_Group]) -> list[list[_Page]]:
    """The pages of all row groups by leaf."""
    pages: list[list[_Page]] = [[] for _ in groups[0].chunks]
    count = values = 0
    for group in groups:
        for found, chunk in zip(pages, group.chunks, strict=True):
            for page in _pages(body, chunk):
                if page.kind != _DICTIONARY_PAGE and page.encoding == _DELTA_BYTE_ARRAY:
                    raise MalformedError("encoding DELTA_BYTE_ARRAY is not taken: it repeats without bound")
                found.append(page)
                count += 1
                values += page.values
                if count > MAX_PAGES:
                    raise MalformedError(f"more than {MAX_PAGES} pages")
                if values > 2 * MAX_VALUES:  # the entries of dictionaries are among them
                    raise TooLargeError(f"more than {MAX_VALUES} values")
    return pages


def _pages(body: bytes, chunk: _Chunk) -> Iterator[_Page]:
    """The pages that pyarrow reads of a chunk: until it has its values or the chunk is at its end."""
    place, values = chunk.start, 0
    while place < chunk.end and values < chunk.values:
        reader = _CompactReader(body, place, MAX_HEADER_STEPS)
        header = reader.read(_PAGE_HEADER)
        place = reader.place + _number(header, 3)
        kind = _number(header, 1)
        if kind not in _OWN_HEADERS:  # pyarrow skips them
            yield _Page(kind, 0, 0, 0)
            continue
        field, encoding = _OWN_HEADERS[kind]
        own = header.get(field, {})
        yield _Page(kind, _number(header, 2), _number(own, 1), _number(own, encoding))
        values += 0 if kind == _DICTIONARY_PAGE else _number(own, 1)


def _number(fields: Mapping[int, Any], number: int) -> int:
    value: int = fields.get(number, -1)
    if value < 0:
        raise ValueError(f"a number that it needs is missing or negative (field {number})")
    return value


# -- Thrift -------------------------------------------------------------------------------------------------

_BOOLEANS = (1, 2)
_BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 3, 4, 5, 6, 7, 8, 9, 10, 12
_MAX_DEPTH = 16

# Structures of parquet.thrift: the type of each field by its number, of those that are needed, and of all
# lists. A list is [type of its elements], a structure is such a mapping.
_Shape = int | list[Any] | Mapping[int, Any]
_COLUMN_METADATA: Mapping[int, _Shape] = {
    2: [_I32], 3: [_BINARY], 5: _I64, 7: _I64, 8: [{}], 9: _I64, 11: _I64, 13: [{}],
    16: {2: [_I64], 3: [_I64]}, 17: {2: [_I32]},
}  # fmt: skip
_ROW_GROUP: Mapping[int, _Shape] = {1: [{3: _COLUMN_METADATA}], 3: _I64, 4: [{}]}
_FOOTER: Mapping[int, _Shape] = {2: [{}], 4: [_ROW_GROUP], 5: [{}], 7: [{}]}
_PAGE_HEADER: Mapping[int, _Shape] = {
    1: _I32, 2: _I32, 3: _I32, 5: {1: _I32, 2: _I32}, 7: {1: _I32, 2: _I32}, 8: {1: _I32, 4: _I32},
}  # fmt: skip
# By page type: the field of the page header that has the type's own header, and in that the encoding.
_OWN_HEADERS = {_DATA_PAGE: (5, 2), _DICTIONARY_PAGE: (7, 2), _DATA_PAGE_V2: (8, 4)}


class _CompactReader:
    """Reads Thrift's compact protocol (thrift-compact-protocol.md) as Thrift's generated code does.

    That is: a field of another type than it should have is skipped, of one that comes twice the last counts,
    and the elements of a list are read as what they should be, whatever the list says they are.
    """

    def __init__(self, data: bytes, place: int, steps: int) -> None:
        self._data = data
        self.place = place
        self._steps = steps

    def read(self, shape: Mapping[int, _Shape], depth: int = 0) -> dict[int, Any]:
        """The fields of a structure by number.

        Raises:
            ValueError: cut short, too long, or none of what Parquet is made of.
        """
        fields: dict[int, Any] = {}
        number = 0
        while True:
            head = self._read_byte()
            step, kind = head >> 4, head & 15
            if kind == 0:
                return fields
            number = number + step if step else self._read_integer(32)
            number = (number + 2**15) % 2**16 - 2**15  # a field's number has 16 bits
            wanted = shape.get(number)
            if wanted is not None and kind == _type_of(wanted):
                fields[number] = self._read_value(wanted, depth)
            else:
                self._skip(kind, depth)

    def _read_value(self, shape: _Shape, depth: int) -> Any:
        if isinstance(shape, list):
            return [self._read_value(shape[0], depth) for _ in range(self._read_list()[0])]
        if isinstance(shape, Mapping):
            return self.read(shape, depth + 1)
        if shape == _BINARY:
            return self._skip(shape, depth)
        return self._read_integer(32 if shape == _I32 else 64)

    def _skip(self, kind: int, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise ValueError("its metadata is nested too deeply")
        if kind == _STRUCT:
            self.read({}, depth + 1)
        elif kind in (_I16, _I32, _I64):
            self._read_varint()
        elif kind == _BINARY:
            self._pass(self._read_varint())
        elif kind in (_LIST, _SET):
            size, element = self._read_list()
            for _ in range(size):
                self._skip(_BYTE if element in _BOOLEANS else element, depth + 1)
        elif kind in (_BYTE, _DOUBLE):
            self._pass(1 if kind == _BYTE else 8)
        elif kind not in _BOOLEANS:
            raise ValueError("its metadata holds a type that Parquet does not have")

    def _read_list(self) -> tuple[int, int]:
        """Number of elements, and what the list says of their type."""
        head = self._read_byte()
        size = head >> 4
        return (size if size < 15 else self._read_varint()), head & 15

    def _read_integer(self, bits: int) -> int:
        value = self._read_varint() % (1 << bits)
        return (value >> 1) ^ -(value & 1)

    def _read_varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._read_byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("its metadata holds a number that is too long")

    def _read_byte(self) -> int:
        self._pass(1)
        return self._data[self.place - 1]

    def _pass(self, length: int) -> None:
        self.place += length
        self._steps -= 1
        if self._steps < 0 or self.place > len(self._data):
            raise ValueError("its metadata is cut short or too long")


def _type_of(shape: _Shape) -> int:
    if isinstance(shape, list):
        return _LIST
    return shape if isinstance(shape, int) else _STRUCT

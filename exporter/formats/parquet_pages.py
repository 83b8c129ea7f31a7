"""What a Parquet file says of its parts: the footer and the header of each page.

pyarrow does not show page headers, and what it shows of a footer ends the process where the footer is
damaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import SEEK_END
from typing import Any, BinaryIO, overload

from exporter.errors import MalformedError

_WINDOW_BYTES = 2**16
MAX_HEADER_STEPS = 1000  # of a page; statistics may be long, and are passed over in one
MAX_SCHEMA_DEPTH = 64  # as Arrow has it for its streams; pyarrow recurses until its stack overflows

# PageType and Encoding in parquet.thrift
_DATA_PAGE, DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
_DELTA_BYTE_ARRAY = 7


class FileBytes:
    """Bytes of an open file, read on access.

    Other processes may truncate the file at any time: with a memory map that would end this one.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = stream.seek(0, SEEK_END)
        self._start, self._window = 0, b""

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> bytes: ...
    def __getitem__(self, place: int | slice) -> int | bytes:
        """
        Raises:
            ValueError: the file has become too short.
        """
        if isinstance(place, slice):
            start, end, _ = place.indices(self._size)
            return self._read(start, end - start)
        offset = place - self._start
        if not 0 <= offset < len(self._window):
            self._start, offset = place, 0
            self._window = self._read(place, min(_WINDOW_BYTES, self._size - place))
        return self._window[offset]

    def _read(self, start: int, size: int) -> bytes:
        self._stream.seek(start)
        found = self._stream.read(size)
        if len(found) < size:
            raise ValueError("it became shorter while it was read")
        return found


@dataclass(frozen=True)
class Bounds:
    """What costs time without holding anything, and of which a file has no need for more."""

    footer_bytes: int
    column_chunks: int
    pages: int


@dataclass(frozen=True)
class Chunk:
    """A column of a row group: where its pages are, and how many values they have."""

    start: int
    end: int
    values: int


@dataclass(frozen=True)
class Group:
    """A row group, with a chunk for each leaf."""

    rows: int
    chunks: list[Chunk]


@dataclass(frozen=True)
class Page:
    """What the header of a page says."""

    kind: int
    unpacked_bytes: int
    values: int
    encoding: int


def read_groups(body: bytes | FileBytes, bounds: Bounds) -> list[Group]:
    """
    Raises:
        MalformedError: of more parts than the bounds let through.
        ValueError: it is no Parquet.
    """
    size = int.from_bytes(body[-8:-4], "little")
    if len(body) < 12 or body[-4:] != b"PAR1" or size > len(body) - 12:
        raise ValueError("it does not end as Parquet does")
    if size > bounds.footer_bytes:
        raise MalformedError(f"the footer has {size} bytes, at most {bounds.footer_bytes} are taken")
    footer = _CompactReader(body, len(body) - 8 - size, size).read(_FOOTER)
    _check_depth(footer.get(2, []))
    groups = [Group(_number(group, 3), [_chunk(chunk, len(body)) for chunk in group.get(1, [])])
              for group in footer.get(4, [])]  # fmt: skip
    if sum(len(group.chunks) for group in groups) > bounds.column_chunks:
        raise MalformedError(f"more than {bounds.column_chunks} column chunks")
    if len({len(group.chunks) for group in groups}) > 1:
        raise ValueError("its row groups differ in their columns")
    return groups


def _check_depth(elements: list[Mapping[int, Any]]) -> None:
    """Check how deeply the elements of a schema, which come depth first, are nested.

    Raises:
        MalformedError: too deeply.
    """
    missing: list[int] = []  # of each structure that is not complete, its children that are still to come
    for element in elements:
        while missing and missing[-1] == 0:
            missing.pop()
        if missing:
            missing[-1] -= 1
        children = element.get(5, 0)
        if children > 0:
            missing.append(children)
        if len(missing) > 1 + MAX_SCHEMA_DEPTH:  # the root is none
            raise MalformedError(f"columns are nested more than {MAX_SCHEMA_DEPTH} levels deep")


def _chunk(chunk: Mapping[int, Any], size: int) -> Chunk:
    metadata = chunk.get(3, {})
    start, dictionary = _number(metadata, 9), metadata.get(11, 0)
    if 0 < dictionary < start:
        start = dictionary
    end = start + _number(metadata, 7)
    if end > size:
        raise ValueError("a column chunk lies outside of the file")
    return Chunk(start, end, _number(metadata, 5))


def read_pages(body: bytes | FileBytes, groups: list[Group], bounds: Bounds) -> list[list[list[Page]]]:
    """The pages by row group and leaf.

    Raises:
        MalformedError: too many, or in an encoding that is not taken.
        ValueError: it is no Parquet.
    """
    count = 0
    found: list[list[list[Page]]] = []
    for group in groups:
        found.append([])
        for chunk in group.chunks:
            pages = []
            for page in _pages(body, chunk):
                if page.kind != DICTIONARY_PAGE and page.encoding == _DELTA_BYTE_ARRAY:
                    raise MalformedError("encoding DELTA_BYTE_ARRAY is not taken: it repeats without bound")
                pages.append(page)
                count += 1
                if count > bounds.pages:
                    raise MalformedError(f"more than {bounds.pages} pages")
            found[-1].append(pages)
    return found


def _pages(body: bytes | FileBytes, chunk: Chunk) -> Iterator[Page]:
    """The pages that pyarrow reads of a chunk: until it has its values or the chunk is at its end."""
    place, values = chunk.start, 0
    while place < chunk.end and values < chunk.values:
        reader = _CompactReader(body, place, MAX_HEADER_STEPS)
        header = reader.read(_PAGE_HEADER)
        place = reader.place + _number(header, 3)
        kind = _number(header, 1)
        if kind not in _OWN_HEADERS:  # pyarrow skips them
            yield Page(kind, 0, 0, 0)
            continue
        field, encoding = _OWN_HEADERS[kind]
        own = header.get(field, {})
        yield Page(kind, _number(header, 2), _number(own, 1), _number(own, encoding))
        values += 0 if kind == DICTIONARY_PAGE else _number(own, 1)


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
_FOOTER: Mapping[int, _Shape] = {2: [{5: _I32}], 4: [_ROW_GROUP], 5: [{}], 7: [{}]}
_PAGE_HEADER: Mapping[int, _Shape] = {
    1: _I32, 2: _I32, 3: _I32, 5: {1: _I32, 2: _I32}, 7: {1: _I32, 2: _I32}, 8: {1: _I32, 4: _I32},
}  # fmt: skip
# By page type: the field of the page header that has the type's own header, and in that the encoding.
_OWN_HEADERS = {_DATA_PAGE: (5, 2), DICTIONARY_PAGE: (7, 2), _DATA_PAGE_V2: (8, 4)}


class _CompactReader:
    """Reads Thrift's compact protocol (thrift-compact-protocol.md) as Thrift's generated code does.

    That is: a field of another type than it should have is skipped, of one that comes twice the last counts,
    and the elements of a list are read as what they should be, whatever the list says they are.
    """

    def __init__(self, data: bytes | FileBytes, place: int, steps: int) -> None:
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

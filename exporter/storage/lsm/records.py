"""Columnar records and their encoding in the store.

A database and Python take longer to unpack a million rows than to find them. So rows that come by the
thousand are stored by the dozen: numbers of fixed width, which numpy reads in place, and texts beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import orjson

from exporter.errors import StoreDamagedError, decoding
from exporter.typing import Ints

Numbers: TypeAlias = npt.NDArray[np.void]
Halves: TypeAlias = npt.NDArray[np.uint64]
TextRow: TypeAlias = tuple[str | None, ...]

ID_BYTES = 16
Row = TypeVar("Row", bound=tuple[Any, ...])


@dataclass(frozen=True)
class Records:
    """Rows in columns: `numbers` (rows,) of `RecordKind.dtype`, `texts` (rows,) as JSON, see `text_rows`."""

    numbers: Numbers
    texts: list[bytes]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def ids(self) -> list[bytes]:
        """(rows,) 128-bit hashes."""
        ids: list[bytes] = self.numbers["id_hash"].tolist()
        return ids

    @property
    def halves(self) -> Halves:
        """(rows, 2) 64-bit halves of the ids."""
        return _halves(self.numbers)

    def take(self, chosen: Ints) -> Records:
        """The rows at the given indices."""
        texts = self.texts
        return Records(self.numbers[chosen], [texts[index] for index in chosen.tolist()])

    def put(self, chosen: Ints, records: Records) -> None:
        """Overwrite the rows at the given indices."""
        self.numbers[chosen] = records.numbers
        for index, text in zip(chosen.tolist(), records.texts, strict=True):
            self.texts[index] = text

    def encode(self) -> tuple[bytes, bytes]:
        """Bytes for the store: the numbers, and the texts."""
        return self.numbers.tobytes(), b"".join(self.texts)

    @staticmethod
    def join(parts: Sequence[Records]) -> Records:
        """All rows of several, at least one, in order."""
        if len(parts) == 1:
            return parts[0]
        return Records(
            np.concatenate([part.numbers for part in parts]), [text for part in parts for text in part.texts]
        )


@dataclass(frozen=True)
class Encoded:
    """Rows as they are stored, all `texts` in one; `take` takes them apart."""

    numbers: Numbers
    texts: bytes

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def halves(self) -> Halves:
        """(rows, 2) 64-bit halves of the ids."""
        return _halves(self.numbers)

    def take(self, chosen: Ints) -> Records:
        """The rows at the given indices.

        Raises:
            StoreDamagedError: texts are missing.
        """
        lengths = self.numbers["text_bytes"].astype(np.int64)
        ends = np.cumsum(lengths)
        if len(ends) and ends[-1] != len(self.texts):
            raise StoreDamagedError("stored ids are damaged: their texts are cut short")
        ends = ends[chosen]
        starts = ends - lengths[chosen]
        texts = self.texts
        parts = [texts[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        return Records(self.numbers[chosen], parts)

    def all(self) -> Records:
        """All rows."""
        return self.take(np.arange(len(self)))


@dataclass(frozen=True)
class RecordKind(Generic[Row]):
    """Layout of the rows of a kind: the fields of `row`, a named tuple, in its order.

    Fields with a numpy format are numbers; a missing float is NaN. The others are texts, any of which may be
    missing. `keys` are the fields that together are unique.
    """

    name: str
    row: type[Row]
    formats: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """Type of `Records.numbers`: the id, the length of the texts in bytes, and the formats."""
        return np.dtype([("id_hash", f"V{ID_BYTES}"), ("text_bytes", "<u4"), *self.formats])

    @cached_property
    def fields(self) -> tuple[str, ...]:
        return tuple(self.row._fields)  # type: ignore[attr-defined] # a named tuple

    @cached_property
    def text_fields(self) -> tuple[str, ...]:
        numbers = {"id_hash", *(name for name, _ in self.formats)}
        return tuple(name for name in self.fields if name not in numbers)

    def pack(self, **columns: Sequence[Any] | npt.NDArray[Any]) -> Records:
        """Rows from a column for each field."""
        texts = _join_texts(list(zip(*(columns[name] for name in self.text_fields), strict=True)))
        numbers = np.empty(len(texts), self.dtype)
        numbers["id_hash"] = np.frombuffer(b"".join(columns["id_hash"]), numbers.dtype["id_hash"])
        numbers["text_bytes"] = np.fromiter(map(len, texts), np.uint32, len(texts))
        for name, form in self.formats:
            numbers[name] = np.array(columns[name], form)  # None is NaN
        return Records(numbers, texts)

    def pack_rows(self, rows: Iterable[Row]) -> Records:
        """Rows from tuples."""
        columns = list(zip(*rows, strict=True)) or [()] * len(self.fields)
        return self.pack(**dict(zip(self.fields, columns, strict=True)))

    def unpack(self, records: Records) -> list[Row]:
        """The rows as tuples."""
        codes, distinct = self.text_rows(records)
        texts = list(zip(*(distinct[code] for code in codes.tolist()), strict=True))
        columns: dict[str, Sequence[Any]] = dict(zip(self.text_fields, texts, strict=bool(texts)))
        for name in ("id_hash", *(name for name, _ in self.formats)):
            values = records.numbers[name].tolist()
            is_float = self.dtype[name].kind == "f"
            columns[name] = [None if v != v else v for v in values] if is_float else values
        found = zip(*(columns[name] for name in self.fields), strict=True) if len(records) else ()
        return [self.row._make(values) for values in found]  # type: ignore[attr-defined]

    def decode(self, pages: Iterable[tuple[bytes, bytes]]) -> Encoded:
        """Rows of encoded pages, in order.

        Raises:
            StoreDamagedError: one is cut short.
        """
        pages = list(pages)
        numbers = b"".join([page[0] for page in pages])
        with decoding("a stored page of ids"):
            return Encoded(np.frombuffer(numbers, self.dtype), b"".join([page[1] for page in pages]))

    def keys_of(self, records: Records) -> list[tuple[Any, ...]]:
        """(rows,) values of the key fields."""
        return list(zip(*(records.numbers[name].tolist() for name in self.keys), strict=True))

    def text_rows(self, records: Records) -> tuple[Ints, list[TextRow]]:
        """(rows,) codes and the distinct rows of texts that they stand for: a value or None a text field."""
        distinct = list(dict.fromkeys(records.texts))
        code_of = {text: code for code, text in enumerate(distinct)}
        codes = np.fromiter(map(code_of.__getitem__, records.texts), np.int64, len(records))
        return codes, [_split_texts(text, len(self.text_fields)) for text in distinct]


def _halves(numbers: Numbers) -> Halves:
    return np.ascontiguousarray(numbers["id_hash"]).view("<u8").reshape(-1, 2)


def _join_texts(rows: Sequence[TextRow]) -> list[bytes]:
    """A JSON list a row, without missing texts at its end; empty where all are missing."""
    encoded = {}
    for row in set(rows):
        known = max((index for index, text in enumerate(row) if text is not None), default=-1) + 1
        encoded[row] = orjson.dumps(row[:known]) if known else b""
    return [encoded[row] for row in rows]


def _split_texts(text: bytes, count: int) -> TextRow:
    with decoding("a stored text"):
        known = orjson.loads(text) if text else []
    return (*known, *[None] * (count - len(known)))

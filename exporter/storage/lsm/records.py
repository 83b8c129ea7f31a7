"""Rows in columns, and the bytes that the store keeps of them.

A million rows of a database take it and Python longer to take apart than to find. So rows that come by the
thousand are kept by the dozen: numbers of fixed width, which numpy reads where they lie, and texts beside
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import orjson

from exporter.errors import StoreDamagedError
from exporter.formats.decoding import decoding
from exporter.typing import Ints

Numbers: TypeAlias = npt.NDArray[np.void]
Halves: TypeAlias = npt.NDArray[np.uint64]
TextRow: TypeAlias = tuple[str | None, ...]

ID_BYTES = 16
Row = TypeVar("Row", bound=tuple[Any, ...])


@dataclass(frozen=True)
class Records:
    """`numbers` (rows,) as `RecordKind.dtype` says, `texts` (rows,) those of each row as one: `text_rows`."""

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
        """(rows, 2) of the ids."""
        return _halves(self.numbers)

    def take(self, places: Ints) -> Records:
        """The rows at the given places."""
        texts = self.texts
        return Records(self.numbers[places], [texts[place] for place in places.tolist()])

    def put(self, places: Ints, records: Records) -> None:
        """Write other rows at the given places."""
        self.numbers[places] = records.numbers
        for place, text in zip(places.tolist(), records.texts, strict=True):
            self.texts[place] = text

    def encode(self) -> tuple[bytes, bytes]:
        """Bytes for the store: of the numbers, and of the texts."""
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
    """Rows as the store has them, `texts` all in one; they are taken apart when they are taken."""

    numbers: Numbers
    texts: bytes

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def halves(self) -> Halves:
        """(rows, 2) of the ids."""
        return _halves(self.numbers)

    def take(self, places: Ints) -> Records:
        """The rows at the given places."""
        lengths = self.numbers["text_bytes"].astype(np.int64)
        ends = np.cumsum(lengths)
        if len(ends) and ends[-1] != len(self.texts):
            raise StoreDamagedError("stored ids are damaged: their texts are cut short")
        ends = ends[places]
        starts = ends - lengths[places]
        texts = self.texts
        parts = [texts[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        return Records(self.numbers[places], parts)

    def all(self) -> Records:
        """All rows."""
        return self.take(np.arange(len(self)))


@dataclass(frozen=True)
class RecordKind(Generic[Row]):
    """What rows of a kind are made of: the fields of `row`, a named tuple, in its order.

    Those with a format, as of numpy, are numbers; a float that is missing is NaN. The others are texts, any
    of which may be missing. `keys` are the fields that no two rows share.
    """

    name: str
    row: type[Row]
    formats: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """Of `Records.numbers`: besides the formats, how many bytes the texts are."""
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
        every = zip(*(columns[name] for name in self.fields), strict=True) if len(records) else ()
        return [self.row._make(values) for values in every]  # type: ignore[attr-defined]

    def keys_of(self, records: Records) -> list[tuple[Any, ...]]:
        """(rows,) the values of the keys."""
        return list(zip(*(records.numbers[name].tolist() for name in self.keys), strict=True))

    def text_rows(self, records: Records) -> tuple[Ints, list[TextRow]]:
        """(rows,) which of the distinct texts each row has, and these: a value or None a text field."""
        distinct = list(dict.fromkeys(records.texts))
        code_of = {text: code for code, text in enumerate(distinct)}
        codes = np.fromiter(map(code_of.__getitem__, records.texts), np.int64, len(records))
        return codes, [_split_texts(text, len(self.text_fields)) for text in distinct]


def _halves(numbers: Numbers) -> Halves:
    return np.ascontiguousarray(numbers["id_hash"]).view("<u8").reshape(-1, 2)


def _join_texts(rows: Sequence[TextRow]) -> list[bytes]:
    """Of each row a JSON list; what is missing at its end is left out, and nothing is left of nothing."""
    encoded = {}
    for row in set(rows):
        known = max((place for place, text in enumerate(row) if text is not None), default=-1) + 1
        encoded[row] = orjson.dumps(row[:known]) if known else b""
    return [encoded[row] for row in rows]


def _split_texts(text: bytes, count: int) -> TextRow:
    with decoding("a stored text"):
        known = orjson.loads(text) if text else []
    return (*known, *[None] * (count - len(known)))

"""Typed columns: numbers, times, texts or a mix of types, whatever format the values came in.

A number in any notation is float64, so that 1, 1.0 and true are one value from here on, whether they came in
JSON, Arrow or Parquet. Odd values are kept: they are what we monitor.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b
from itertools import chain
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from exporter.formats.categories import MISMATCHED, canonical_text
from exporter.typing import Bools, Floats, Ints

EXACT_IN_FLOAT = 2**53  # the integers up to which float64 has all of them
_NUMBERS = {float, int, bool, type(None)}
_TEXTS = {str, type(None)}
_DATE = re.compile(r"[0-9]{4}-?([0-9]{2}-?[0-9]{2}|W[0-9]{2})")  # how ISO 8601 begins

OPAQUE = object()  # stands for a value that is no scalar


@dataclass(frozen=True)
class Times:
    """`seconds` (rows,) since the epoch, NaN where there is none; `naive`: without a zone, taken as UTC."""

    seconds: Floats
    naive: bool = False

    def __len__(self) -> int:
        return len(self.seconds)


@dataclass(frozen=True)
class Texts:
    """Row i has `texts[codes[i]]`, or none where the code is -1. A text may be there twice, or unused."""

    codes: Ints
    texts: Sequence[str]

    def __len__(self) -> int:
        return len(self.codes)

    def rows(self) -> list[str | None]:
        """(rows,) text of each row."""
        return self.spread(self.texts)

    def spread(self, values: Sequence[_T]) -> list[_T | None]:
        """(rows,) value of each row's text, given one a text."""
        either = [*values, None]  # -1 is the last
        return [either[code] for code in self.codes.tolist()]

    @cached_property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """(texts,) `text_hash` of each: bins and identities both need it."""
        return np.array([text_hash(text) for text in self.texts], np.uint64)

    @cached_property
    def seconds(self) -> Floats:
        """(texts,) seconds since the epoch of each ISO 8601 text, NaN for others."""
        return np.array([_text_time(text)[0] for text in self.texts], np.float64)

    @property
    def naive(self) -> Bools:
        """(texts,) whether it is a time without a zone, which is taken as UTC."""
        return np.array([_text_time(text)[1] for text in self.texts], np.bool_)

    @property
    def lengths(self) -> Ints:
        """(texts,) length in bytes."""
        return np.array([len(text.encode("utf-8", "surrogatepass")) for text in self.texts], np.int64)

    def places(self, index: Mapping[str, int]) -> Ints:
        """(texts,) value of each text in the index, -1 of one that is not in it; values count from 0."""
        return np.array([index.get(text, -1) for text in self.texts], np.int64)


@dataclass(frozen=True)
class Mixed:
    """Values of several types, or integers that float64 does not all have.

    `numbers` (rows,) nearest float64 of each number, NaN of anything else. `texts` (rows,) canonical text of
    each number and text. `opaque` (rows,) whether a value is no scalar.
    """

    numbers: Floats
    texts: Texts
    opaque: Bools

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def is_text(self) -> Bools:
        """(rows,) whether a value is a text."""
        return (self.texts.codes >= 0) & np.isnan(self.numbers)


# Numbers are float64, NaN where there is none.
Values: TypeAlias = Floats | Times | Texts | Mixed
_T = TypeVar("_T")


def from_python(values: Sequence[object]) -> Values:
    """Typed column of JSON's values; None is missing."""
    types = set(map(type, values))
    if types <= _NUMBERS:
        try:
            numbers = np.array(values, np.float64)
        except OverflowError:
            return _mixed(values)
        if int not in types or not (np.abs(numbers) >= EXACT_IN_FLOAT).any():
            return numbers
        # float64 would merge neighbours among 64-bit ids
        exact = not any(type(value) is int and abs(value) > EXACT_IN_FLOAT for value in values)
        return numbers if exact else _mixed(values)
    if types <= _TEXTS:
        return encode_texts(values)  # type: ignore[arg-type] # texts and None, as just seen
    return _mixed(values)


def _mixed(values: Sequence[object]) -> Mixed:
    texts = [canonical_text(value) for value in values]
    return Mixed(
        numbers=np.array([_nearest(value) for value in values], np.float64),
        texts=encode_texts([None if text is MISMATCHED else text for text in texts]),
        opaque=np.array([text is MISMATCHED for text in texts], np.bool_),
    )


def _nearest(value: object) -> float:
    if not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:  # an integer beyond 1e308
        return math.inf if value > 0 else -math.inf


def encode_texts(values: Sequence[str | None]) -> Texts:
    """Texts by their distinct values, so that what is done with a text is done once."""
    texts = [text for text in dict.fromkeys(values) if text is not None]
    code_of: dict[str | None, int] = {text: code for code, text in enumerate(texts)}
    code_of[None] = -1
    return Texts(np.fromiter(map(code_of.__getitem__, values), np.int64, len(values)), texts)


def text_hash(text: str) -> int:
    """64-bit hash, the same in every process."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def take_rows(values: Values, rows: Ints) -> Values:
    """The given rows, of texts with the ones in use."""
    if isinstance(values, Times):
        return Times(values.seconds[rows], values.naive)
    if isinstance(values, Texts):
        return _take_texts(values, rows)
    if isinstance(values, Mixed):
        return Mixed(values.numbers[rows], _take_texts(values.texts, rows), values.opaque[rows])
    return values[rows]


def _take_texts(values: Texts, rows: Ints) -> Texts:
    used, codes = np.unique(values.codes[rows], return_inverse=True)
    missing = int(used[:1].sum() == -1)
    used, codes = used[missing:], codes - missing
    taken = Texts(codes, [values.texts[code] for code in used.tolist()])
    if "hashes" in vars(values):  # long to compute
        vars(taken)["hashes"] = values.hashes[used]
    return taken


def join_columns(parts: Sequence[Values]) -> Values:
    """All rows of columns of one type, in order."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Texts):
        return _join_texts([part for part in parts if isinstance(part, Texts)])
    if isinstance(first, Times):
        return Times(np.concatenate([p.seconds for p in parts if isinstance(p, Times)]), first.naive)
    if isinstance(first, Mixed):
        mixed = [part for part in parts if isinstance(part, Mixed)]
        return Mixed(
            numbers=np.concatenate([part.numbers for part in mixed]),
            texts=_join_texts([part.texts for part in mixed]),
            opaque=np.concatenate([part.opaque for part in mixed]),
        )
    return np.concatenate([part for part in parts if isinstance(part, np.ndarray)])


def _join_texts(parts: Sequence[Texts]) -> Texts:
    starts = np.cumsum([0, *(len(part.texts) for part in parts)])
    codes = [np.where(p.codes < 0, -1, p.codes + start) for p, start in zip(parts, starts, strict=False)]
    return Texts(np.concatenate(codes), list(chain.from_iterable(part.texts for part in parts)))


# -- reading ------------------------------------------------------------------------------------------------


def canonical_texts(values: Values) -> Texts:
    """Canonical text of each row, none of one that is missing, a time or no scalar."""
    if isinstance(values, Texts):
        return values
    if isinstance(values, Mixed):
        return values.texts
    if isinstance(values, Times):
        return Texts(np.full(len(values), -1), ())
    distinct, codes = np.unique(values, return_inverse=True)
    texts = [canonical_text(value) for value in distinct.tolist()]
    if texts and texts[-1] is None:  # NaN is the last
        codes[codes == len(texts) - 1] = -1
        texts.pop()
    return Texts(codes, texts)  # type: ignore[arg-type] # there is one NaN at most


def read_numbers(values: Values) -> tuple[Floats, Ints]:
    """(rows,) numbers, NaN where there is none, and the rows with a value that is no number."""
    if isinstance(values, np.ndarray):
        return values, np.empty(0, np.int64)
    if isinstance(values, Mixed):
        return values.numbers, np.flatnonzero(values.is_text | values.opaque)
    if isinstance(values, Texts):
        return np.full(len(values), np.nan), np.flatnonzero(values.codes >= 0)
    return np.full(len(values), np.nan), np.flatnonzero(~np.isnan(values.seconds))


@dataclass(frozen=True)
class Moments:
    """Times read from a column: `seconds` (rows,) since the epoch, NaN where there is none.

    `naive` counts the ones without a zone, `wrong` has the rows with a value that is no time.
    """

    seconds: Floats
    naive: int
    wrong: Ints


def read_times(values: Values) -> Moments:
    """Times from ISO 8601 texts, from numbers of seconds since the epoch, or from times."""
    none = np.empty(0, np.int64)
    if isinstance(values, Times):
        return Moments(values.seconds, int(np.isfinite(values.seconds).sum()) if values.naive else 0, none)
    if isinstance(values, np.ndarray):
        return Moments(values, 0, none)
    texts = values.texts if isinstance(values, Mixed) else values
    seconds = np.append(texts.seconds, np.nan)[texts.codes]  # -1, a missing text, is the last
    if isinstance(values, Texts):
        naive = np.append(texts.naive, False)[texts.codes]
        return Moments(seconds, int(naive.sum()), np.flatnonzero((texts.codes >= 0) & np.isnan(seconds)))
    is_text = values.is_text
    naive = is_text & np.append(texts.naive, False)[texts.codes]
    wrong = values.opaque | (is_text & np.isnan(seconds))
    return Moments(np.where(is_text, seconds, values.numbers), int(naive.sum()), np.flatnonzero(wrong))


def parse_time(value: object) -> tuple[float, bool]:
    """Seconds since the epoch, and whether a zone was missing (it is UTC then). None gives NaN.

    Raises:
        ValueError, TypeError: no time.
    """
    if value is None:
        return math.nan, False
    if isinstance(value, str):
        seconds, naive = _text_time(value)
        if math.isnan(seconds):
            raise ValueError("not in ISO 8601")
        return seconds, naive
    if isinstance(value, int | float):
        return float(value), False
    raise TypeError("neither text nor number")


def _text_time(text: str) -> tuple[float, bool]:
    """Seconds since the epoch of an ISO 8601 text, NaN of another, and whether it has no zone."""
    if not "0" <= text[:1] <= "9" or not _DATE.match(text):
        return math.nan, False
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC).timestamp(), True
        return moment.timestamp(), False
    except (ValueError, OverflowError):
        return math.nan, False

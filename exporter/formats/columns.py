"""A column of raw values in one of four normal forms, whatever format it came in.

What is a number in any notation becomes float64, so that 1, 1.0 and true are one value from here on, whether
JSON, Arrow or Parquet said it. Odd values are kept: they are what we monitor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from exporter.formats.arrow_texts import ArrowTexts, hash_utf8
from exporter.typing import Floats, Ints

EXACT_IN_FLOAT = 2**53  # the integers up to which float64 has all of them
_NUMBERS = {float, int, bool, type(None)}
_TEXTS = {str, type(None)}

OPAQUE = object()  # stands for a value that is no scalar


@dataclass(frozen=True)
class Times:
    """`seconds` (rows,) since the epoch, NaN where there is none; `naive`: they had no zone, and are UTC."""

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
        """One text a row."""
        either = [*self.texts, None]  # -1 is the last
        return [either[code] for code in self.codes.tolist()]

    @cached_property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """`text_hash` of each text: bins and identities both need it."""
        if isinstance(self.texts, ArrowTexts):
            return self.texts.hashes
        return np.array([text_hash(text) for text in self.texts], np.uint64)

    @property
    def lengths(self) -> Ints:
        """(texts,) bytes of each."""
        if isinstance(self.texts, ArrowTexts):
            return self.texts.lengths
        return np.array([len(text.encode("utf-8", "surrogatepass")) for text in self.texts], np.int64)

    def places(self, index: Mapping[str, int]) -> Ints:
        """(texts,) what the index says of each text, -1 of one that is not in it; it counts from 0."""
        if isinstance(self.texts, ArrowTexts):
            return self.texts.find(list(index))
        return np.array([index.get(text, -1) for text in self.texts], np.int64)


# Numbers are float64 with NaN for what is missing; a list holds what is neither all numbers nor all texts.
Values: TypeAlias = Floats | Times | Texts | list[object]


def from_python(values: Sequence[object]) -> Values:
    """The normal form of JSON's values; None is missing."""
    types = set(map(type, values))
    if types <= _NUMBERS:
        try:
            numbers = np.array(values, np.float64)
        except OverflowError:  # an integer beyond 1e308
            return list(values)
        large = int in types and (np.abs(numbers) >= EXACT_IN_FLOAT).any()
        if large and any(type(value) is int and abs(value) > EXACT_IN_FLOAT for value in values):
            return list(values)  # float64 would merge neighbours among 64-bit ids
        return numbers
    if types <= _TEXTS:
        return encode_texts(values)  # type: ignore[arg-type] # texts and None, as just seen
    return list(values)


def encode_texts(values: Sequence[str | None]) -> Texts:
    """Texts by their distinct values, so that what is done with a text is done once."""
    texts = [text for text in dict.fromkeys(values) if text is not None]
    code_of: dict[str | None, int] = {text: code for code, text in enumerate(texts)}
    code_of[None] = -1
    return Texts(np.fromiter(map(code_of.__getitem__, values), np.int64, len(values)), texts)


def text_hash(text: str) -> int:
    """64-bit hash, the same in every process."""
    return hash_utf8(text.encode("utf-8", "surrogatepass"))


def take_rows(values: Values, rows: Ints) -> Values:
    """The given rows, of texts with those that are in use."""
    if isinstance(values, Times):
        return Times(values.seconds[rows], values.naive)
    if isinstance(values, Texts):
        used, codes = np.unique(values.codes[rows], return_inverse=True)
        missing = int(used[:1].sum() == -1)
        used, codes = used[missing:], codes - missing
        if isinstance(values.texts, ArrowTexts):
            return Texts(codes, values.texts.take(used))
        return Texts(codes, [values.texts[code] for code in used.tolist()])
    if isinstance(values, np.ndarray):
        return values[rows]
    return [values[row] for row in rows.tolist()]


def read_numbers(values: Values) -> tuple[Floats, Ints]:
    """(rows,) numbers, NaN where there is none, and the rows whose value is something else than a number."""
    if isinstance(values, np.ndarray):
        return values, np.empty(0, np.int64)
    if isinstance(values, Texts):
        return np.full(len(values), np.nan), np.flatnonzero(values.codes >= 0)
    if isinstance(values, Times):
        return np.full(len(values), np.nan), np.flatnonzero(~np.isnan(values.seconds))
    numbers, wrong = np.full(len(values), np.nan), []
    for index, value in enumerate(values):
        if isinstance(value, int | float):
            try:
                numbers[index] = value
            except OverflowError:  # an integer beyond 1e308
                numbers[index] = np.inf if value > 0 else -np.inf
        elif value is not None:
            wrong.append(index)
    return numbers, np.array(wrong, np.int64)


# -- times --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moments:
    """Times read from a column: `seconds` (rows,) since the epoch, NaN where there is none.

    `naive` is how many had no zone, `wrong` the rows whose value is no time.
    """

    seconds: Floats
    naive: int
    wrong: Ints


def read_times(values: Values) -> Moments:
    """Times from ISO 8601 texts, from numbers of seconds since the epoch, or from what are times already."""
    none = np.empty(0, np.int64)
    if isinstance(values, Times):
        return Moments(values.seconds, int(np.isfinite(values.seconds).sum()) if values.naive else 0, none)
    if isinstance(values, np.ndarray):
        return Moments(values, 0, none)
    # the last one is what -1, a missing text, stands for
    listed: Iterable[object] = chain(values.texts, [None]) if isinstance(values, Texts) else values
    count = len(values.texts) + 1 if isinstance(values, Texts) else len(values)
    seconds, naive, wrong = np.empty(count), np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    for index, value in enumerate(listed):
        try:
            seconds[index], naive[index] = parse_time(value)
        except (ValueError, TypeError, OverflowError):
            seconds[index], wrong[index] = math.nan, True
    if isinstance(values, Texts):
        seconds, naive, wrong = seconds[values.codes], naive[values.codes], wrong[values.codes]
    return Moments(seconds, int(naive.sum()), np.flatnonzero(wrong))


def parse_time(value: object) -> tuple[float, bool]:
    """Seconds since the epoch, and whether the zone was missing (then it is UTC). None gives NaN.

    Raises:
        ValueError, TypeError, OverflowError: it is no time.
    """
    if value is None:
        return math.nan, False
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC).timestamp(), True
        return moment.timestamp(), False
    if isinstance(value, int | float):
        return float(value), False
    raise TypeError("neither text nor number")

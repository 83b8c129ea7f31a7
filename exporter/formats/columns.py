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
import pyarrow as pa
import pyarrow.compute as pc

from exporter.formats.arrow_texts import ArrowTexts, hash_utf8
from exporter.typing import Floats, Ints

EXACT_IN_FLOAT = 2**53  # the integers up to which float64 has all of them
_NUMBERS = {float, int, bool, type(None)}
_TEXTS = {str, type(None)}
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**6}  # nanoseconds are cut to microseconds first

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


def from_arrow(column: pa.Array | pa.ChunkedArray, *, as_arrow: bool = False) -> Values:
    """The normal form of an Arrow column; lists, structures and binary are not looked into.

    With `as_arrow` no Python object is made of a value: texts are `ArrowTexts`, and integers that float64 has
    not all of are texts as well, which they are as categories anyway. It takes less memory, and more time
    where there are few rows.

    Raises:
        pa.ArrowException, UnicodeDecodeError: its contents are broken.
    """
    column = _storage(column)
    kind = column.type
    if kind.num_fields:  # what is nested cannot always be made one array
        return _opaque(column)
    array = column
    if isinstance(column, pa.ChunkedArray):
        array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        return _numbers(array)
    if pa.types.is_integer(kind):
        if kind.bit_width == 64 and len(array):
            low, high = pc.min_max(array).as_py().values()
            if low is not None and (low < -EXACT_IN_FLOAT or high > EXACT_IN_FLOAT):
                if as_arrow:
                    encoded = array.dictionary_encode()
                    texts = encoded.dictionary.cast(pa.string())
                    return _from_dictionary(pa.DictionaryArray.from_arrays(encoded.indices, texts), True)
                return list(array.to_pylist())
        return _numbers(array)
    if is_text(kind):
        return _from_dictionary(array.dictionary_encode(), as_arrow)
    if pa.types.is_dictionary(kind) and is_text(kind.value_type):
        return _from_dictionary(array, as_arrow)
    if pa.types.is_dictionary(kind) and _is_small(kind.value_type):
        return from_arrow(array.dictionary_decode(), as_arrow=as_arrow)
    if pa.types.is_timestamp(kind):
        return Times(_seconds(array.cast(pa.int64()), kind.unit), naive=kind.tz is None)
    if pa.types.is_date32(kind):
        return Times(_numbers(array.cast(pa.int32())) * 86400.0, naive=True)
    if pa.types.is_date64(kind):
        return Times(_numbers(array.cast(pa.int64())) / 1e3, naive=True)
    if pa.types.is_null(kind):
        return np.full(len(array), np.nan)
    return _opaque(array)


def _opaque(column: pa.Array | pa.ChunkedArray) -> list[object]:
    return [OPAQUE if valid else None for valid in column.is_valid().to_pylist()]


def _storage(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The column without its extension type, which Parquet does not bring either."""
    kind = column.type
    if not isinstance(kind, pa.BaseExtensionType):
        return column
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
    return column.storage


def _is_small(kind: pa.DataType) -> bool:
    """Whether a value takes a few bytes, so that a dictionary of them can be decoded."""
    return bool(pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind))


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _numbers(array: pa.Array) -> Floats:
    if pa.types.is_decimal(array.type):
        array = decimal_numbers(array)
    elif not pa.types.is_float64(array.type):
        array = array.cast(pa.float64(), safe=False)
    return np.asarray(array.to_numpy(zero_copy_only=False), np.float64)


def decimal_numbers(array: pa.Array) -> pa.Array:
    """Decimals as the nearest float64, which JSON gives as well.

    Arrow's own cast is off by one unit in the last place for a quarter of them.
    """
    return array.cast(pa.string()).cast(pa.float64())


def _seconds(whole: pa.Array, unit: str) -> Floats:
    """(rows,) seconds from whole numbers of a unit, rounded once, as `datetime.timestamp` does; NaN for null.

    Nanoseconds are cut to microseconds, the rest of a text's digits as well.
    """
    values: Ints = whole.fill_null(0).to_numpy()
    if unit == "ns":
        values = values // 1000
    per_second = _PER_SECOND[unit]
    seconds = values / per_second
    far = (values > EXACT_IN_FLOAT) | (values < -EXACT_IN_FLOAT)  # the year 2255, in microseconds
    if far.any():
        seconds[far] = values[far] // per_second + values[far] % per_second / per_second
    if whole.null_count:
        seconds[~whole.is_valid().to_numpy(zero_copy_only=False)] = np.nan
    return seconds


def _from_dictionary(array: pa.DictionaryArray, as_arrow: bool) -> Texts:
    codes: Ints = array.indices.cast(pa.int64()).fill_null(-1).to_numpy()
    dictionary = array.dictionary
    if pa.types.is_string_view(dictionary.type):  # of which pyarrow cannot take some
        dictionary = dictionary.cast(pa.large_string())
    if len(dictionary) > len(codes):  # of something larger that this is a part of
        used, codes = np.unique(codes, return_inverse=True)
        missing = int(used[:1].sum() == -1)
        dictionary, codes = dictionary.take(pa.array(used[missing:])), codes - missing
    if dictionary.null_count:  # a dictionary may say missing as well
        known = dictionary.is_valid().to_numpy(zero_copy_only=False)
        codes = np.append(np.where(known, np.cumsum(known) - 1, -1), -1)[codes]
        dictionary = dictionary.drop_null()
    return Texts(codes, ArrowTexts(dictionary) if as_arrow else dictionary.to_pylist())


def text_bytes(column: pa.ChunkedArray) -> int:
    """Bytes of the texts of a column, each as often as it is referred to: what copies of them would take."""
    column = _storage(column)
    kind = column.type
    if pa.types.is_primitive(kind):  # asked first, since nearly every column is
        return 0
    if is_text(kind):
        return sum(int(_lengths(array).sum()) for array in column.chunks)
    total = 0
    if pa.types.is_dictionary(kind) and is_text(kind.value_type):
        for array in column.chunks:
            lengths = _lengths(array.dictionary)
            total += int(lengths.sum() + lengths[array.indices.drop_null().to_numpy()].sum())
    return total


def _lengths(texts: pa.Array) -> Ints:
    """(rows,) bytes of each text, 0 for nulls."""
    if not pa.types.is_string_view(texts.type):
        return np.asarray(pc.binary_length(texts).fill_null(0).to_numpy(), np.int64)
    views = texts.buffers()[1]  # of 16 bytes each, the first four of which are the length
    lengths = np.frombuffer(views, "<i4", 4 * len(texts), 16 * texts.offset)[::4]
    return np.where(texts.is_valid().to_numpy(zero_copy_only=False), lengths, 0).astype(np.int64)


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

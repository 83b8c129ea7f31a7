"""Arrow columns -> typed columns, the same as JSON with these values gives."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exporter.formats.arrow_texts import ArrowTexts
from exporter.formats.columns import EXACT_IN_FLOAT, OPAQUE, Texts, Times, Values
from exporter.typing import Floats, Ints

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**6}  # nanoseconds are cut to microseconds first


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

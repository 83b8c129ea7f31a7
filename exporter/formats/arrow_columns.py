"""Arrow columns -> typed columns, equal to those of JSON with the same values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exporter.formats.class_scores import MAX_CLASSES, ClassScores, Scores, read_class_scores, split_scores
from exporter.formats.columns import (
    EXACT_IN_FLOAT,
    OPAQUE,
    Mixed,
    Texts,
    Times,
    Values,
    canonical_texts,
    encode_texts,
)
from exporter.payloads.limits import MAX_NAME_LENGTH
from exporter.typing import Floats, Ints

MAX_SECONDS = 1e11  # the year 5138; larger numbers are milliseconds or finer
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**6}  # nanoseconds are cut to microseconds first


def from_arrow(column: pa.Array | pa.ChunkedArray) -> Values:
    """Typed column of an Arrow column; lists, structures and binary are opaque.

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
                encoded = array.dictionary_encode()
                digits = encoded.dictionary.cast(pa.string())
                named = pa.DictionaryArray.from_arrays(encoded.indices, digits)
                texts = _from_dictionary(named)
                return Mixed(_numbers(array), texts, np.zeros(len(array), np.bool_))
        return _numbers(array)
    if is_text(kind):
        return _from_dictionary(array.dictionary_encode())
    if pa.types.is_dictionary(kind) and is_text(kind.value_type):
        return _from_dictionary(array)
    if pa.types.is_dictionary(kind) and _is_small(kind.value_type):
        return from_arrow(array.dictionary_decode())
    if pa.types.is_timestamp(kind):
        return Times(_seconds(array.cast(pa.int64()), kind.unit), naive=kind.tz is None)
    if pa.types.is_date32(kind):
        return Times(_numbers(array.cast(pa.int32())) * 86400.0, naive=True)
    if pa.types.is_date64(kind):
        return Times(_numbers(array.cast(pa.int64())) / 1e3, naive=True)
    if pa.types.is_null(kind):
        return np.full(len(array), np.nan)
    return _opaque(array)


def _opaque(column: pa.Array | pa.ChunkedArray) -> Mixed:
    opaque = np.array(column.is_valid().to_pylist(), np.bool_)
    return Mixed(np.full(len(opaque), np.nan), Texts(np.full(len(opaque), -1), ()), opaque)


def _storage(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The column without its extension type, which Parquet does not bring either."""
    kind = column.type
    if not isinstance(kind, pa.BaseExtensionType):
        return column
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
    return column.storage


def _is_small(kind: pa.DataType) -> bool:
    """True for types of a few bytes per value, of which a dictionary can be decoded."""
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


def times_to_arrow(times: Times) -> pa.Array:
    """Times as timestamps in UTC; those beyond the year 5138 are cut to it."""
    missing = np.isnan(times.seconds)
    micros = np.clip(np.where(missing, 0.0, times.seconds), -MAX_SECONDS, MAX_SECONDS) * 1e6
    return pa.array(micros.astype(np.int64), mask=missing).cast(pa.timestamp("us", tz="UTC"))


def join_as_arrow(columns: Sequence[Values | Scores]) -> pa.Array:
    """All rows of columns as one: numbers, times or scores where all are, else texts."""
    if any(isinstance(column, Scores) and column.several is not None for column in columns):
        rows = [c.several_or_none if isinstance(c, Scores) else [None] * len(c) for c in columns]
        return scores_to_arrow([*chain.from_iterable(rows)])
    parts = [column.single if isinstance(column, Scores) else column for column in columns]
    known = [part for part in parts if not (isinstance(part, np.ndarray) and np.isnan(part).all())]
    if all(isinstance(part, np.ndarray) for part in known):
        return pa.array(
            np.concatenate([part for part in parts if isinstance(part, np.ndarray)]), from_pandas=True
        )
    if all(isinstance(part, Times) for part in known):
        return times_to_arrow(
            Times(np.concatenate([part.seconds if isinstance(part, Times) else part for part in parts]))
        )
    texts = encode_texts([text for part in parts for text in canonical_texts(part).rows()])
    # JSON can escape half a surrogate pair, which is no text that Arrow or a label of a metric could hold.
    shown = pa.array([text.encode("utf-8", "replace").decode() for text in texts.texts], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(texts.codes, mask=texts.codes < 0), shown)


def _from_dictionary(array: pa.DictionaryArray) -> Texts:
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
    return Texts(codes, dictionary.to_pylist())


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


# -- scores -------------------------------------------------------------------------------------------------


def scores_from_arrow(column: pa.ChunkedArray) -> Scores:
    """Score column from numbers, lists, structures or maps.

    Raises:
        pa.ArrowException, UnicodeDecodeError: its contents are broken.
    """
    if not _holds_scores(column):
        return Scores(from_arrow(column))
    is_map = pa.types.is_map(column.type)
    rows: list[object] = []
    for scalar in column:
        if not scalar.is_valid:
            rows.append(None)
        elif len(scalar) > MAX_CLASSES:  # not made Python's before that is known
            rows.append(OPAQUE)
        else:
            value = scalar.as_py()
            rows.append(read_class_scores({str(k): v for k, v in value} if is_map else value))
    return split_scores(rows)


def scores_to_arrow(rows: Sequence[ClassScores | None]) -> pa.Array:
    """Scores of several classes as lists or as maps, as most of them came; other rows are null."""
    named = sum(row is not None and row.names is not None for row in rows)
    if 2 * named > sum(row is not None for row in rows):
        maps = [row and row.names and list(zip(row.names, row.values, strict=True)) for row in rows]
        return pa.array(maps, pa.map_(pa.string(), pa.float64()))
    listed = [row.values if row is not None and row.names is None else None for row in rows]
    return pa.array(listed, pa.list_(pa.float64()))


def _holds_scores(column: pa.ChunkedArray) -> bool:
    kind = column.type
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        return len(set(names)) == len(names) and all(_is_number(field.type) for field in kind)
    if pa.types.is_map(kind):
        return _is_number(kind.item_type) and all(_has_short_keys(chunk) for chunk in column.chunks)
    lists = (pa.ListType, pa.LargeListType, pa.FixedSizeListType, pa.ListViewType, pa.LargeListViewType)
    return isinstance(kind, lists) and _is_number(kind.value_type)


def _has_short_keys(chunk: pa.MapArray) -> bool:
    """True if the keys are integers or texts, and no long text is referred to by many rows."""
    keys = chunk.keys
    if pa.types.is_integer(keys.type) or pa.types.is_string(keys.type) or pa.types.is_large_string(keys.type):
        return True
    if not pa.types.is_dictionary(keys.type) or not pa.types.is_string(keys.type.value_type):
        return False
    longest = pc.max(pc.binary_length(keys.dictionary)).as_py()
    return longest is None or bool(longest <= 4 * MAX_NAME_LENGTH)


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    )

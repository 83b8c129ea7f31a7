"""Who a row is: hashes of its id and of its payload, the same in every process and on every machine."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from exporter.formats.class_scores import ClassScores
from exporter.formats.columns import Texts, Times, Values, parse_time, text_hash
from exporter.formats.predictions import Batch

Hashes = npt.NDArray[np.uint64]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / the golden ratio, as in Fibonacci hashing
_SHIFT = np.uint64(32)
_FLOAT, _BITS = struct.Struct("=d"), struct.Struct("=Q")
_OPAQUE_HASH = text_hash("(opaque)")
_DATE = re.compile(r"[0-9]{4}-?([0-9]{2}-?[0-9]{2}|W[0-9]{2})")  # how ISO 8601 begins


def id_hashes(model: str, row_ids: Iterable[str | None]) -> list[bytes]:
    """128-bit hash of each prediction's id, empty where it has none.

    They know no version: a label finds every one that scored its id.
    """
    start = hashlib.blake2b(f"{model}\0".encode("utf-8", "surrogatepass"), digest_size=16)
    hashes = []
    for row_id in row_ids:
        if row_id is None:
            hashes.append(b"")
            continue
        each = start.copy()  # half the time of beginning anew
        each.update(row_id.encode("utf-8", "surrogatepass"))
        hashes.append(each.digest())
    return hashes


def payload_hashes(batch: Batch) -> Hashes:
    """(rows,) hash of what each row says: features, prediction and score, not its time.

    A retry says the same and gets the same hash, whatever the format, the order of its columns and the rows
    that it comes with. So a time is its seconds since the epoch, also as a text of ISO 8601, and a number the
    nearest float64, if that is exact. A value that is missing says nothing, whether it is null, NaN or left
    out.
    """
    total = np.zeros(batch.rows, np.uint64)
    named = [(f"f:{name}", values) for name, values in batch.features.items()]
    named.append(("prediction", batch.prediction))
    if batch.score is not None:
        named.append(("score", batch.score))
    for name, values in named:
        hashes, missing = _value_hashes(values)
        mixed = _mix(hashes ^ np.uint64(text_hash(name)))
        mixed[missing] = 0
        total += mixed
    return total


def _mix(values: Hashes) -> Hashes:
    mixed = values * _MULTIPLIER
    mixed ^= mixed >> _SHIFT
    mixed *= _MULTIPLIER
    mixed ^= mixed >> _SHIFT
    return mixed


def _value_hashes(values: Values) -> tuple[Hashes, npt.NDArray[np.bool_]]:
    """(rows,) hash of each value, and which are missing. A number's are its bits, in every column."""
    if isinstance(values, Times):
        values = values.seconds
    if isinstance(values, np.ndarray):
        with np.errstate(invalid="ignore"):  # a signalling NaN, which Arrow can bring, is one as well
            return (values + 0.0).view(np.uint64), np.isnan(values)  # + 0.0: minus zero is zero
    if isinstance(values, Texts):
        hashes = np.append(values.hashes, np.uint64(0))  # -1, a missing text, is the last
        for place, text in enumerate(values.texts):
            if (seconds := _seconds(text)) is not None:
                hashes[place] = _float_bits(seconds)
        return hashes[values.codes], values.codes < 0
    hashes = np.fromiter(map(_scalar_hash, values), np.uint64, len(values))
    return hashes, np.fromiter(map(_is_missing, values), np.bool_, len(values))


def _is_missing(value: object) -> bool:
    if isinstance(value, ClassScores):
        return all(score != score for score in value.values)
    return value is None or value != value  # not equal to itself: NaN


def _scalar_hash(value: object) -> int:
    if isinstance(value, str):
        seconds = _seconds(value)
        return text_hash(value) if seconds is None else _float_bits(seconds)
    if isinstance(value, float):
        return _float_bits(value)
    if isinstance(value, int):
        nearest = float(value)
        return _float_bits(nearest) if nearest == value else text_hash(str(value))
    if isinstance(value, ClassScores):
        return text_hash(value.known.text)
    return _OPAQUE_HASH


def _seconds(text: str) -> float | None:
    """Seconds since the epoch of an ISO 8601 text, None where it is none."""
    if not "0" <= text[:1] <= "9" or not _DATE.match(text):
        return None
    try:
        return parse_time(text)[0]
    except (ValueError, OverflowError):
        return None


def _float_bits(value: float) -> int:
    bits: int = _BITS.unpack(_FLOAT.pack(value + 0.0))[0]
    return bits

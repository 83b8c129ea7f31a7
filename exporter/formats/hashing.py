"""Hashes of a row's id and of its payload, the same in every process and on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from exporter.formats.batch import Batch
from exporter.formats.categories import canonical_text
from exporter.formats.class_scores import ClassScores
from exporter.formats.columns import EXACT_IN_FLOAT, Texts, Times, Values, text_hash
from exporter.typing import Bools, Floats

Hashes = npt.NDArray[np.uint64]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / the golden ratio, as in Fibonacci hashing
_SHIFT = np.uint64(32)
_OPAQUE_HASH = np.uint64(text_hash("(opaque)"))


def id_hashes(model: str, row_ids: Iterable[str | None]) -> list[bytes]:
    """128-bit hash of each prediction's id, empty where it has none.

    The version is not part of it: a label finds every one that scored its id.
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
    """(rows,) hash of each row's features, prediction and score, not of its time.

    A retry has the same values and gets the same hash, whatever the format, the order of its columns and the
    rows that it comes with. So a time is its seconds since the epoch, also as a text of ISO 8601, and a
    number the nearest float64, if that is exact. A missing value adds nothing, be it null, NaN or left out.
    """
    total = np.zeros(batch.rows, np.uint64)
    for name, values in batch.features.items():
        total += _named(f"f:{name}", *_value_hashes(values))
    total += _named("prediction", *_value_hashes(batch.prediction))
    if batch.scores is not None:
        total += _named("score", *_value_hashes(batch.scores.single))
        if batch.scores.several is not None:
            total += _named("score", *_score_hashes(batch.scores.several))
    return total


def _named(name: str, hashes: Hashes, missing: Bools) -> Hashes:
    """(rows,) hash of each value in the column of that name, 0 of a missing one."""
    mixed = (hashes ^ np.uint64(text_hash(name))) * _MULTIPLIER
    mixed ^= mixed >> _SHIFT
    mixed *= _MULTIPLIER
    mixed ^= mixed >> _SHIFT
    mixed[missing] = 0
    return mixed


def _value_hashes(values: Values) -> tuple[Hashes, Bools]:
    """(rows,) hash of each value, and which are missing. A number's are its bits, in every column."""
    if isinstance(values, Times):
        values = values.seconds
    if isinstance(values, np.ndarray):
        return _bits(values), np.isnan(values)
    if isinstance(values, Texts):
        return _text_hashes(values)
    hashes, missing = _text_hashes(values.texts)
    exact = np.abs(values.numbers) < EXACT_IN_FLOAT
    for row in np.flatnonzero(np.abs(values.numbers) >= EXACT_IN_FLOAT).tolist():
        text = values.texts.texts[values.texts.codes[row]]
        exact[row] = canonical_text(float(values.numbers[row])) == text
    hashes = np.where(exact, _bits(values.numbers), hashes)
    return np.where(values.opaque, _OPAQUE_HASH, hashes), missing & ~values.opaque


def _text_hashes(values: Texts) -> tuple[Hashes, Bools]:
    hashes = np.where(np.isnan(values.seconds), values.hashes, _bits(values.seconds))
    return np.append(hashes, np.uint64(0))[values.codes], values.codes < 0  # -1, a missing text, is the last


def _score_hashes(rows: Sequence[ClassScores | None]) -> tuple[Hashes, Bools]:
    hashes = [0 if row is None else text_hash(row.known.text) for row in rows]
    missing = [row is None or all(score != score for score in row.values) for row in rows]
    return np.array(hashes, np.uint64), np.array(missing, np.bool_)


def _bits(numbers: Floats) -> Hashes:
    with np.errstate(invalid="ignore"):  # a signalling NaN, which Arrow can bring, is one as well
        return (numbers + 0.0).view(np.uint64)  # + 0.0: minus zero is zero

"""Who a row is: hashes of its id and of its payload, the same in every process and on every machine."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exporter.binning import canonical_text, text_hash
from exporter.samples import Batch, Values

Hashes = npt.NDArray[np.uint64]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)


def id_hash(model: str, row_id: str) -> bytes:
    """128-bit hash of a prediction's id, without the version: a label finds every version that scored it."""
    return hashlib.blake2b(f"{model}\0{row_id}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def payload_hashes(batch: Batch) -> Hashes:
    """(rows,) hash of what each row says: features, prediction and score, not its time.

    A retry says the same and gets the same hash, in whatever order its columns come.
    """
    total = np.zeros(batch.rows, np.uint64)
    named = [(f"f:{name}", values) for name, values in batch.features.items()]
    named.append(("prediction", batch.prediction))
    if batch.score is not None:
        named.append(("score", batch.score))
    for name, values in named:
        total += _mix(_value_hashes(values) ^ np.uint64(text_hash(name)))
    return total


def _mix(values: Hashes) -> Hashes:
    mixed = values * _MULTIPLIER
    mixed ^= mixed >> _SHIFT
    mixed *= _MULTIPLIER
    mixed ^= mixed >> _SHIFT
    return mixed


def _value_hashes(values: Values) -> Hashes:
    if isinstance(values, np.ndarray):
        return (values + 0.0).view(np.uint64)  # + 0.0: minus zero is zero
    if isinstance(values, pa.Array):
        encoded = values.dictionary_encode()
        distinct = [_scalar_hash(value) for value in encoded.dictionary.to_pylist()]
        indices = encoded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
        hashes: Hashes = np.array([*distinct, 0], np.uint64)[indices]
        return hashes
    return np.fromiter((_scalar_hash(value) for value in values), np.uint64, len(values))


def _scalar_hash(value: object) -> int:
    text = canonical_text(value)
    if text is None:
        return 0
    return text_hash(text if isinstance(value, str | int | float) else repr(value))

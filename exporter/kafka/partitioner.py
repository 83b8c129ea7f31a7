"""Partition of a row: murmur2 of its key, as in Java's client (`org.apache.kafka.common.utils.Utils`).

All rows and labels of an id are in one partition, so that each partition joins its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from exporter.typing import Ints

_SEED, _MULTIPLIER = 0x9747B28C, np.uint32(0x5BD1E995)
_AT_A_TIME = 8192  # keys, each of which takes as many bytes as the longest


def row_key(model: str, row_id: str) -> bytes:
    """Key of a message with the row or the label of an id.

    >>> row_key("fraud", "a1")
    b'fraud\\x00a1'
    """
    return f"{model}\0{row_id}".encode("utf-8", "surrogatepass")


def partitions_of(keys: Sequence[bytes], partitions: int) -> Ints:
    """(keys,) partition of each key.

    >>> partitions_of([b"fraud\\x00a1", b"fraud\\x00a2"], 8).tolist()
    [7, 6]
    """
    hashes = [murmur2(keys[start : start + _AT_A_TIME]) for start in range(0, len(keys), _AT_A_TIME)]
    positive = np.concatenate(hashes or [np.zeros(0, np.uint32)]) & np.uint32(0x7FFFFFFF)
    return positive.astype(np.int64) % partitions


def murmur2(keys: Sequence[bytes]) -> npt.NDArray[np.uint32]:
    """(keys,) 32-bit hash of each key."""
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    width = int(lengths.max(initial=0)) // 4 * 4 + 4  # at least one zero is behind each key
    padded = b"".join(key.ljust(width, b"\0") for key in keys)
    words = np.frombuffer(padded, "<u4").reshape(len(keys), -1).astype(np.uint32)
    hashes = np.uint32(_SEED) ^ lengths.astype(np.uint32)
    for place in range(words.shape[1]):
        mixed = words[:, place] * _MULTIPLIER
        mixed = (mixed ^ (mixed >> np.uint32(24))) * _MULTIPLIER
        rest = (hashes ^ words[:, place]) * _MULTIPLIER
        whole = place < lengths // 4
        last = (place == lengths // 4) & (lengths % 4 > 0)
        hashes = np.where(whole, (hashes * _MULTIPLIER) ^ mixed, np.where(last, rest, hashes))
    hashes = (hashes ^ (hashes >> np.uint32(13))) * _MULTIPLIER
    return np.asarray(hashes ^ (hashes >> np.uint32(15)))

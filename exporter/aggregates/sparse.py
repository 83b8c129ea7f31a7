"""Compact storage of vectors that are mostly zero."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Item = TypeVar("Item", np.int32, np.int64)
_HEADER = struct.Struct("<IBB")


@dataclass(frozen=True, slots=True)
class Sparse(Generic[Item]):
    """Non-zero `values` of a vector of `length` and their `places`, both in the narrowest type."""

    length: int
    dtype: type[Item]
    places: npt.NDArray[np.unsignedinteger[Any]]
    values: npt.NDArray[np.signedinteger[Any]]

    def dense(self) -> npt.NDArray[Item]:
        vector = np.zeros(self.length, self.dtype)
        vector[self.places] = self.values
        return vector

    @classmethod
    def decode(cls, data: bytes, start: int, length: int, dtype: type[Item]) -> tuple[Sparse[Item], int]:
        """Decode a vector that `encode_each` wrote, from position `start` on; with the position after it.

        Raises:
            struct.error, TypeError, ValueError: the bytes are truncated or no such vector.
        """
        count, place_size, value_size = _HEADER.unpack_from(data, start)
        start += _HEADER.size
        places = np.frombuffer(data, f"<u{place_size}", count, start)
        start += places.nbytes
        values = np.frombuffer(data, f"<i{value_size}", count, start)
        if count and int(places.max()) >= length:
            raise ValueError("a place beyond the end")
        return cls(length, dtype, places, values), start + values.nbytes


def pack(vector: npt.NDArray[Item]) -> Sparse[Item]:
    """Compress a vector.

    >>> pack(np.array([0, 7, 0, -2], np.int32)).dense().tolist()
    [0, 7, 0, -2]
    """
    places = np.flatnonzero(vector)
    values = vector[places]
    widest = int(np.abs(values).max(initial=0))
    return Sparse(
        len(vector),
        vector.dtype.type,
        places.astype(np.min_scalar_type(len(vector))),
        values.astype(np.min_scalar_type(-widest - 1)),
    )


def encode_each(vectors: npt.NDArray[Item]) -> list[bytes]:
    """Bytes for the store of each row of a matrix, faster than row by row.

    Numbers are little-endian, in types wide enough for all rows. The vectors' length and type are not stored.

    >>> [first, _] = encode_each(np.array([[0, 7, 0, -2], [0, 0, 0, 0]], np.int32))
    >>> Sparse.decode(first, 0, 4, np.int32)[0].dense().tolist()
    [0, 7, 0, -2]
    """
    rows, places = np.nonzero(vectors)
    values = vectors[rows, places]
    places = places.astype(np.min_scalar_type(vectors.shape[1]))
    values = values.astype(np.min_scalar_type(-int(np.abs(values).max(initial=0)) - 1))
    counts = np.bincount(rows, minlength=len(vectors))
    encoded, start = [], 0
    for count in counts.tolist():
        header = _HEADER.pack(count, places.itemsize, values.itemsize)
        stop = start + count
        encoded.append(header + places[start:stop].tobytes() + values[start:stop].tobytes())
        start = stop
    return encoded

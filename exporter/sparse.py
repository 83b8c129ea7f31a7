"""Vectors that are mostly zero, in little memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Item = TypeVar("Item", np.int32, np.int64)


@dataclass(frozen=True, slots=True)
class Sparse(Generic[Item]):
    """`values` other than 0 and their `places`, both in the narrowest type, of a vector of `length`."""

    length: int
    dtype: type[Item]
    places: npt.NDArray[np.unsignedinteger[Any]]
    values: npt.NDArray[np.signedinteger[Any]]

    def dense(self) -> npt.NDArray[Item]:
        vector = np.zeros(self.length, self.dtype)
        vector[self.places] = self.values
        return vector


def pack(vector: npt.NDArray[Item]) -> Sparse[Item]:
    """A vector without its zeros.

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

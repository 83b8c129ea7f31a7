"""Positions of each column's bins and quality cells in a flat vector, and conversion to padded matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exporter.typing import Bools, Floats, Ints

NUMERIC = ("number", "time")


@dataclass(frozen=True)
class CellLayout:
    """Positions of cells in the flat vector: each column has its bins, then a missing and a mismatch cell.

    `offsets` (columns + 1,): column i has the cells offsets[i] to offsets[i + 1]. `index` and `mask`
    (columns, bins): cell of each bin, and whether the column has that many bins. `ordered` (columns,):
    neighbouring bins are neighbouring values. `bounded`: the first and the last bin are outside the
    reference's range. `listed`: the last bin holds what the reference has never seen.
    """

    offsets: Ints
    index: Ints
    mask: Bools
    ordered: Bools
    bounded: Bools
    listed: Bools

    @classmethod
    def of(cls, offsets: Ints, kinds: Sequence[str]) -> CellLayout:
        """Layout of columns of the given kinds (`number`, `time`, `category`, `boolean`)."""
        bins = np.diff(offsets) - 2
        position = np.arange(bins.max(initial=0))
        mask = position < bins[:, None]
        names = np.array(kinds, np.str_)
        ordered = np.isin(names, NUMERIC)
        return cls(
            offsets=offsets,
            index=np.where(mask, offsets[:-1, None] + position, 0),
            mask=mask,
            ordered=ordered,
            bounded=names == "number",
            listed=~ordered,
        )

    def pad(self, cells: npt.NDArray[np.number]) -> Floats:
        """(..., columns, bins) matrix of (..., cells), zero where a column has no such bin."""
        return np.where(self.mask, cells[..., self.index], 0).astype(np.float64)

    def rows(self, cells: npt.NDArray[np.number]) -> Floats:
        """(..., columns) rows of each column from (..., cells), with missing and mismatched ones."""
        return np.add.reduceat(cells, self.offsets[:-1], axis=-1, dtype=np.float64)

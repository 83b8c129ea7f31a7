"""A reference cut into stretches of time as long as a window, never by the order of its rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.arrays import Floats, Ints


@dataclass(frozen=True)
class Cut:
    """`place` (rows,) is the chunk of each row, below `count`; -1 for a row that is not used. `numbers`
    (count,) are the chunks' own in time, one more for each that follows."""

    count: int
    place: Ints
    numbers: Ints


def cut(timestamps: Floats, seconds: int, limit: int, *, pairs: bool = False) -> Cut:
    """Chunks as long as a window; of more than the limit evenly spread ones, or pairs of them."""
    chunk = np.floor((timestamps - timestamps.min()) / seconds).astype(np.int64)
    chunks = np.unique(chunk)
    if len(chunks) > limit and pairs:
        first = np.linspace(0, len(chunks) - 2, limit // 2).astype(np.int64)
        chunks = chunks[np.unique(np.concatenate([first, first + 1]))]
    elif len(chunks) > limit:
        chunks = chunks[np.linspace(0, len(chunks) - 1, limit).astype(np.int64)]
    place = np.minimum(np.searchsorted(chunks, chunk), len(chunks) - 1)
    place[chunks[place] != chunk] = -1
    return Cut(len(chunks), place, chunks)

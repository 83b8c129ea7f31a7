"""Chunks: stretches of time as long as a window, into which rows or blocks are cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from exporter.typing import Floats, Ints

MAX_CHUNK_CELLS = 4_000_000  # of all chunks together, which bounds their memory


@dataclass(frozen=True)
class ChunkedRows:
    """Chunks of rows: `place` (rows,) is the chunk of each row, from 0 to `count` - 1, -1 if it is not used.

    `numbers` (count,) are the chunks' positions in time; adjacent chunks have consecutive numbers.
    """

    count: int
    place: Ints
    numbers: Ints


def cut_rows(timestamps: Floats, seconds: int, limit: int, *, pairs: bool = False) -> ChunkedRows:
    """Cut rows by time into chunks of some seconds.

    Args:
        timestamps: (rows,) seconds since the epoch.
        seconds: length of a chunk.
        limit: of more chunks than this, evenly spread ones are used.
        pairs: spread pairs of adjacent chunks instead of single ones.
    """
    chunk = np.floor((timestamps - timestamps.min()) / seconds).astype(np.int64)
    chunks = np.unique(chunk)
    if len(chunks) > limit and pairs:
        chunks = _spread_pairs(chunks, limit)
    elif len(chunks) > limit:
        chunks = chunks[np.linspace(0, len(chunks) - 1, limit).astype(np.int64)]
    place = np.minimum(np.searchsorted(chunks, chunk), len(chunks) - 1)
    place[chunks[place] != chunk] = -1
    return ChunkedRows(len(chunks), place, chunks)


def sum_blocks(
    blocks: Mapping[int, npt.NDArray[np.integer[Any]]],
    starts: Sequence[int],
    place: Ints,
    cells: int,
    limit: int,
) -> tuple[Ints, Ints]:
    """Sum blocks by chunk: the chunks' numbers (chunks,) and counts (chunks, cells).

    Args:
        blocks: (cells,) counts by the start of the block.
        starts: of the blocks to take.
        place: (starts,) the chunk of each.
        cells: of every block.
        limit: of more chunks than this, evenly spread pairs of adjacent ones are used.
    """
    chunks = np.unique(place)
    if len(chunks) > limit:
        chunks = _spread_pairs(chunks, limit)
    counts = np.zeros((len(chunks), cells), np.int64)
    row_of = {chunk: row for row, chunk in enumerate(chunks.tolist())}
    for start, chunk in zip(starts, place.tolist(), strict=True):
        if chunk in row_of:
            counts[row_of[chunk]] += blocks[start].astype(np.int64)
    return chunks, counts


def _spread_pairs(chunks: Ints, limit: int) -> Ints:
    first = np.linspace(0, len(chunks) - 2, limit // 2).astype(np.int64)
    chosen: Ints = chunks[np.unique(np.concatenate([first, first + 1]))]
    return chosen

"""Rows of a batch -> counts by segment: the slice of a version's rows that are in one category of a column.

Segments are frozen with the reference, like its bins. They are counted in coarse blocks, in the cells of the
whole, so that drift and quality of a slice are measured as those of the whole are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from exporter.aggregates.block import Block, fold
from exporter.reference.binning import Binned
from exporter.reference.profile import Reference
from exporter.typing import Floats, Ints


def fold_segments(reference: Reference, binned: Binned, starts: Ints) -> Iterator[tuple[str, int, Block]]:
    """Name of a segment, start of a block, and the rows that are in both.

    Args:
        reference: whose layout `binned` is in.
        binned: the batch.
        starts: (rows,) the coarse block of each row.
    """
    for segment in reference.segments:
        rows = np.flatnonzero(binned.cells[segment.column] == segment.cell)
        for start, block in fold(reference, binned.take(rows), starts[rows], None).items():
            yield segment.name, start, block


def coarse_starts(times: Floats, coarse_seconds: int) -> Ints:
    """(rows,) start of the coarse block of each time."""
    starts: Ints = (times // coarse_seconds).astype(np.int64) * coarse_seconds
    return starts


def segments_of_rows(reference: Reference, binned: Binned) -> list[str | None]:
    """One text a row that names its segments, for `Pairs.by_segment`; None where it is in none."""
    segments = reference.segments
    if not segments:
        return [None] * binned.cells.shape[1]
    inside = np.stack([binned.cells[segment.column] == segment.cell for segment in segments], axis=1)
    distinct, which = np.unique(inside, axis=0, return_inverse=True)
    texts = []
    for row in distinct:
        names = [segment.name for segment, is_inside in zip(segments, row, strict=True) if is_inside]
        texts.append(json.dumps(names) if names else None)
    return [texts[place] for place in which.reshape(-1).tolist()]

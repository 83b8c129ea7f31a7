"""Count a batch's rows by segment, the rows in one category of a column.

Segments are frozen with the reference, like its bins. They are counted in coarse blocks and in the version's
layout, so that their drift and quality are measured like those of all rows.
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
    """Yield (segment name, start of a block, counts of the rows in both).

    Args:
        reference: whose layout `binned` is in.
        binned: the batch.
        starts: (rows,) start of the coarse block of each row.
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
    """JSON list of each row's segments, for `Pairs.by_segment`; None for a row in no segment."""
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

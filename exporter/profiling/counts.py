"""Counts reference rows in their bins, and measures how much the counts vary from window to window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from exporter.aggregates.block import Block, fold
from exporter.aggregates.chunks import MAX_CHUNK_CELLS, cut_rows
from exporter.formats.columns import Values, take_rows
from exporter.measures.natural_variation import MAX_CHUNKS, MIN_CHUNKS, natural_variation
from exporter.profiling.column_bins import category_counts
from exporter.reference.binning import Binned, bin_columns
from exporter.reference.bins import BinLayout, Column
from exporter.reference.profile import Variation
from exporter.settings import Window
from exporter.typing import Floats, Ints

SLICE_VALUES = 2_000_000  # binned at once: a large reference would take several times its size otherwise


class OwnCounts(NamedTuple):
    """The fields of a `Reference` that are counted from its own rows."""

    counts: Ints
    moments: Floats
    variation: dict[int, Variation]


def count_own(
    layout: BinLayout,
    values: Mapping[tuple[str, str], Values],
    rows: int,
    timestamps: Floats | None,
    windows: tuple[Window, ...],
) -> OwnCounts:
    """Count reference rows, and measure their natural variation in windows of each length.

    Args:
        layout: of the reference.
        values: (rows,) each, by role and name as for `bin_columns`.
        rows: their number, at least 1.
        timestamps: (rows,) seconds since the epoch; None where the reference has none.
        windows: lengths to measure the variation for; there is none without timestamps.
    """
    whole: Block | None = None
    unbiased = BinLayout(tuple(_without_single(column, values) for column in layout.columns))
    cuts = {}
    if timestamps is not None:
        limit = max(MIN_CHUNKS, min(MAX_CHUNKS, MAX_CHUNK_CELLS // layout.cells))
        cuts = {window.seconds: cut_rows(timestamps, window.seconds, limit, pairs=True) for window in windows}
    counts = {
        seconds: np.zeros(found.count * layout.cells, np.int64)
        for seconds, found in cuts.items()
        if found.count >= MIN_CHUNKS
    }
    times = timestamps if timestamps is not None else np.zeros(rows)
    step = max(1, SLICE_VALUES // len(layout.columns))
    for start in range(0, rows, step):
        some = np.arange(start, min(start + step, rows))
        part = {key: take_rows(column, some) for key, column in values.items()}
        binned = bin_columns(unbiased, part, len(some), times[some])
        block = fold(layout, binned, np.zeros(len(some), np.int64), None)[0]
        whole = block if whole is None else whole + block
        for seconds, count in counts.items():
            count += _count_chunks(binned, cuts[seconds].place[some], layout.cells, len(count))
    assert whole is not None
    variation: dict[int, Variation] = {}
    longer: dict[str, Floats] | None = None
    for seconds in sorted(counts, reverse=True):
        chunks, numbers = counts[seconds].reshape(-1, layout.cells), cuts[seconds].numbers
        measured = natural_variation(chunks, layout.cell_layout, seconds, numbers, longer)
        if measured is not None:
            variation[seconds], longer = Variation(chunks=measured[0], **measured[1]), measured[1]
    return OwnCounts(whole.counts.astype(np.int64), whole.moments, dict(sorted(variation.items())))


def _without_single(column: Column, values: Mapping[tuple[str, str], Values]) -> Column:
    """The column as it would be without the very row that is counted.

    A category that one row alone has would be unseen if that row were not in the reference. The share of
    such rows is what to expect of live ones (Good 1953); with none at all, a long tail of categories would
    look like drift for ever.
    """
    if column.numeric or not len(column.known):
        return column
    texts, counts = category_counts(values[column.role, column.name if column.role == "feature" else ""])
    return replace(column, known=np.setdiff1d(column.known, texts.hashes[counts == 1]))


def _count_chunks(binned: Binned, place: Ints, cells: int, length: int) -> Ints:
    """(chunks * cells,) counts of a part of the rows by chunk."""
    inside = place >= 0
    flat = binned.cells[:, inside] + place[inside] * cells
    return np.bincount(flat.ravel(), minlength=length)

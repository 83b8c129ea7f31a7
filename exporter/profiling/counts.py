"""Counts reference rows in their bins, and measures how much the counts vary from window to window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from exporter.aggregates.block import Block, fold
from exporter.aggregates.chunks import cut
from exporter.formats.columns import Values, take_rows
from exporter.measures.natural_variation import MAX_CHUNKS, MIN_CHUNKS, natural_variation
from exporter.profiling.column_bins import category_counts
from exporter.reference.binning import Binned, bin_columns
from exporter.reference.bins import Column
from exporter.reference.profile import Reference, Variation
from exporter.settings import Window
from exporter.typing import Floats, Ints

SLICE_VALUES = 2_000_000  # binned at once: a large reference would take several times its size otherwise
MAX_CHUNK_CELLS = 4_000_000


def add_counts(
    reference: Reference,
    values: Mapping[tuple[str, str], Values],
    timestamps: Floats | None,
    windows: tuple[Window, ...],
) -> Reference:
    """The reference with its own counts and moments, and its natural variation in windows of each length."""
    whole: Block | None = None
    columns = [_without_single(column, values) for column in reference.columns]
    unbiased = replace(reference, columns=tuple(columns))
    cuts = {}
    if timestamps is not None:
        limit = max(MIN_CHUNKS, min(MAX_CHUNKS, MAX_CHUNK_CELLS // reference.cells))
        cuts = {window.seconds: cut(timestamps, window.seconds, limit, pairs=True) for window in windows}
    counts = {
        seconds: np.zeros(found.count * reference.cells, np.int64)
        for seconds, found in cuts.items()
        if found.count >= MIN_CHUNKS
    }
    times = timestamps if timestamps is not None else np.zeros(reference.rows)
    step = max(1, SLICE_VALUES // len(reference.columns))
    for start in range(0, reference.rows, step):
        rows = np.arange(start, min(start + step, reference.rows))
        part = {key: take_rows(column, rows) for key, column in values.items()}
        binned = bin_columns(unbiased, part, len(rows), times[rows])
        block = fold(reference, binned, np.zeros(len(rows), np.int64), None)[0]
        whole = block if whole is None else whole + block
        for seconds, count in counts.items():
            count += _count_chunks(binned, cuts[seconds].place[rows], reference.cells, len(count))
    assert whole is not None
    variation: dict[int, Variation] = {}
    longer: dict[str, Floats] | None = None
    for seconds in sorted(counts, reverse=True):
        chunks, numbers = counts[seconds].reshape(-1, reference.cells), cuts[seconds].numbers
        measured = natural_variation(chunks, reference.layout, seconds, numbers, longer)
        if measured is not None:
            variation[seconds], longer = Variation(chunks=measured[0], **measured[1]), measured[1]
    return replace(
        reference,
        counts=whole.counts.astype(np.int64),
        moments=whole.moments,
        variation=dict(sorted(variation.items())),
    )


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

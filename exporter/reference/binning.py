"""Placing of a batch's values in the cells of a layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exporter.formats.batch import Batch
from exporter.formats.categories import match_class
from exporter.formats.columns import Mixed, Texts, Times, Values, canonical_texts, read_numbers, read_times
from exporter.reference.bins import BinLayout, Column
from exporter.reference.classes import Outputs
from exporter.typing import Bools, Floats, Ints

_BOOLEANS = ("0", "1")


@dataclass(frozen=True)
class Binned:
    """A batch in the layout of one reference.

    `cells` (columns, rows): the cell of each value, counted over the whole layout. `standard` (numeric
    columns, rows): standardised, winsorised values, 0 where there is none; `present`: whether there is one.
    """

    cells: npt.NDArray[np.int32]
    standard: Floats
    present: Bools

    @property
    def size_bytes(self) -> int:
        """Size in memory, in bytes."""
        return self.cells.nbytes + self.standard.nbytes + self.present.nbytes

    def take(self, rows: Ints) -> Binned:
        """Select rows by number."""
        return Binned(self.cells[:, rows], self.standard[:, rows], self.present[:, rows])


def bin_batch(layout: BinLayout, batch: Batch, outputs: Outputs, timestamps: Floats) -> Binned:
    """Bin the columns of a layout; a column that the batch lacks is missing in every row.

    Args:
        layout: of the reference.
        batch: the features.
        outputs: predictions and scores of the batch.
        timestamps: (rows,) resolved time of each row, from which dates are taken as ages.
    """
    values: dict[tuple[str, str], Values] = {("feature", name): v for name, v in batch.features.items()}
    values["prediction", ""] = outputs.prediction
    if outputs.score is not None:
        values["score", ""] = outputs.score
    return bin_columns(layout, values, batch.rows, timestamps)


def bin_columns(
    layout: BinLayout, values: Mapping[tuple[str, str], Values], rows: int, timestamps: Floats
) -> Binned:
    """Bin columns of a layout; a column that `values` lacks is missing in every row.

    Args:
        layout: of the reference.
        values: (rows,) each, by role and name, which is empty for predictions, scores and labels.
        rows: their number.
        timestamps: (rows,) resolved time of each row, from which dates are taken as ages.
    """

    def of(column: Column) -> Values | None:
        return values.get((column.role, column.name if column.role == "feature" else ""))

    bins = layout.numeric_bins
    numbers = np.full((len(bins.columns), rows), np.nan)
    mismatched: list[tuple[int, Ints]] = []
    for place, index in enumerate(bins.columns.tolist()):
        column_values = of(layout.columns[index])
        if column_values is None:
            continue
        if layout.columns[index].kind == "time":
            moments = read_times(column_values)
            np.subtract(timestamps, moments.seconds, out=numbers[place])
            wrong = moments.wrong
        else:
            numbers[place], wrong = read_numbers(column_values)
        if len(wrong):
            mismatched.append((index, wrong))

    present = ~np.isnan(numbers)
    # Edges are few: nine times as fast as a binary search for each value, and narrow integers as fast again.
    found = np.zeros(numbers.shape, np.int8 if len(bins.edges) < 128 else np.int16)
    above = np.empty(numbers.shape, np.bool_)
    for edges in bins.edges:
        np.greater_equal(numbers, edges, out=above)
        np.add(found, above.view(np.int8), out=found)
    placed = found + bins.offsets
    all_present = bool(present.all())
    if not all_present:
        np.copyto(placed, bins.missing, where=~present)
    cells = np.empty((len(layout.columns), rows), np.int32)
    cells[bins.columns] = placed
    for index, wrong in mismatched:
        cells[index, wrong] = layout.offsets[index] + layout.columns[index].bins + 1
    for index, column in enumerate(layout.columns):
        if not column.numeric:
            column_values = of(column)
            found_cells = column.bins if column_values is None else category_cells(column, column_values)
            cells[index] = layout.offsets[index] + found_cells

    np.maximum(numbers, bins.low, out=numbers)  # together a third of what np.clip takes
    np.minimum(numbers, bins.high, out=numbers)
    with np.errstate(invalid="ignore"):  # signalling NaN
        numbers -= bins.center
        numbers /= bins.scale
    if not all_present:
        numbers[~present] = 0.0
    return Binned(cells, numbers, present)


def category_cells(column: Column, values: Values) -> Ints:
    """(rows,) cell of each value within the column."""
    missing, mismatch = column.bins, column.bins + 1
    if isinstance(values, Times):
        return np.where(np.isnan(values.seconds), missing, mismatch)
    texts = canonical_texts(values)
    cells: Ints = np.append(_text_cells(column, texts), missing)[texts.codes]  # -1 is the last
    return np.where(values.opaque, mismatch, cells) if isinstance(values, Mixed) else cells


def _text_cells(column: Column, values: Texts) -> Ints:
    """(texts,) cell of each distinct text."""
    named = values
    if column.kind == "boolean":
        named = Texts(values.codes, [match_class(text, _BOOLEANS) or text for text in values.texts])
    cells = named.places(column.category_cells)
    unlisted = np.flatnonzero(cells < 0)
    other = len(column.categories)
    if not column.known_complete:
        cells[unlisted] = other
    elif not len(column.known):
        cells[unlisted] = other + 1
    elif len(unlisted):
        hashes = values.hashes[unlisted]
        places = np.minimum(np.searchsorted(column.known, hashes), len(column.known) - 1)
        cells[unlisted] = np.where(column.known[places] == hashes, other, other + 1)
    return cells

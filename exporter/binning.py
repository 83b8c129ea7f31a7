"""Columns of raw values -> cells of the reference's layout: numpy, per-value Python for odd columns only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exporter.arrays import Bools, Floats, Ints
from exporter.reference import Column, Reference
from exporter.samples import Batch, Values, epoch_seconds, parse_time

_BOOLEAN_TEXTS = {"true": "1", "True": "1", "TRUE": "1", "false": "0", "False": "0", "FALSE": "0"}


@dataclass(frozen=True)
class Binned:
    """A batch in the layout of one reference.

    `cells` (columns, rows): the cell of each value, counted over the whole layout. `standard` (numeric
    columns, rows): standardised, winsorised values, 0 where there is none; `present`: whether there is one.
    """

    cells: npt.NDArray[np.int32]
    standard: Floats
    present: Bools

    def take(self, rows: Ints) -> Binned:
        """The given rows alone."""
        return Binned(self.cells[:, rows], self.standard[:, rows], self.present[:, rows])


def bin_batch(reference: Reference, batch: Batch, timestamps: Floats) -> Binned:
    """Bin the columns that the reference knows; a column that the batch lacks is missing in every row.

    `timestamps` (rows,) are the rows' resolved times, from which dates are taken as ages.
    """
    values: dict[tuple[str, str], Values] = {("feature", name): v for name, v in batch.features.items()}
    values["prediction", ""] = batch.prediction
    if batch.score is not None:
        values["score", ""] = batch.score
    return bin_columns(reference, values, batch.rows, timestamps)


def bin_columns(
    reference: Reference, values: Mapping[tuple[str, str], Values], rows: int, timestamps: Floats
) -> Binned:
    """As `bin_batch`, with the columns by (role, name); the name of a prediction or score is empty."""
    cells = np.empty((len(reference.columns), rows), np.int32)
    numeric = [column for column in reference.columns if column.numeric]
    standard = np.zeros((len(numeric), rows))
    present = np.zeros((len(numeric), rows), np.bool_)
    place = 0
    for index, column in enumerate(reference.columns):
        key = (column.role, column.name if column.role == "feature" else "")
        column_values = values.get(key)
        offset = int(reference.offsets[index])
        if column_values is None:
            cells[index] = offset + column.bins
        elif column.numeric:
            numbers, mismatched = _numbers(column, column_values, timestamps)
            missing = np.isnan(numbers)
            found = np.searchsorted(column.edges, numbers, side="right")
            found[missing] = column.bins
            found[mismatched] = column.bins + 1
            cells[index] = found
            cells[index] += offset
            np.clip(numbers, column.low, column.high, out=standard[place])
            standard[place] -= column.center
            standard[place] /= column.scale
            standard[place][missing] = 0.0
            np.logical_not(missing, out=present[place])
        else:
            cells[index] = _categories(column, column_values)
            cells[index] += offset
        place += column.numeric
    return Binned(cells, standard, present)


def _numbers(column: Column, values: Values, timestamps: Floats) -> tuple[Floats, Ints]:
    """Numbers with NaN for what is missing or mismatched, and the indices of the mismatched."""
    none = np.empty(0, np.int64)
    if column.kind == "time":
        moments, mismatched = _times(values)
        return timestamps - moments, mismatched
    if isinstance(values, np.ndarray):
        return values, none
    if isinstance(values, pa.Array):  # strings or times where numbers should be
        nulls = values.is_null().to_numpy(zero_copy_only=False)
        return np.full(len(values), np.nan), np.flatnonzero(~nulls)
    numbers = np.full(len(values), np.nan)
    wrong = []
    for index, value in enumerate(values):
        if isinstance(value, int | float):
            numbers[index] = _to_float(value)
        elif value is not None:
            wrong.append(index)
    return numbers, np.array(wrong, np.int64)


def _to_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond 1e308
        return np.inf if value > 0 else -np.inf


def _times(values: Values) -> tuple[Floats, Ints]:
    if isinstance(values, np.ndarray):
        return values, np.empty(0, np.int64)
    if isinstance(values, pa.Array):
        if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
            return epoch_seconds(values), np.empty(0, np.int64)
        values = values.to_pylist()
    moments = np.full(len(values), np.nan)
    wrong = []
    for index, value in enumerate(values):
        try:
            moments[index] = parse_time(value)[0]
        except (ValueError, TypeError, OverflowError):
            wrong.append(index)
    return moments, np.array(wrong, np.int64)


def _categories(column: Column, values: Values) -> Ints:
    """(rows,) cell of each value within the column."""
    if isinstance(values, np.ndarray):
        unique, inverse = np.unique(values, return_inverse=True)
        cells: Ints = _distinct_cells(column, unique.tolist())[inverse]
        return cells
    if isinstance(values, pa.Array):
        encoded = values.dictionary_encode()
        distinct = np.append(_distinct_cells(column, encoded.dictionary.to_pylist()), column.bins)
        indices = encoded.indices.fill_null(len(distinct) - 1).to_numpy(zero_copy_only=False)
        return distinct[indices]  # type: ignore[no-any-return] # pyarrow has no types; a null takes the last: missing
    try:
        unique_values = dict.fromkeys(values)
    except TypeError:  # lists and objects among the values
        return _distinct_cells(column, values)
    unique_list = list(unique_values)
    cell_of = dict(zip(unique_list, _distinct_cells(column, unique_list).tolist(), strict=True))
    return np.fromiter((cell_of[value] for value in values), np.int64, len(values))


def _distinct_cells(column: Column, values: list[object]) -> Ints:
    index = {text: k for k, text in enumerate(column.categories)}
    other = len(column.categories)
    cells = np.empty(len(values), np.int64)
    unlisted: list[int] = []
    hashes: list[int] = []
    for k, value in enumerate(values):
        text = canonical_text(value)
        if column.kind == "boolean" and text is not None:
            text = _BOOLEAN_TEXTS.get(text, text)
        if text is None:
            cells[k] = column.bins
        elif text is MISMATCHED:
            cells[k] = column.bins + 1
        elif text in index:
            cells[k] = index[text]
        else:
            unlisted.append(k)
            hashes.append(text_hash(text))
    if unlisted:
        if column.known_complete:
            seen = np.isin(np.array(hashes, np.uint64), column.known)
            cells[unlisted] = np.where(seen, other, other + 1)
        else:
            cells[unlisted] = other
    return cells


MISMATCHED = (
    "\0mismatched"  # no category: canonical texts of strings keep their characters, this one is never made
)


def canonical_text(value: object) -> str | None:
    """The one text of a category: 1, 1.0, true and "1" are all `1`, other strings stay as they are.

    None and NaN, which are missing, give None; what is no scalar gives `MISMATCHED`.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return None
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        if value != value:
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return MISMATCHED


def text_hash(text: str) -> int:
    """64-bit hash, the same in every process."""
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")

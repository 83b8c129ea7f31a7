"""Reference data -> Reference: its columns, their frozen bins, and how much the data itself varies.

Bins decide what can be seen for as long as the version lives, so they come from the reference alone. Numbers
get an *atom* for every value with a share of at least 1 / (2 B) (zeros, price points, small integers), B = 10
quantile bins for the rest, and edges in the tails; an edge lies midway between adjacent distinct values, so
that float32 and float64 of one value share a bin. Categories get the 30 most frequent.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from exporter.aggregate import fold
from exporter.arrays import Floats
from exporter.binning import MISMATCHED, Binned, bin_columns, canonical_text, text_hash
from exporter.config import Window
from exporter.errors import ReferenceInvalidError
from exporter.measures.layout import Layout
from exporter.measures.variation import MIN_CHUNKS, natural_variation
from exporter.reference import Column, Kind, Reference, Role, Variation
from exporter.samples import Values, epoch_seconds, from_arrow, parse_time

QUANTILE_BINS = 10
TAIL_QUANTILES = (0.001, 0.01, 0.05, 0.95, 0.99, 0.999)
MAX_CATEGORIES = 30
MAX_KNOWN_CATEGORIES = 50_000
MAX_CHUNKS = 1000  # of a short window in a long reference: evenly spread ones tell as much as all
MIN_ROWS_TO_RECOGNISE = 100  # below, an id cannot be told from a measurement
MAX_CLASSES = 20


@dataclass(frozen=True)
class ReferenceData:
    """A reference as it was found: the table, and what its owner says of it.

    `task` and `target` may be empty: the task is then inferred, and columns named `label` or `target` are
    taken as the target.
    """

    table: pa.Table
    source: str
    task: str = ""
    target: str = ""
    split: str = ""
    notes: tuple[str, ...] = ()


def build_reference(data: ReferenceData, windows: tuple[Window, ...], max_columns: int) -> Reference:
    """Profile reference data.

    Columns `prediction`, `score` and `timestamp` have their meaning, the target is left out, all others are
    features.

    Raises:
        ReferenceInvalidError: no rows, or no usable columns.
    """
    table = data.table
    if table.num_rows == 0:
        raise ReferenceInvalidError("the reference has no rows")
    notes = list(data.notes)
    target = data.target or next((name for name in ("label", "target") if name in table.column_names), "")
    timestamps = _timestamps(table, notes)
    raw = {
        name: _values(table.column(name)) for name in table.column_names if name not in ("timestamp", target)
    }
    task = data.task or _infer_task(raw)
    columns: list[Column] = []
    values: dict[tuple[str, str], Values] = {}
    for name, column_values in raw.items():
        role: Role = "prediction" if name == "prediction" else "score" if name == "score" else "feature"
        kind = _kind(table.schema.field(name).type, column_values, role, task)
        if kind is None:
            notes.append(f"column {name} holds lists or structures, which are not monitored")
            continue
        if len(columns) == max_columns:
            notes.append(f"columns from {name} on are left out: at most {max_columns} are monitored")
            break
        columns.append(_column(name, role, kind, column_values, timestamps))
        values[role, name if role == "feature" else ""] = column_values
    if not any(column.role == "feature" for column in columns):
        raise ReferenceInvalidError("the reference has no feature columns")
    skeleton = Reference(
        columns=tuple(columns),
        counts=np.zeros(1, np.int64),
        moments=np.zeros((len(columns), 3)),
        rows=table.num_rows,
        task=task,
        source=data.source,
        split=data.split,
        target=target,
        notes=tuple(notes),
    )
    times = timestamps if timestamps is not None else np.full(table.num_rows, np.nan)
    binned = bin_columns(skeleton, values, table.num_rows, times)
    whole = fold(skeleton, binned, np.zeros(table.num_rows, np.int64), None)[0]
    return replace(
        skeleton,
        counts=whole.counts.astype(np.int64),
        moments=whole.moments,
        variation=_variation(skeleton, binned, timestamps, windows),
    )


# -- reading ------------------------------------------------------------------------------------------------


def _values(column: pa.ChunkedArray) -> Values:
    return from_arrow(column.combine_chunks() if column.num_chunks != 1 else column.chunk(0))


def _timestamps(table: pa.Table, notes: list[str]) -> Floats | None:
    """(rows,) seconds since the epoch, or None where the reference has no usable `timestamp`."""
    if "timestamp" not in table.column_names:
        return None
    column = table.column("timestamp").combine_chunks()
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        times = epoch_seconds(column)
    else:
        try:
            times = np.array([parse_time(value)[0] for value in column.to_pylist()], np.float64)
        except (ValueError, TypeError, OverflowError):
            notes.append("column timestamp holds no times: no natural variation, verdicts are provisional")
            return None
    if np.isnan(times).any():
        notes.append("column timestamp has gaps: no natural variation, verdicts are provisional")
        return None
    return times


def _infer_task(raw: dict[str, Values]) -> str:
    """`binary`, `multiclass` or `regression`, from the predictions; empty where there are none."""
    prediction = raw.get("prediction")
    if prediction is None:
        return ""
    if isinstance(prediction, np.ndarray):
        known = prediction[~np.isnan(prediction)]
        classes = len(np.unique(known))
        if classes > MAX_CLASSES or (known != np.floor(known)).any():
            return "regression"
    else:
        listed = prediction.to_pylist() if isinstance(prediction, pa.Array) else prediction
        classes = len({canonical_text(value) for value in listed} - {None})
    return "binary" if classes <= 2 else "multiclass"


def _kind(arrow_type: pa.DataType, values: Values, role: Role, task: str) -> Kind | None:
    if role == "prediction" and task in ("binary", "multiclass"):
        return "category"
    if pa.types.is_boolean(arrow_type):
        return "boolean"
    if isinstance(values, np.ndarray):
        return "category" if pa.types.is_null(arrow_type) else "number"
    if isinstance(values, pa.Array):
        return (
            "category" if pa.types.is_string(values.type) or pa.types.is_large_string(values.type) else "time"
        )
    if pa.types.is_integer(arrow_type):  # beyond 2^53: names, not amounts
        return "category"
    return None


# -- columns ------------------------------------------------------------------------------------------------


def _column(name: str, role: Role, kind: Kind, values: Values, timestamps: Floats | None) -> Column:
    if kind in ("category", "boolean"):
        return _category_column(name, role, kind, values)
    if kind == "time":
        assert isinstance(values, pa.Array)
        if timestamps is None:
            unjudged = "a date is judged by its age, and the reference has no timestamp to take it from"
            return Column(name, role, kind, unjudged=unjudged)
        numbers = timestamps - epoch_seconds(values)
    else:
        assert isinstance(values, np.ndarray)
        numbers = values
    column = number_column(name, role, kind, numbers)
    if role != "feature" or column.unjudged:
        return column
    return replace(column, unjudged=_nature(numbers, timestamps))


def number_column(name: str, role: Role, kind: Kind, numbers: Floats) -> Column:
    """A numeric column with bins frozen from (rows,) values; NaN is missing, infinities are out of range."""
    finite = np.sort(numbers[np.isfinite(numbers)])
    if not len(finite):
        return Column(name, role, kind, unjudged="the reference has no value in it")
    low, high = np.quantile(finite, [0.001, 0.999])
    spread = high / 2 - low / 2  # halves: the difference of two huge values overflows
    inside = np.clip(finite, low - spread, high + spread)
    scale = float(inside.std())
    return Column(
        name,
        role,
        kind,
        edges=_edges(finite),
        center=float(inside.mean()),
        scale=scale if scale > 0 and np.isfinite(scale) else 1.0,
        low=float(low - spread),
        high=float(high + spread),
    )


def _edges(finite: Floats) -> Floats:
    """Bin edges from sorted finite values: the range, atoms, quantiles and tails of the rest."""
    distinct, counts = np.unique(finite, return_counts=True)
    middle = distinct[:-1] / 2 + distinct[1:] / 2
    atoms = np.flatnonzero(counts / len(finite) >= 1 / (2 * QUANTILE_BINS))
    cuts = {int(k) for atom in atoms for k in (atom - 1, atom) if 0 <= k < len(middle)}
    rest = counts.astype(np.float64)
    rest[atoms] = 0.0
    if rest.any() and len(middle):
        shares = np.cumsum(rest) / rest.sum()
        quantiles = (*(k / QUANTILE_BINS for k in range(1, QUANTILE_BINS)), *TAIL_QUANTILES)
        found = np.searchsorted(shares, np.array(quantiles) - 1e-12)
        cuts.update(int(k) for k in found if k < len(middle))
    # A value that another type or a round trip moved by a rounding error is not out of range.
    slack = 1e-6 * np.abs(distinct[[0, -1]])
    ends = [distinct[0] - slack[0], np.nextafter(distinct[-1] + slack[1], np.inf)]
    return np.unique(np.array([ends[0], *middle[sorted(cuts)], ends[1]], np.float64))


def _nature(numbers: Floats, timestamps: Floats | None) -> str:
    """Why a numeric feature is not judged: it counts, or tells the time. Empty where it measures."""
    known = ~np.isnan(numbers)
    values = numbers[known]
    if len(values) < MIN_ROWS_TO_RECOGNISE:
        return ""
    steps = np.diff(values)
    if (steps > 0).all() or (steps < 0).all():
        return "looks like a running number: every row's is beyond the one before"
    if timestamps is not None:
        moments, group = np.unique(timestamps[known], return_inverse=True)
        if len(moments) >= 10:
            with np.errstate(over="ignore", invalid="ignore"):
                means = np.bincount(group, values) / np.bincount(group)
                changes = np.diff(means)
            changes = changes[changes != 0]
            if len(changes) >= 2 and (changes > 0).mean() >= 0.99:
                return "looks like a clock: it only grows with the row's time"
    return ""


def _category_column(name: str, role: Role, kind: Kind, values: Values) -> Column:
    counts = _category_counts(values)
    rows = sum(counts.values())
    if kind == "boolean":
        return Column(name, role, kind, categories=("0", "1"))
    ranked = sorted(counts, key=lambda text: (-counts[text], text))
    rarer = ranked[MAX_CATEGORIES:]
    complete = len(rarer) <= MAX_KNOWN_CATEGORIES
    known = np.array(sorted(map(text_hash, rarer)) if complete else [], np.uint64)
    unjudged = ""
    if not rows:
        unjudged = "the reference has no value in it"
    elif role == "feature" and rows >= MIN_ROWS_TO_RECOGNISE and len(counts) > rows / 2:
        unjudged = f"looks like an id: {len(counts)} different values in {rows} rows"
    return Column(
        name,
        role,
        kind,
        categories=tuple(ranked[:MAX_CATEGORIES]),
        known=known,
        known_complete=complete,
        unjudged=unjudged,
    )


def _category_counts(values: Values) -> Counter[str]:
    pairs: list[tuple[object, int]]
    if isinstance(values, np.ndarray):
        distinct, counts = np.unique(values, return_counts=True)
        pairs = list(zip(distinct.tolist(), counts.tolist(), strict=True))
    elif isinstance(values, pa.Array):
        pairs = [(item["values"], item["counts"]) for item in values.value_counts().to_pylist()]
    else:
        pairs = [(value, 1) for value in values]
    totals: Counter[str] = Counter()
    for value, count in pairs:
        text = canonical_text(value)
        if text is not None and text is not MISMATCHED:
            totals[text] += count
    return totals


# -- natural variation --------------------------------------------------------------------------------------


def _variation(
    reference: Reference, binned: Binned, timestamps: Floats | None, windows: tuple[Window, ...]
) -> dict[int, Variation]:
    """Variation by window length, for the windows that the reference is long enough for."""
    if timestamps is None:
        return {}
    found = {}
    layout = Layout.of(reference.offsets, [column.kind for column in reference.columns])
    start = timestamps.min()
    for window in windows:
        chunk = np.floor((timestamps - start) / window.seconds).astype(np.int64)
        chunks = np.unique(chunk)
        if len(chunks) < MIN_CHUNKS:
            continue
        if len(chunks) > MAX_CHUNKS:
            chunks = chunks[np.linspace(0, len(chunks) - 1, MAX_CHUNKS).astype(np.int64)]
        place = np.searchsorted(chunks, chunk)
        inside = (place < len(chunks)) & (chunks[np.minimum(place, len(chunks) - 1)] == chunk)
        flat = binned.cells[:, inside] + (place[inside] * reference.cells)[np.newaxis, :]
        counts = np.bincount(flat.ravel(), minlength=len(chunks) * reference.cells)
        usable = natural_variation(counts.reshape(len(chunks), reference.cells), layout)
        if usable is not None:
            found[window.seconds] = Variation(chunks=usable[0], **usable[1])
    return found

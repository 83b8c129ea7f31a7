"""Reference data -> Reference: its columns, their frozen bins, and how much the data itself varies.

Bins decide what can be seen for as long as the version lives, so they come from the reference alone. Numbers
get an *atom* for every value with a share of at least 1 / (2 B) (zeros, price points, small integers), B = 10
quantile bins for the rest, and edges in the tails; an edge lies midway between adjacent distinct values, so
that float32 and float64 of one value share a bin. Categories get the 30 most frequent.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from exporter.aggregate import Aggregate, fold
from exporter.arrays import Floats, Ints
from exporter.binning import MISMATCHED, Binned, bin_columns, canonical_text, text_hash
from exporter.columns import Texts, Times, Values, from_arrow, read_times, take_rows
from exporter.config import Window
from exporter.errors import ReferenceInvalidError
from exporter.labelled_rows import class_scores, mean_scores
from exporter.measures.variation import MAX_CHUNKS, MIN_CHUNKS, natural_variation
from exporter.model_config import Columns
from exporter.outcome_layout import outcome_layout, with_classes
from exporter.outcomes import fold_outcomes
from exporter.reference import Column, Kind, Reference, Role, Variation

QUANTILE_BINS = 10
TAIL_QUANTILES = (0.001, 0.01, 0.05, 0.95, 0.99, 0.999)
MAX_CATEGORIES = 30
MAX_KNOWN_CATEGORIES = 50_000
MIN_ROWS_TO_RECOGNISE = 100  # below, an id cannot be told from a measurement
MAX_CLASSES = 20
TASKS = ("binary", "multiclass", "regression")
# In samples these columns are the row's own, so a feature of the same name would always be missing.
ROW_FIELDS = ("id", "latency_seconds")
MAX_SECONDS = 1e11  # the year 5138; what is beyond is in milliseconds or finer
MAX_MOMENT = 1e150  # squares of larger numbers overflow
SLICE_VALUES = 2_000_000  # binned at once: a large reference would take several times its size otherwise
MAX_CHUNK_CELLS = 4_000_000
_LARGEST = np.finfo(np.float64).max


@dataclass(frozen=True)
class ReferenceData:
    """A reference as it was found: the table, and what its owner says of it.

    `task`, `target` and `positive_class` may be empty: the task is then inferred, a column named `label` or
    `target` is taken as the target, and the positive class is found as `with_classes` says. `columns` says
    which features are looked at.
    """

    table: pa.Table
    source: str
    task: str = ""
    target: str = ""
    split: str = ""
    notes: tuple[str, ...] = ()
    positive_class: str = ""
    columns: Columns = field(default_factory=Columns)


def build_reference(data: ReferenceData, windows: tuple[Window, ...], max_columns: int) -> Reference:
    """Profile reference data.

    Columns `prediction`, `score` and `timestamp` have their meaning, ids are left out, all others but the
    target are features, of which `max_columns` are taken. Where there is a target, it is profiled by itself,
    and so is what it says of the predictions.

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
        name: from_arrow(table.column(name))
        for name in table.column_names
        if name not in ("timestamp", target, *ROW_FIELDS)
    }
    notes += [
        f"column {name} is no feature: in samples it is the row's own"
        for name in ROW_FIELDS
        if name in table.column_names
    ]
    if data.task and data.task not in TASKS:
        notes.append(f"task {data.task!r} is none of {', '.join(TASKS)}: inferred")
    task = data.task if data.task in TASKS else _infer_task(raw.get("prediction"))
    columns: list[Column] = []
    values: dict[tuple[str, str], Values] = {}
    features = 0
    left_out = []
    for name, column_values in raw.items():
        role: Role = "prediction" if name == "prediction" else "score" if name == "score" else "feature"
        if role == "feature" and not data.columns.select(name):
            left_out.append(name)
            continue
        arrow_type = table.schema.field(name).type
        kind = _kind(arrow_type, column_values, role, task)
        if kind is None:
            notes.append(f"column {name} is not monitored: its type is {arrow_type}")
            continue
        if role == "feature":
            features += 1
            if features > max_columns:
                continue
        columns.append(_column(name, role, kind, column_values, timestamps))
        values[role, name if role == "feature" else ""] = column_values
    if left_out:
        notes.append(f"left out on demand: {', '.join(left_out)}")
    if not features:
        raise ReferenceInvalidError("the reference has no feature columns")
    if features > max_columns:
        notes.append(f"{features - max_columns} columns are left out: at most {max_columns} are monitored")
    reference = Reference(
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
    counted = _count(reference, values, timestamps, windows)
    labels = from_arrow(table.column(target)) if target in table.column_names else None
    with_profile = counted if labels is None else _with_labels(counted, labels, timestamps, windows)
    return _with_outcomes(with_profile, table, labels, data.positive_class)


# -- reading ------------------------------------------------------------------------------------------------


def _timestamps(table: pa.Table, notes: list[str]) -> Floats | None:
    """(rows,) seconds since the epoch, or None where the reference has no usable `timestamp`."""
    if "timestamp" not in table.column_names:
        return None
    moments = read_times(from_arrow(table.column("timestamp")))
    problem = ""
    if len(moments.wrong):
        problem = "holds no times"
    elif not np.isfinite(moments.seconds).all():
        problem = "has gaps"
    elif np.abs(moments.seconds).max() > MAX_SECONDS:
        problem = "is not in seconds"
    if problem:
        notes.append(f"column timestamp {problem}: no natural variation, verdicts are provisional")
        return None
    return moments.seconds


def _infer_task(prediction: Values | None) -> str:
    """One of `TASKS` from the predictions; empty where there are none."""
    if prediction is None or isinstance(prediction, Times):
        return ""
    if isinstance(prediction, np.ndarray):
        known = prediction[~np.isnan(prediction)]
        classes = len(np.unique(known))
        if classes > MAX_CLASSES or (known != np.floor(known)).any():
            return "regression"
    else:
        classes = len(_category_counts(prediction))
    return "binary" if classes <= 2 else "multiclass"


def _kind(arrow_type: pa.DataType, values: Values, role: Role, task: str) -> Kind | None:
    """How a column is binned, None where it is neither numbers nor texts nor dates."""
    if isinstance(values, Times):
        return "time" if role == "feature" else None
    if isinstance(values, list):  # integers beyond 2^53 are names, not amounts
        return "category" if pa.types.is_integer(arrow_type) else None
    if role in ("prediction", "label") and task in ("binary", "multiclass"):
        return "category"
    if pa.types.is_boolean(arrow_type):
        return "boolean"
    if isinstance(values, Texts) or pa.types.is_null(arrow_type):
        return "category"
    return "number"


# -- columns ------------------------------------------------------------------------------------------------


def _column(name: str, role: Role, kind: Kind, values: Values, timestamps: Floats | None) -> Column:
    if kind in ("category", "boolean"):
        return _category_column(name, role, kind, values)
    if isinstance(values, Times):
        if timestamps is None:
            unjudged = "a date is judged by its age, and the reference has no timestamp to take it from"
            return Column(name, role, kind, low=0.0, high=0.0, unjudged=unjudged)
        numbers = timestamps - values.seconds
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
        return Column(name, role, kind, low=0.0, high=0.0, unjudged="the reference has no value in it")
    low, high = np.clip(np.quantile(finite, [0.001, 0.999]), -MAX_MOMENT, MAX_MOMENT)
    low, high = low - (high - low), high + (high - low)
    inside = np.clip(finite, low, high)
    scale = float(inside.std())
    return Column(
        name,
        role,
        kind,
        edges=_edges(finite),
        center=float(inside.mean()),
        scale=scale if scale > 0 else 1.0,
        low=float(low),
        high=float(high),
    )


def _edges(finite: Floats) -> Floats:
    """Bin edges from sorted finite values: the range, atoms, quantiles and tails of the rest."""
    distinct, counts = np.unique(finite, return_counts=True)
    # Halves, since the sum of two huge values overflows; the upper of two neighbours with nothing in between.
    middle = np.maximum(distinct[:-1] / 2 + distinct[1:] / 2, np.nextafter(distinct[:-1], np.inf))
    atoms = np.flatnonzero(counts / len(finite) >= 1 / (2 * QUANTILE_BINS))
    cuts = {int(k) for atom in atoms for k in (atom - 1, atom) if 0 <= k < len(middle)}
    rest = counts.astype(np.float64)
    rest[atoms] = 0.0
    if rest.any() and len(middle):
        shares = np.cumsum(rest) / rest.sum()
        quantiles = (*(k / QUANTILE_BINS for k in range(1, QUANTILE_BINS)), *TAIL_QUANTILES)
        found = np.searchsorted(shares, np.array(quantiles) - 1e-12)
        cuts.update(int(k) for k in found if k < len(middle))
    # What a round trip through float32 moved is not out of range.
    slack = np.minimum(np.finfo(np.float32).eps * np.abs(distinct[[0, -1]]), MAX_MOMENT)
    low = max(distinct[0] - slack[0], -_LARGEST)
    high = np.nextafter(min(distinct[-1] + slack[1], _LARGEST), np.inf)
    return np.unique(np.array([low, *middle[sorted(cuts)], high], np.float64))


def _nature(numbers: Floats, timestamps: Floats | None) -> str:
    """Why a numeric feature is not judged: it counts, or tells the time. Empty where it measures."""
    known = np.isfinite(numbers)
    values = numbers[known]
    if len(values) < MIN_ROWS_TO_RECOGNISE:
        return ""
    if (values[1:] > values[:-1]).all() or (values[1:] < values[:-1]).all():
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
    unjudged = "" if rows else "the reference has no value in it"
    if kind == "boolean":
        return Column(name, role, kind, categories=("0", "1"), unjudged=unjudged)
    listed = heapq.nsmallest(MAX_CATEGORIES, counts, key=lambda text: (-counts[text], text))
    rarer = counts.keys() - set(listed)
    complete = len(rarer) <= MAX_KNOWN_CATEGORIES
    if role == "feature" and rows >= MIN_ROWS_TO_RECOGNISE and len(counts) > rows / 2:
        unjudged = f"looks like an id: {len(counts)} different values in {rows} rows"
    return Column(
        name,
        role,
        kind,
        categories=tuple(listed),
        known=np.array(sorted(map(text_hash, rarer)) if complete else [], np.uint64),
        known_complete=complete,
        unjudged=unjudged,
    )


def _category_counts(values: Values) -> Counter[str]:
    """Rows by canonical text."""
    pairs: Iterable[tuple[object, int]]
    if isinstance(values, np.ndarray):
        distinct, counts = np.unique(values, return_counts=True)
        pairs = zip(distinct.tolist(), counts.tolist(), strict=True)
    elif isinstance(values, Texts):
        counts = np.bincount(values.codes[values.codes >= 0], minlength=len(values.texts))
        pairs = ((text, count) for text, count in zip(values.texts, counts.tolist(), strict=True) if count)
    elif isinstance(values, Times):
        pairs = ()
    else:
        pairs = ((value, 1) for value in values)
    totals: Counter[str] = Counter()
    for value, count in pairs:
        text = canonical_text(value)
        if text is not None and text is not MISMATCHED:
            totals[text] += count
    return totals


# -- counting -----------------------------------------------------------------------------------------------


def _count(
    reference: Reference,
    values: Mapping[tuple[str, str], Values],
    timestamps: Floats | None,
    windows: tuple[Window, ...],
) -> Reference:
    """The reference with its own counts and moments, and its natural variation in windows of each length."""
    whole: Aggregate | None = None
    cuts = {}
    if timestamps is not None:
        limit = max(MIN_CHUNKS, min(MAX_CHUNKS, MAX_CHUNK_CELLS // reference.cells))
        cuts = {window.seconds: _cut(timestamps, window.seconds, limit) for window in windows}
    counts = {
        seconds: np.zeros(cut.count * reference.cells, np.int64)
        for seconds, cut in cuts.items()
        if cut.count >= MIN_CHUNKS
    }
    times = timestamps if timestamps is not None else np.zeros(reference.rows)
    step = max(1, SLICE_VALUES // len(reference.columns))
    for start in range(0, reference.rows, step):
        rows = np.arange(start, min(start + step, reference.rows))
        part = {key: take_rows(column, rows) for key, column in values.items()}
        binned = bin_columns(reference, part, len(rows), times[rows])
        block = fold(reference, binned, np.zeros(len(rows), np.int64), None)[0]
        whole = block if whole is None else whole + block
        for seconds, count in counts.items():
            count += _count_chunks(binned, cuts[seconds].place[rows], reference.cells, len(count))
    assert whole is not None
    variation = {}
    for seconds, count in counts.items():
        found = natural_variation(count.reshape(-1, reference.cells), reference.layout)
        if found is not None:
            variation[seconds] = Variation(chunks=found[0], **found[1])
    return replace(
        reference, counts=whole.counts.astype(np.int64), moments=whole.moments, variation=variation
    )


# -- labels -------------------------------------------------------------------------------------------------


def _with_labels(
    reference: Reference, labels: Values, timestamps: Floats | None, windows: tuple[Window, ...]
) -> Reference:
    """The reference with the profile of its labels, if they are such as its task has."""
    classifies = reference.task in ("binary", "multiclass")
    if isinstance(labels, Times) or not (classifies or isinstance(labels, np.ndarray)):
        note = f"column {reference.target} holds no labels of a {reference.task or 'known'} task"
        return replace(reference, notes=(*reference.notes, note))
    column = _column(reference.target, "label", "category" if classifies else "number", labels, timestamps)
    profile = Reference(
        columns=(column,),
        counts=np.zeros(1, np.int64),
        moments=np.zeros((1, 3)),
        rows=reference.rows,
        task=reference.task,
        source=reference.source,
    )
    return replace(reference, labels=_count(profile, {("label", ""): labels}, timestamps, windows))


def _with_outcomes(
    reference: Reference, table: pa.Table, labels: Values | None, positive_class: str
) -> Reference:
    """The reference with its classes, and with what its labels say of its predictions."""
    if "prediction" not in table.column_names:
        return reference
    predictions = from_arrow(table.column("prediction"))
    raw = table.column("score") if "score" in table.column_names else None
    scores = from_arrow(raw) if raw is not None else None
    score = scores if isinstance(scores, np.ndarray) else None
    means = mean_scores(predictions, score) if score is not None and reference.task == "binary" else {}
    named = with_classes(reference, positive_class, means)
    layout = outcome_layout(named)
    if layout is None or reference.labels is None or labels is None:
        return named
    if raw is not None and score is None and reference.task == "multiclass":
        score = class_scores(raw.to_pylist(), layout.classes)
    hours = np.zeros(reference.rows, np.int64)
    outcomes = fold_outcomes(layout, labels, predictions, score, hours)[0]
    return replace(named, outcomes=outcomes.encode(layout))


@dataclass(frozen=True)
class _Cut:
    """A reference cut into stretches of time: `place` (rows,) the chunk of each row, -1 for one not used."""

    count: int
    place: Ints


def _cut(timestamps: Floats, seconds: int, limit: int) -> _Cut:
    """Chunks as long as a window; evenly spread ones where there are more than the limit."""
    chunk = np.floor((timestamps - timestamps.min()) / seconds).astype(np.int64)
    chunks = np.unique(chunk)
    if len(chunks) > limit:
        chunks = chunks[np.linspace(0, len(chunks) - 1, limit).astype(np.int64)]
    place = np.minimum(np.searchsorted(chunks, chunk), len(chunks) - 1)
    place[chunks[place] != chunk] = -1
    return _Cut(len(chunks), place)


def _count_chunks(binned: Binned, place: Ints, cells: int, length: int) -> Ints:
    """(chunks * cells,) counts of a part of the rows by chunk."""
    inside = place >= 0
    flat = binned.cells[:, inside] + place[inside] * cells
    return np.bincount(flat.ravel(), minlength=length)

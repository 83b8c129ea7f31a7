"""One column of reference data -> Column: its frozen bins, and whether its drift can be judged.

Bins decide what can be seen for as long as the version lives, so they come from the reference alone. Numbers
get an *atom* for every value with a share of at least 1 / (2 B) (zeros, price points, small integers), B = 10
quantile bins for the rest, and edges in the tails; an edge lies midway between adjacent distinct values, so
that float32 and float64 of one value share a bin. Categories get the 30 most frequent.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from exporter.arrays import Floats
from exporter.binning import MISMATCHED, canonical_text
from exporter.columns import Texts, Times, Values, text_hash
from exporter.reference import Column, Kind, Role

QUANTILE_BINS = 10
TAIL_QUANTILES = (0.001, 0.01, 0.05, 0.95, 0.99, 0.999)
MAX_CATEGORIES = 30
MAX_KNOWN_CATEGORIES = 50_000
MIN_ROWS_TO_RECOGNISE = 100  # below, an id cannot be told from a measurement
MAX_MOMENT = 1e150  # squares of larger numbers overflow
_LARGEST = np.finfo(np.float64).max


def profile_column(name: str, role: Role, kind: Kind, values: Values, timestamps: Floats | None) -> Column:
    """A column of reference data with its bins; `timestamps` (rows,) as in `build_reference`."""
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
    moderate = np.clip(finite, -MAX_MOMENT, MAX_MOMENT)
    low, high = np.quantile(moderate, [0.001, 0.999])
    low, high = low - (high - low), high + (high - low)
    inside = np.clip(moderate, low, high)
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
    high = math.nextafter(min(distinct[-1] + slack[1], _LARGEST), math.inf)
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
    counts = category_counts(values)
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


def category_counts(values: Values) -> Counter[str]:
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

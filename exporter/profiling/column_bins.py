"""Freezes the bins of one column of reference data, and decides if its drift can be judged.

Bins decide what can be seen for as long as the version lives, so they come from the reference alone. Numbers
get an *atom* for every value with a share of at least 1 / (2 B) (zeros, price points, small integers), B = 10
quantile bins for the rest, and edges in the tails; an edge lies midway between adjacent distinct values, so
that float32 and float64 of one value share a bin. Categories get the 30 most frequent.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import replace

import numpy as np

from exporter.formats.columns import Texts, Times, Values, canonical_texts
from exporter.reference.bins import Column, ColumnKind, Role
from exporter.typing import Floats, Ints

QUANTILE_BINS = 10
TAIL_QUANTILES = (0.001, 0.01, 0.05, 0.95, 0.99, 0.999)
MAX_CATEGORIES = 30
MAX_KNOWN_CATEGORIES = 50_000
MAX_CATEGORY_BYTES = 1000  # longer texts are known by their hash alone, among the rarer ones
MIN_ROWS_TO_RECOGNISE = 100  # below, an id cannot be told from a measurement
FAR = 1e4  # typical distances from the middle, beyond which a value does not count in the moments
_LARGEST = float(np.finfo(np.float64).max)
MAX_LEVEL = _LARGEST / 4  # the difference of two of these does not overflow


def profile_column(
    name: str, role: Role, kind: ColumnKind, values: Values, timestamps: Floats | None
) -> Column:
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


def number_column(name: str, role: Role, kind: ColumnKind, numbers: Floats) -> Column:
    """A numeric column with bins frozen from (rows,) values; NaN is missing, infinities are out of range."""
    finite = np.sort(numbers[np.isfinite(numbers)])
    if not len(finite):
        return Column(name, role, kind, low=0.0, high=0.0, unjudged="the reference has no value in it")
    low, high, center, scale = _moderate(np.clip(finite, -MAX_LEVEL, MAX_LEVEL))
    return Column(name, role, kind, edges=_edges(finite), center=center, scale=scale, low=low, high=high)


def _moderate(numbers: Floats) -> tuple[float, float, float, float]:
    """Bounds of the values that count in the moments, with the mean and the standard deviation in between.

    One value of 1e308 must not decide the unit of all others: in a few hundred rows it is beyond every
    quantile. So the bounds are at most ten thousand typical distances from the median, and the moments are
    taken in units of the typical distance, so that squares of 1e-300 do not underflow.
    """
    middle = float(numbers[len(numbers) // 2])
    distances = np.abs(numbers - middle)
    distances = distances[distances > 0]
    half = len(distances) // 2
    typical = float(np.partition(distances, half)[half]) if len(distances) else 0.0
    first, last = np.quantile(numbers, [0.001, 0.999]).tolist()
    low = max(first - (last - first), middle - FAR * typical, -MAX_LEVEL)
    high = min(last + (last - first), middle + FAR * typical, MAX_LEVEL)
    # A constant is measured in units of itself.
    unit = typical or abs(middle) or 1.0
    inside = (np.clip(numbers, low, high) - middle) / unit
    center, scale = middle + unit * float(inside.mean()), unit * float(inside.std())
    return low, high, center, scale or unit


def _edges(finite: Floats) -> Floats:
    """Bin edges from sorted finite values: the range, atoms, quantiles and tails of the rest."""
    distinct, counts = np.unique(finite, return_counts=True)
    middle = _between(distinct)
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
    first, last = float(distinct[0]), float(distinct[-1])
    slack = float(np.finfo(np.float32).eps)
    low = max(first - slack * abs(first), -_LARGEST)
    high = math.nextafter(min(last + slack * abs(last), _LARGEST), math.inf)
    return np.unique(np.array([low, *middle[sorted(cuts)], high], np.float64))


def _between(distinct: Floats) -> Floats:
    """(values - 1,) cuts between neighbours of sorted, distinct values."""
    # Halves, since the sum of two huge values overflows; the upper of two neighbours with nothing in between.
    middle: Floats = np.maximum(distinct[:-1] / 2 + distinct[1:] / 2, np.nextafter(distinct[:-1], np.inf))
    return middle


def quantile_edges(numbers: Floats, count: int) -> Floats:
    """Increasing edges, `count - 1` at most, that cut (rows,) values into parts of about the same number."""
    distinct, counts = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
    if len(distinct) < 2:
        return np.empty(0)
    shares = np.cumsum(counts) / counts.sum()
    places = np.unique(np.searchsorted(shares, np.arange(1, count) / count - 1e-12))
    return _between(distinct)[places[places < len(distinct) - 1]]


def _nature(numbers: Floats, timestamps: Floats | None) -> str:
    """Reason why a numeric feature is not judged: a running number, or a clock. Empty for a measurement."""
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


def _category_column(name: str, role: Role, kind: ColumnKind, values: Values) -> Column:
    texts, counts = category_counts(values)
    rows = int(counts.sum())
    unjudged = "" if rows else "the reference has no value in it"
    if kind == "boolean":
        return Column(name, role, kind, categories=("0", "1"), unjudged=unjudged)
    used = np.flatnonzero(counts)
    listed = _most_frequent(texts, counts, used)
    rarer = used[~np.isin(used, listed)]
    complete = len(rarer) <= MAX_KNOWN_CATEGORIES
    if role == "feature" and rows >= MIN_ROWS_TO_RECOGNISE and len(used) > rows / 2:
        unjudged = f"looks like an id: {len(used)} different values in {rows} rows"
    return Column(
        name,
        role,
        kind,
        categories=tuple(texts.texts[place] for place in listed),
        known=np.sort(texts.hashes[rarer]) if complete else np.empty(0, np.uint64),
        known_complete=complete,
        unjudged=unjudged,
    )


def _most_frequent(texts: Texts, counts: Ints, used: Ints) -> list[int]:
    """Places of the categories that get bins of their own, most frequent first."""
    short = used[texts.lengths[used] <= MAX_CATEGORY_BYTES]
    if len(short) > MAX_CATEGORIES:  # of those that share the least count, the first by the alphabet
        least = np.partition(counts[short], -MAX_CATEGORIES)[-MAX_CATEGORIES]
        more = short[counts[short] > least]
        some = short[counts[short] == least]
        first = heapq.nsmallest(MAX_CATEGORIES - len(more), some.tolist(), key=texts.texts.__getitem__)
        short = np.append(more, np.array(first, np.int64))
    return sorted(short.tolist(), key=lambda place: (-counts[place], texts.texts[place]))


def without_rare(column: Column, values: Values) -> Values:
    """Values in the same bins, with one text in place of all categories that are not listed.

    Only for a column of more categories than can be known, where all the others share a bin.
    """
    if column.known_complete or not isinstance(values, Texts):
        return values
    listed = len(column.categories)
    places = values.places(column.category_cells)
    codes = np.append(np.where(places < 0, listed, places), -1)[values.codes]
    return Texts(codes, [*column.categories, max(column.categories, default="") + "_"])


def category_counts(values: Values) -> tuple[Texts, Ints]:
    """Canonical texts, and (texts,) rows of each; a text that is there twice is counted at one place."""
    texts = canonical_texts(values)
    by_place = np.bincount(texts.codes[texts.codes >= 0], minlength=len(texts.texts))
    _, first, group = np.unique(texts.hashes, return_index=True, return_inverse=True)
    counts = np.zeros(len(by_place), np.int64)
    counts[first] = np.bincount(group, by_place, len(first))
    return texts, counts

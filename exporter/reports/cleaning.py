"""Cleans raw values, so that no value of a column makes Evidently fail or its pages unreadable.

Numbers are finite floats, categories short texts of which the most frequent are kept, times naive and in UTC.
What is none of these is missing, and counted.
"""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from exporter.formats.categories import MISMATCHED, canonical_text
from exporter.formats.columns import parse_time
from exporter.formats.texts import cut, storable
from exporter.reference.bins import OTHER, ColumnKind
from exporter.sampling.content import MAX_TEXT, NESTED

MAX_CATEGORIES = 30
MAX_CATEGORY_LENGTH = 64
MAX_NUMBER = 1e150  # squares of larger ones are infinite
MIN_SECONDS, MAX_SECONDS = -9_000_000_000, 9_000_000_000  # 1684 and 2255: nanoseconds hold 1677 to 2262


@dataclass(frozen=True)
class CleanColumn:
    """(rows,) clean values, None where missing, and how many others there were."""

    values: list[Any]
    wrong: int = 0  # of another type
    infinite: int = 0

    @property
    def present(self) -> int:
        return sum(value is not None for value in self.values)


class _WrongError(Exception):
    """A value of another type than its column."""


class _InfiniteError(Exception):
    """A number that is infinite."""


def clean(kind: ColumnKind, values: Sequence[Any]) -> CleanColumn:
    """Values of a column of this kind; categories are not limited yet, see `limit_categories`."""
    return _clean(_CLEANERS[kind], values)


def clean_texts(values: Sequence[Any]) -> CleanColumn:
    """Values of a column that is read as text, by descriptors."""
    return _clean(_text, values)


def limit_categories(*columns: Sequence[str | None]) -> tuple[list[list[str | None]], int]:
    """Columns with the same categories at most, all others being `(other)`, and the number of categories.

    A category's frequency is the mean of its shares in the columns, so that one that is new in a small window
    is seen beside those of a large reference.
    """
    shares: Counter[str] = Counter()
    for column in columns:
        counts = Counter(value for value in column if value is not None)
        for value, count in counts.items():
            shares[value] += count / max(counts.total(), 1)  # type: ignore[assignment]  # a Counter adds floats
    if len(shares) <= MAX_CATEGORIES:
        return [list(column) for column in columns], len(shares)
    ranked = sorted(shares, key=lambda value: (-shares[value], value))
    kept = set(ranked[:MAX_CATEGORIES])
    limited = [[value if value is None or value in kept else OTHER for value in column] for column in columns]
    return limited, len(shares)


def _clean(cleaner: Callable[[Any], Any], values: Sequence[Any]) -> CleanColumn:
    found, wrong, infinite = [], 0, 0
    for value in values:
        each = None
        if value is not None:
            try:
                each = cleaner(value)
            except _WrongError:
                wrong += 1
            except _InfiniteError:
                infinite += 1
        found.append(each)
    return CleanColumn(found, wrong, infinite)


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float | Decimal):
        raise _WrongError
    try:
        number = float(value)
    except OverflowError:
        raise _InfiniteError from None
    if abs(number) > MAX_NUMBER:
        raise _InfiniteError
    return None if math.isnan(number) else number


def _category(value: Any) -> str | None:
    text = _text(value)
    return None if text is None else cut(text, MAX_CATEGORY_LENGTH)


def _boolean(value: Any) -> str | None:
    text = _category(value)
    return None if text is None else {"0": "false", "1": "true"}.get(text, text)


def _text(value: Any) -> str | None:
    if isinstance(value, Decimal):
        value = float(value)
    text = canonical_text(value)
    if text is MISMATCHED or text == NESTED:
        raise _WrongError
    return None if text is None else storable(cut(text, MAX_TEXT))


def _time(value: Any) -> datetime.datetime | None:
    if isinstance(value, datetime.datetime):
        value = (value if value.tzinfo is not None else value.replace(tzinfo=datetime.UTC)).timestamp()
    elif isinstance(value, datetime.date):
        value = value.isoformat()
    elif isinstance(value, bool):
        raise _WrongError
    try:
        seconds, _ = parse_time(value)
    except (ValueError, TypeError):
        raise _WrongError from None
    if math.isnan(seconds):
        return None
    if not MIN_SECONDS < seconds < MAX_SECONDS:
        raise _WrongError
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)


_CLEANERS: dict[ColumnKind, Callable[[Any], Any]] = {
    "number": _number,
    "category": _category,
    "boolean": _boolean,
    "time": _time,
}

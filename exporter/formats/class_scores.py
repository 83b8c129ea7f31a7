"""Scores of rows: one number each, or one number for each of several classes.

The classes are the version's, so a row keeps its scores as they came: by class name, or in the order of the
reference's classes. A row with unreadable scores is opaque, which counts as a mismatch of the column `score`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from math import nan

import numpy as np

from exporter.formats.categories import match_class
from exporter.formats.columns import (
    OPAQUE,
    Mixed,
    Values,
    canonical_texts,
    from_python,
    join_columns,
    read_numbers,
    take_rows,
)
from exporter.payloads.limits import is_short_text
from exporter.typing import Floats, Ints

MAX_CLASSES = 30  # of a classification


@dataclass(frozen=True)
class ClassScores:
    """Scores of one row: at most `MAX_CLASSES`, NaN of a class without one.

    `names` are sorted; None where the scores are in the order of the reference's classes.
    """

    values: tuple[float, ...]
    names: tuple[str, ...] | None = None

    @cached_property
    def text(self) -> str:
        """JSON, one text for all rows with the same scores."""
        import orjson  # which folding does without

        named = self.values if self.names is None else dict(zip(self.names, self.values, strict=True))
        return orjson.dumps(named).decode()

    @property
    def known(self) -> ClassScores:
        """The scores by name, without missing ones: Arrow's structures name every class in every row."""
        if self.names is None or all(value == value for value in self.values):
            return self
        pairs = [(n, v) for n, v in zip(self.names, self.values, strict=True) if v == v]
        return ClassScores(tuple(v for _, v in pairs), tuple(n for n, _ in pairs))

    def fits(self, classes: tuple[str, ...]) -> bool:
        """True if each score can be attributed to a class."""
        return self.names is not None or len(self.values) == len(classes)

    def by_class(self, classes: tuple[str, ...]) -> Sequence[float]:
        """(classes,) scores, NaN where there is none."""
        if self.names is None:
            return self.values if len(self.values) == len(classes) else (nan,) * len(classes)
        named = dict(zip(self.names, self.values, strict=True))
        if not named.keys() <= set(classes):  # `true` for 1; an exact name comes first
            named = {match_class(name, classes) or name: score for name, score in named.items()} | named
        return [named.get(name, nan) for name in classes]


@dataclass(frozen=True)
class Scores:
    """Score column of a batch.

    `single` has the rows with one score. `several` (rows,) has the others; it is None where there are none.
    """

    single: Values
    several: Sequence[ClassScores | None] | None = None

    def __len__(self) -> int:
        return len(self.single)

    @property
    def most_classes(self) -> int:
        """Highest number of classes that a row has scores of, 0 where no row has several."""
        return max((len(row.values) for row in self.several or () if row is not None), default=0)

    @property
    def several_or_none(self) -> Sequence[ClassScores | None]:
        """(rows,) scores of the rows with several, None of all others."""
        return [None] * len(self) if self.several is None else self.several

    def take(self, rows: Ints) -> Scores:
        """The given rows."""
        several = self.several
        taken = None if several is None else [several[row] for row in rows.tolist()]
        return Scores(take_rows(self.single, rows), taken)

    def of_classes(self, wanted: Sequence[str | None], classes: tuple[str, ...]) -> Values:
        """(rows,) one score a row: of several the one of the row's wanted class.

        It is missing where the row has none of that class, opaque where its scores do not fit the classes.
        """
        if self.several is None:
            return self.single
        picked, unfit = np.full(len(self), nan), np.zeros(len(self), np.bool_)
        places = {text: place for place, text in enumerate(classes)}
        for row, (scores, text) in enumerate(zip(self.several, wanted, strict=True)):
            if scores is None:
                continue
            if not scores.fits(classes):
                unfit[row] = True
            elif text in places:
                picked[row] = scores.by_class(classes)[places[text]]
        numbers, wrong = read_numbers(self.single)
        numbers = np.where(np.isnan(numbers), picked, numbers)
        unfit[wrong] = True
        return Mixed(numbers, canonical_texts(numbers), unfit) if unfit.any() else numbers

    @staticmethod
    def join(parts: Sequence[Scores]) -> Scores:
        """All rows of several columns, whose `single` are of one type."""
        if len(parts) == 1:
            return parts[0]
        known = any(part.several is not None for part in parts)
        several = [row for part in parts for row in part.several_or_none] if known else None
        return Scores(join_columns([part.single for part in parts]), several)


def scores_by_class(rows: Sequence[ClassScores | None], classes: tuple[str, ...]) -> Floats:
    """(rows, classes) scores, NaN where there is none, and in a whole row with another number of them."""
    scores = np.full((len(rows), len(classes)), nan)
    for place, row in enumerate(rows):
        if row is not None:
            scores[place] = row.by_class(classes)
    return scores


def read_scores(values: Sequence[object]) -> Scores:
    """Score column from Python's values, in which rows may have lists or dictionaries of scores."""
    if not {list, dict, tuple} & set(map(type, values)):
        return Scores(from_python(values))
    found = [read_class_scores(value) for value in values]
    return split_scores(found)


def split_scores(values: Sequence[object]) -> Scores:
    """Score column from values of which some are `ClassScores`."""
    several = [value if isinstance(value, ClassScores) else None for value in values]
    single = from_python([None if isinstance(value, ClassScores) else value for value in values])
    return Scores(single, several if any(row is not None for row in several) else None)


def read_class_scores(value: object) -> object:
    """`ClassScores` from a list or dictionary, `OPAQUE` if it is unreadable; other values as they are."""
    if isinstance(value, list | tuple):
        names, numbers = None, list(value)
    elif isinstance(value, dict):
        if not all(map(is_short_text, value)):
            return OPAQUE
        names = tuple(sorted(value))
        numbers = [value[name] for name in names]
    else:
        return value
    if not 0 < len(numbers) <= MAX_CLASSES:
        return OPAQUE
    if not all(number is None or isinstance(number, int | float | Decimal) for number in numbers):
        return OPAQUE
    try:
        return ClassScores(tuple(nan if number is None else float(number) for number in numbers), names)
    except OverflowError:  # an integer beyond 1e308
        return OPAQUE


def parse_scores(text: str) -> ClassScores:
    """Scores from `ClassScores.text`."""
    import orjson

    found = read_class_scores(orjson.loads(text))
    assert isinstance(found, ClassScores)
    return found

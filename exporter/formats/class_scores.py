"""Scores of several classes: one a class in the reference's order, or by the classes' names.

Which classes there are is the version's business, so a row keeps its scores as they came. A row whose scores
cannot be read keeps `OPAQUE`, which counts as a mismatch of the column `score`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import nan

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from exporter.formats.arrow_columns import from_arrow
from exporter.formats.categories import match_class
from exporter.formats.columns import OPAQUE, Values, from_python
from exporter.formats.limits import MAX_NAME_LENGTH, is_short_text

MAX_CLASSES = 30  # of a classification


@dataclass(frozen=True)
class ClassScores:
    """What one row says of several classes: at most `MAX_CLASSES`, NaN for one that it says nothing of.

    `names` are sorted; None where the scores are in the order of the reference's classes.
    """

    values: tuple[float, ...]
    names: tuple[str, ...] | None = None

    @property
    def text(self) -> str:
        """JSON, one text for all that say the same."""
        named = self.values if self.names is None else dict(zip(self.names, self.values, strict=True))
        return orjson.dumps(named).decode()

    @property
    def known(self) -> ClassScores:
        """The scores by name, without missing ones: Arrow's structures name every class in every row."""
        if self.names is None:
            return self
        pairs = [(n, v) for n, v in zip(self.names, self.values, strict=True) if v == v]
        return ClassScores(tuple(v for _, v in pairs), tuple(n for n, _ in pairs))

    def fits(self, classes: tuple[str, ...]) -> bool:
        """Whether it can be told which score is of which class."""
        return self.names is not None or len(self.values) == len(classes)

    def by_class(self, classes: tuple[str, ...]) -> Sequence[float]:
        """(classes,), NaN where there is none."""
        if self.names is None:
            return self.values if len(self.values) == len(classes) else (nan,) * len(classes)
        named = dict(zip(self.names, self.values, strict=True))
        if not named.keys() <= set(classes):  # `true` for 1; an exact name comes first
            named = {match_class(name, classes) or name: score for name, score in named.items()} | named
        return [named.get(name, nan) for name in classes]


def parse_scores(text: str) -> ClassScores:
    """What `ClassScores.text` wrote."""
    found = read_class_scores(orjson.loads(text))
    assert isinstance(found, ClassScores)
    return found


def read_class_scores(value: object) -> object:
    """`ClassScores` from a list or a dictionary, `OPAQUE` where it is no such; anything else as it is."""
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


def scores_from_python(values: Sequence[object]) -> Values:
    """The normal form of JSON's scores, in which rows may be `ClassScores`."""
    return from_python([read_class_scores(value) for value in values])


def scores_from_arrow(column: pa.ChunkedArray, *, as_arrow: bool = False) -> Values:
    """The normal form of a column of numbers, lists, structures or maps; `as_arrow` as in `from_arrow`.

    Raises:
        pa.ArrowException, UnicodeDecodeError: its contents are broken.
    """
    if not _holds_scores(column):
        return from_arrow(column, as_arrow=as_arrow)
    is_map = pa.types.is_map(column.type)
    rows: list[object] = []
    for scalar in column:
        if not scalar.is_valid:
            rows.append(None)
        elif len(scalar) > MAX_CLASSES:  # not made Python's before that is known
            rows.append(OPAQUE)
        else:
            value = scalar.as_py()
            rows.append(read_class_scores({str(k): v for k, v in value} if is_map else value))
    return rows


def scores_to_arrow(values: Sequence[object]) -> pa.Array:
    """Rows of `ClassScores` as lists or as maps, as most of them came; other rows are null."""
    known = [value if isinstance(value, ClassScores) else None for value in values]
    named = sum(value is not None and value.names is not None for value in known)
    if 2 * named > sum(value is not None for value in known):
        rows = [
            value and value.names and list(zip(value.names, value.values, strict=True)) for value in known
        ]
        return pa.array(rows, pa.map_(pa.string(), pa.float64()))
    listed = [value.values if value is not None and value.names is None else None for value in known]
    return pa.array(listed, pa.list_(pa.float64()))


def _holds_scores(column: pa.ChunkedArray) -> bool:
    kind = column.type
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        return len(set(names)) == len(names) and all(_is_number(field.type) for field in kind)
    if pa.types.is_map(kind):
        return _is_number(kind.item_type) and all(_has_short_keys(chunk) for chunk in column.chunks)
    lists = (pa.ListType, pa.LargeListType, pa.FixedSizeListType, pa.ListViewType, pa.LargeListViewType)
    return isinstance(kind, lists) and _is_number(kind.value_type)


def _has_short_keys(chunk: pa.MapArray) -> bool:
    """Whether keys are integers or texts, and no long one is referred to by many rows."""
    keys = chunk.keys
    if pa.types.is_integer(keys.type) or pa.types.is_string(keys.type) or pa.types.is_large_string(keys.type):
        return True
    if not pa.types.is_dictionary(keys.type) or not pa.types.is_string(keys.type.value_type):
        return False
    longest = pc.max(pc.binary_length(keys.dictionary)).as_py()
    return longest is None or bool(longest <= 4 * MAX_NAME_LENGTH)


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    )


def has_class_scores(values: Values | None) -> bool:
    """Whether any row has scores of several classes."""
    return isinstance(values, list) and any(isinstance(value, ClassScores) for value in values)


def count_class_scores(values: Values | None) -> int:
    """The most classes that a row has scores of, 0 where no row has scores of several."""
    if not isinstance(values, list):
        return 0
    return max((len(value.values) for value in values if isinstance(value, ClassScores)), default=0)


def single_scores(values: Sequence[object], wanted: Iterable[str | None], classes: tuple[str, ...]) -> Values:
    """One score a row, that of the wanted class where it has several.

    None where it says nothing of that class, `OPAQUE` where nobody knows what it says.
    """

    def pick(value: object, text: str | None) -> object:
        if not isinstance(value, ClassScores):
            return value
        if not value.fits(classes):
            return OPAQUE
        score = value.by_class(classes)[places[text]] if text in places else nan
        return None if score != score else score

    places = {text: place for place, text in enumerate(classes)}
    return from_python([pick(value, text) for value, text in zip(values, wanted, strict=True)])

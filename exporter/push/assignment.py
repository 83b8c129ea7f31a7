"""Says which column of a file is the id, the prediction, a feature and so on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from exporter.errors import ConfigError
from exporter.formats.texts import listed
from exporter.payloads.columns import OWN_FIELDS

LABEL_FIELDS = ("id", "label", "timestamp")
TIME_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # of numbers since the epoch, per second

# A list where values of several types are in a column, as in CSV and JSON.
Column: TypeAlias = "pa.Array | list[object]"


@dataclass(frozen=True)
class Fields:
    """Columns of rows by what they are, in the exporter's terms."""

    own: Mapping[str, Column]
    features: Mapping[str, Column]

    def slice(self, start: int, stop: int) -> Fields:
        return self._each(lambda column: column[start:stop])

    def take(self, rows: Sequence[int]) -> Fields:
        def some(column: Column) -> Column:
            return [column[row] for row in rows] if isinstance(column, list) else column.take(pa.array(rows))

        return self._each(some)

    def _each(self, change: Callable[[Column], Column]) -> Fields:
        own = {name: change(column) for name, column in self.own.items()}
        return Fields(own, {name: change(column) for name, column in self.features.items()})


@dataclass(frozen=True)
class Assignment:
    """The column of each field, of each score and of each feature, and columns that are not sent."""

    own: Mapping[str, str]
    scores: Sequence[tuple[str, str]]
    features: Sequence[str]
    unsent: Sequence[str]
    per_second: int = 1

    @property
    def read(self) -> list[str]:
        """Columns that have to be read, except features in a structure."""
        return [*dict.fromkeys([*self.own.values(), *(column for _, column in self.scores), *self.features])]

    def fields(self, columns: Mapping[str, Column], nested: Mapping[str, Column] | None = None) -> Fields:
        """Fields from the columns of a file, and from those in its structure `features`."""
        own = {name: columns[column] for name, column in self.own.items()}
        if self.scores:
            own["score"] = _join_scores([(name, columns[column]) for name, column in self.scores])
        if "timestamp" in own and self.per_second != 1:
            own["timestamp"] = _to_seconds(own["timestamp"], self.per_second)
        given = columns if nested is None else nested
        return Fields(own, {name: given[name] for name in self.features})


@dataclass(frozen=True)
class Wanted:
    """Columns as the user names them. A field that is not named is the column of its own name, if any.

    `named` are columns by field, `scores` (class, column), with an empty class where the order tells it.
    `features` are the only features, None for all columns that are nothing else; `leave_out` is not sent.
    `time_unit` is that of timestamps that are numbers.
    """

    labels: bool = False
    named: Mapping[str, str] = field(default_factory=dict)
    scores: Sequence[tuple[str, str]] = ()
    features: Sequence[str] | None = None
    leave_out: Collection[str] = ()
    time_unit: str = "s"

    def assign(self, names: Sequence[str], nested: Sequence[str] | None = None) -> Assignment:
        """Assign the columns of a file.

        Args:
            names: of its columns.
            nested: of the columns in its structure `features`, if it has one; the features are among them.

        Raises:
            ConfigError: a column is missing.
        """
        names = [name for name in names if nested is None or name != "features"]
        given = names if nested is None else nested
        known = OWN_FIELDS if not self.labels else LABEL_FIELDS
        scores = [] if self.labels else list(self.scores)
        own = {name: column for name, column in self.named.items() if name in known}
        chosen = [*own.values(), *(column for _, column in scores)]
        _check_all(chosen, names)
        _check_all(self.features or (), given)
        _check_all(self.leave_out, [*names, *given])
        taken = {*chosen, *self.leave_out, *((self.features or ()) if nested is None else ())}
        for name in known:
            if name in names and name not in own and name not in taken and not (name == "score" and scores):
                own[name] = name
        for name in ("id", "label") if self.labels else ("prediction",):
            if name not in own:
                columns = listed(names, 20)
                raise ConfigError(f"no column is called `{name}`: name it by --{name}, of {columns}")
        used = {*own.values(), *(column for _, column in scores), *self.leave_out}
        features: Sequence[str] = ()
        if not self.labels:
            beside = used if nested is None else set(self.leave_out)
            features = self.features or [name for name in given if name not in beside]
            if not features:
                raise ConfigError("no columns are left for features")
        unsent = [name for name in names if name not in used and (nested is not None or name not in features)]
        return Assignment(own, scores, features, unsent, TIME_UNITS[self.time_unit])


def _check_all(wanted: Collection[str], names: Sequence[str]) -> None:
    for name in wanted:
        if name not in names:
            similar = get_close_matches(name, names, n=1)
            hint = f"did you mean `{similar[0]}`?" if similar else f"the columns are {listed(names, 20)}"
            raise ConfigError(f"there is no column `{name}`; {hint}")


def _join_scores(scores: Sequence[tuple[str, Column]]) -> Column:
    """One column of the scores of all classes: objects by class, or lists in the order of the columns."""
    classes, columns = [name for name, _ in scores], [column for _, column in scores]
    if len(columns) == 1 and not classes[0]:
        return columns[0]
    arrays = [column.cast(pa.float64(), safe=False) for column in columns if not isinstance(column, list)]
    if len(arrays) < len(columns):
        rows = zip(*(c if isinstance(c, list) else c.to_pylist() for c in columns), strict=True)
        return [dict(zip(classes, row, strict=True)) if classes[0] else list(row) for row in rows]
    if classes[0]:
        return pa.StructArray.from_arrays(arrays, classes)
    length = len(arrays[0])
    order = [column * length + row for row in range(length) for column in range(len(arrays))]
    return pa.FixedSizeListArray.from_arrays(pa.concat_arrays(arrays).take(pa.array(order)), len(arrays))


def _to_seconds(column: Column, per_second: int) -> Column:
    """Numbers in another unit as seconds; times and texts as they are."""
    if isinstance(column, list):
        return [each / per_second if isinstance(each, int | float) else each for each in column]
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return pc.divide(column.cast(pa.float64(), safe=False), float(per_second))
    return column

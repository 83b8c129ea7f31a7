"""Copies of what a service hands over, cheap enough for the thread that predicts: the caller may change its
own dictionary or array afterwards. Columns of JSON are made of them later, on the background thread."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sys import getsizeof
from typing import Any, NamedTuple

from exporter.client.columns import Columns
from exporter.client.values import NESTED, SCALARS, as_list, key_text

_PLAIN = frozenset((float, int, str, bool, type(None)))
_CONTAINER_BYTES = 500  # of a queued row, beside its values
_SAMPLED_TEXTS = 8  # texts of a column that are measured, for an estimate of all
_VALUE_BYTES = 32


class Features(NamedTuple):
    """Copied features of one row, or of `rows` many; `size_bytes` is an estimate."""

    content: Any
    rows: int
    size_bytes: int
    single: bool


@dataclass(frozen=True)
class CopiedRows:
    """Item of a monitor's queue: the rows of one call with many; labels have no features."""

    features: Features
    own: Mapping[str, list[Any]]
    names: Sequence[str]

    @property
    def rows(self) -> int:
        return self.features.rows

    @property
    def size_bytes(self) -> int:
        return self.features.size_bytes + _VALUE_BYTES * self.rows * len(self.own)

    def columns(self) -> Columns:
        content = self.features.content
        features = {} if content is None else features_by_name(content, self.names)
        return Columns(self.rows, self.own, features)


def copy_features(features: Any, names: Sequence[str]) -> Features:
    """Copy the features of one row or of many.

    Args:
        features: a row (dictionary, 1-d array, list of values, pandas.Series, pydantic model), or rows (list
            of such, 2-d array, DataFrame of pandas or polars, Table or RecordBatch of pyarrow).
        names: of the columns of arrays and lists.

    Raises:
        TypeError, ValueError: it is none of these, or does not fit the names.
    """
    if type(features) is dict:
        copied = features.copy()
        if not _PLAIN.issuperset(map(type, copied.values())):
            copied = {name: _light(value) for name, value in copied.items()}
        return Features(copied, 1, _CONTAINER_BYTES + sum(map(getsizeof, copied.values())), True)
    if _is(features, "numpy", "ndarray"):
        return _copy_array(features, names)
    if isinstance(features, list | tuple):
        return _copy_list(features, names)
    if isinstance(features, Mapping):
        return copy_features(dict(features), names)
    if _is(features, "pandas", "Series"):
        return copy_features(features.to_dict(), names)
    if callable(dump := getattr(features, "model_dump", None)):  # pydantic
        return copy_features(dict(dump()), names)
    return _copy_table(features)


def _copy_array(array: Any, names: Sequence[str]) -> Features:
    if array.ndim not in (1, 2):
        raise ValueError(f"features are an array of {array.ndim} dimensions, one or two are taken")
    single, width = array.ndim == 1, array.shape[-1]
    if names and len(names) != width:
        raise ValueError(f"rows of {width} values do not fit the {len(names)} `feature_names`")
    rows = 1 if single else array.shape[0]
    return Features(array.copy(), rows, _CONTAINER_BYTES + array.nbytes, single)


def _copy_list(rows: Sequence[Any], names: Sequence[str]) -> Features:
    """A row of values, or a list of rows; no rows if it is empty."""
    if not rows:
        return Features([], 0, 0, False)
    if type(rows[0]) in _PLAIN or _is_scalar(rows[0]):
        if names and len(names) != len(rows):
            raise ValueError(f"a row of {len(rows)} values does not fit the {len(names)} `feature_names`")
        values = list(map(_light, rows))
        return Features(values, 1, _CONTAINER_BYTES + sum(map(getsizeof, values)), True)
    copies = [copy_features(row, names) for row in rows]
    if not all(each.single for each in copies):
        raise TypeError("features are a list of tables: join them, or pass them one by one")
    return Features([each.content for each in copies], len(copies), sum(c.size_bytes for c in copies), False)


def _is_scalar(value: object) -> bool:
    """True for a number, text or time of any library."""
    return isinstance(value, SCALARS) or getattr(value, "ndim", None) == 0


def _light(value: Any) -> Any:
    """A value for the queue: of one that is nested, whose size is not known, only that it is."""
    if type(value) in _PLAIN:
        return value
    try:
        return [] if isinstance(value, NESTED) or getattr(value, "ndim", None) else value
    except Exception:  # noqa: BLE001 - of a foreign class
        return value


def _copy_table(table: Any) -> Features:
    if _is(table, "pandas", "DataFrame"):
        copied = table.copy()
        size = sum(_column_bytes(copied.iloc[:, place]) for place in range(copied.shape[1]))
        return Features(copied, len(copied), _CONTAINER_BYTES + size, False)
    if _is(table, "polars", "DataFrame"):
        return Features(table.clone(), table.height, _CONTAINER_BYTES + int(table.estimated_size()), False)
    if _is(table, "pyarrow", "Table", "RecordBatch"):
        return Features(table, table.num_rows, _CONTAINER_BYTES + table.nbytes, False)
    raise TypeError(f"features are of type {type(table).__name__}, which is not taken")


def _column_bytes(column: Any) -> int:
    """Estimate of the memory of a column by pandas, whose texts are objects elsewhere."""
    rows = len(column)
    if not rows or getattr(column.dtype, "kind", "O") != "O":
        return _VALUE_BYTES * rows
    step = max(1, rows // _SAMPLED_TEXTS)
    sizes = [getsizeof(value) for value in column.iloc[::step]]
    return rows * sum(sizes) // len(sizes)


def _is(value: object, module: str, *names: str) -> bool:
    """True if a value is of a class of a module, which is not imported for that."""
    loaded = sys.modules.get(module)
    return loaded is not None and any(isinstance(value, getattr(loaded, name, ())) for name in names)


def copy_value(value: Any) -> Any:
    """Copy of the prediction, label or score of one row; of an array or a list with one value, this value."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple) or getattr(value, "ndim", None):
        values = copy_values(value)
        return copy_value(values[0]) if len(values) == 1 else values
    return value


def copy_values(values: Any) -> list[Any]:
    """Copy of the values of many rows; the rows of a table are dictionaries.

    Raises:
        TypeError: no list, column, array or table.
    """
    if _is(values, "pandas", "DataFrame"):
        return list(values.to_dict("records"))
    if _is(values, "polars", "DataFrame"):
        return list(values.to_dicts())
    return list(as_list(values))


def unwrap(values: list[Any]) -> list[Any]:
    """Values of rows that are lists or dictionaries of one value each, as a column of a 2-d array is."""
    if all(isinstance(value, list | dict) and len(value) == 1 for value in values):
        return [next(iter(value.values())) if isinstance(value, dict) else value[0] for value in values]
    return values


def features_by_name(content: Any, names: Sequence[str]) -> dict[str, Sequence[object]]:
    """Columns of copied rows."""
    if _is(content, "pandas", "DataFrame"):
        places = range(content.shape[1])
        return {key_text(content.columns[at]): content.iloc[:, at].tolist() for at in places}
    if _is(content, "polars", "DataFrame"):
        return {name: content.get_column(name).to_list() for name in content.columns}
    if _is(content, "pyarrow", "Table", "RecordBatch"):
        columns = zip(content.schema.names, content.columns, strict=True)
        return {name: column.to_pylist() for name, column in columns}
    if _is(content, "numpy", "ndarray"):
        labels = names or [str(place) for place in range(content.shape[1])]
        return {name: content[:, place].tolist() for place, name in enumerate(labels)}
    return rows_by_name(content, names)


def rows_by_name(rows: Sequence[Any], names: Sequence[str]) -> dict[str, Sequence[object]]:
    """Columns of rows that are dictionaries, lists or arrays; missing where a row lacks one."""
    if type(rows[0]) is not dict:
        width = len(rows[0])
        if all(type(row) is not dict and len(row) == width for row in rows):
            labels = names or [str(place) for place in range(width)]
            return dict(zip(labels, map(list, zip(*map(as_list, rows), strict=True)), strict=True))
    mappings = [row if type(row) is dict else _named(as_list(row), names) for row in rows]
    keys = mappings[0].keys()
    if all(each.keys() == keys for each in mappings):
        return {key_text(key): [each[key] for each in mappings] for key in keys}
    union = dict.fromkeys(key for each in mappings for key in each)
    return {key_text(key): [each.get(key) for each in mappings] for key in union}


def _named(values: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    return dict(zip(names or map(str, range(len(values))), values, strict=True))


def own_columns(rows: int, **given: Any) -> dict[str, list[Any]]:
    """Own columns of many rows; a missing prediction, a time and a latency may be that of all rows.

    Raises:
        ValueError: one has another number of rows.
    """
    own = {}
    for name, value in given.items():
        if value is None and name not in ("prediction", "label"):
            continue
        if value is None or (name in ("timestamp", "latency_seconds") and not _is_column(value)):
            own[name] = [value] * rows
            continue
        values = copy_values(value) if _is_column(value) else [value]
        if rows == 1 and len(values) != 1:  # scores of several classes
            values = [values]
        if len(values) != rows:
            raise ValueError(f"there are features of {rows} rows, and {len(values)} values of `{name}`")
        own[name] = unwrap(values)
    return own


def _is_column(value: Any) -> bool:
    if isinstance(value, str | bytes | Mapping):
        return False
    return hasattr(value, "__len__") and getattr(value, "ndim", None) != 0

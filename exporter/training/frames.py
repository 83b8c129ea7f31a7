"""Makes an Arrow table of a user's data: features, and the row's own columns, given by name or as values.

Taken are frames of pandas and polars, Arrow tables, whatever else has `__arrow_c_stream__`, columns by name,
two-dimensional arrays, and frames of Spark, which are sampled there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from exporter.errors import ReferenceInvalidError
from exporter.formats.texts import first_line, listed
from exporter.payloads.limits import MAX_COLUMNS
from exporter.profiling.files import MAX_CELLS, choose_rows

# Roles of the row's own columns, with the names that their columns get where only values are given.
OWN_NAMES = {"target": "label", "prediction": "prediction", "score": "score", "timestamp": "timestamp"}


@dataclass(frozen=True)
class LoggedData:
    """A reference's rows, the names of its columns by role, and notes on omissions."""

    table: pa.Table
    named: Mapping[str, str]
    notes: tuple[str, ...] = ()


def read_data(data: Any, own: Mapping[str, Any], max_rows: int) -> LoggedData:
    """The table of a user's data, or a uniform sample of it in order.

    Args:
        data: features, with or without the row's own columns.
        own: by role of `OWN_NAMES`, the name of a column of the data, or one value a row; None for neither.
        max_rows: limit on the rows; fewer are taken of wide data.

    Raises:
        ReferenceInvalidError: it is no table, or what is given does not fit together.
    """
    if type(data).__module__.startswith("pyspark."):
        from exporter.training.spark_frames import read_spark

        return read_spark(data, own, max_rows)
    table = _as_table(data)
    table, named = _with_own(table, data, own)
    check_table(table)
    rows = table.num_rows
    wanted = rows_taken(rows, table.num_columns, max_rows)
    if wanted < rows:
        table = table.take(pa.array(choose_rows(rows, wanted)))
    return LoggedData(table, named, sample_note(wanted, rows))


def rows_taken(rows: int, columns: int, max_rows: int) -> int:
    """Number of rows that are logged: the exporter reads no more of so many columns."""
    return min(rows, max_rows, max(1, MAX_CELLS // max(1, columns)))


def sample_note(wanted: int, rows: int) -> tuple[str, ...]:
    """Note on a sample; none if it has all rows."""
    return (f"a uniform sample of {wanted:,} of {rows:,} rows is logged",) if wanted < rows else ()


def check_table(table: pa.Table) -> None:
    """
    Raises:
        ReferenceInvalidError: there are no rows or no columns, too many, or several of one name.
    """
    names = table.column_names
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise ReferenceInvalidError(f"the data has several columns named {listed(repeated, 3)}")
    if not names or not table.num_rows:
        raise ReferenceInvalidError(f"the data has no {'rows' if names else 'columns'}")
    if len(names) > MAX_COLUMNS:
        raise ReferenceInvalidError(
            f"the data has {len(names):,} columns, more than {MAX_COLUMNS:,} are not read"
        )


def check_name(role: str, name: str, names: list[str]) -> str:
    """The name of a role's column.

    Raises:
        ReferenceInvalidError: the data has no such column.
    """
    if name not in names:
        raise ReferenceInvalidError(
            f"the data has no column {name!r}, which is to be the {role}; it has {listed(names, 20)}"
        )
    return name


# -- the data -----------------------------------------------------------------------------------------------


def _as_table(data: Any) -> pa.Table:
    try:
        if isinstance(data, pa.Table):
            return data
        if isinstance(data, pa.RecordBatch):
            return pa.Table.from_batches([data])
        if _is_of(data, "pandas") and hasattr(data, "columns"):
            return _of_pandas(data)
        if _is_of(data, "polars") and hasattr(data, "to_arrow"):  # of older types than by the interface below
            return data.to_arrow()
        if hasattr(data, "__arrow_c_stream__"):
            return pa.table(data)
        if isinstance(data, Mapping):
            return pa.table({str(name): _as_array(str(name), values) for name, values in data.items()})
        if isinstance(data, np.ndarray) and data.ndim == 2:
            return pa.table({str(k): data[:, k] for k in range(data.shape[1])})
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise ReferenceInvalidError(f"the data cannot be made an Arrow table: {first_line(error)}") from error
    hint = "; collect it first" if hasattr(data, "collect") else ""
    raise ReferenceInvalidError(
        f"a {type(data).__module__}.{type(data).__qualname__} is no table: pandas, polars, pyarrow or Spark "
        f"have them{hint}"
    )


def _is_of(value: Any, library: str) -> bool:
    return type(value).__module__.partition(".")[0] == library


def _of_pandas(frame: Any) -> pa.Table:
    names = list(map(str, frame.columns))
    columns = [_as_array(name, frame.iloc[:, k]) for k, name in enumerate(names)]
    return pa.Table.from_arrays(columns, names)


def _as_array(name: str, values: Any) -> pa.Array | pa.ChunkedArray:
    """One value a row; of a two-dimensional array lists, one number a row where it has one column.

    Raises:
        ReferenceInvalidError: the values are no column.
    """
    try:
        if isinstance(values, pa.Array | pa.ChunkedArray):
            return values
        if _is_of(values, "polars") and hasattr(values, "to_arrow"):
            return values.to_arrow()
        if _is_of(values, "pandas") and getattr(values, "ndim", 1) == 2:  # predict_proba as a frame
            values = values.to_numpy()
        if isinstance(values, np.ndarray) and values.ndim == 2:
            values = values[:, 0] if values.shape[1] == 1 else list(values)
        elif not isinstance(values, np.ndarray) and not _is_of(values, "pandas"):
            values = list(values)
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise ReferenceInvalidError(
            f"column {name} holds values that Parquet has no one type for: {first_line(error)}"
        ) from error


# -- the row's own columns ----------------------------------------------------------------------------------


def _with_own(table: pa.Table, data: Any, own: Mapping[str, Any]) -> tuple[pa.Table, dict[str, str]]:
    """The table with the values that were given as columns, and the names of columns by role."""
    named: dict[str, str] = {}
    for role, given in own.items():
        if given is None:
            continue
        if isinstance(given, str):
            named[role] = check_name(role, given, table.column_names)
            continue
        array = _as_array(role, given)
        if len(array) != table.num_rows:
            raise ReferenceInvalidError(
                f"there are {len(array):,} values of the {role} for {table.num_rows:,} rows of data"
            )
        _check_index(role, data, given)
        name = _free_name(role, getattr(given, "name", None), array, table)
        if name not in table.column_names:
            table = table.append_column(name, array)
        named[role] = name
    if shared := [name for name, count in Counter(named.values()).items() if count > 1]:
        roles = " and the ".join(role for role, name in named.items() if name == shared[0])
        raise ReferenceInvalidError(f"column {shared[0]} cannot be the {roles} at once")
    return table, named


def _check_index(role: str, data: Any, given: Any) -> None:
    """
    Raises:
        ReferenceInvalidError: both are of pandas, and their rows are not the same in the same order.
    """
    both = _is_of(data, "pandas") and _is_of(given, "pandas")
    if both and hasattr(given, "index") and not data.index.equals(given.index):
        raise ReferenceInvalidError(
            f"the {role} has other row labels (index) than the data: select the same rows, or pass "
            f"`.to_numpy()` of it if they are in the same order"
        )


def _free_name(role: str, own_name: object, array: Any, table: pa.Table) -> str:
    """Name of the column for values: theirs, or the usual one of the role if no feature is called so."""
    usual = OWN_NAMES[role]
    if role == "target" and isinstance(own_name, str) and own_name:
        if own_name not in table.column_names:
            return own_name
        if table.column(own_name).equals(pa.chunked_array([array]) if isinstance(array, pa.Array) else array):
            return own_name
    for name in (usual, f"model_{role}"):
        if name not in table.column_names:
            return name
    raise ReferenceInvalidError(
        f"the data has columns {usual} and model_{role}: name the one that is the {role}"
    )

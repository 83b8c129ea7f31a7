"""Turns JSON documents into columns of values, and these into Arrow arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from exporter.formats.texts import first_line


class OddColumnError(ValueError):
    """Values of a column without a common type."""


def arrow_array(values: list[Any]) -> pa.Array:
    """The values as an Arrow array; NaN is missing.

    Raises:
        OddColumnError: they have no type in common.
    """
    try:
        return pa.array(values, from_pandas=True)
    except OverflowError as error:
        raise OddColumnError("it has integers of more than 64 bits") from error
    except UnicodeError as error:
        raise OddColumnError(_HALF) from error
    except (pa.ArrowException, TypeError) as error:
        raise OddColumnError(f"it mixes types ({first_line(error)})") from error


def utf8(name: str) -> str:
    """Name of a column, checked to be UTF-8.

    Raises:
        OddColumnError: it cannot.
    """
    try:
        return name.encode().decode()
    except UnicodeError as error:
        raise OddColumnError(_HALF) from error


_HALF = "it has half a surrogate pair, which is no character"


def json_columns(content: Any) -> tuple[int, list[str], Callable[[str, Sequence[int]], list[Any]]]:
    """Number of rows, names of columns, and a function that returns the values of a column in given rows.

    Raises:
        ValueError: neither rows, columns nor `{"columns": [...], "data": [...]}`.
    """
    if isinstance(content, dict) and isinstance(content.get("columns"), list):
        data = content.get("data")
        index = {str(name): place for place, name in enumerate(content["columns"])}
        if len(index) < len(content["columns"]):
            raise ValueError("a name is twice in 'columns'")
        if not isinstance(data, list) or any(
            not isinstance(row, list) or len(row) != len(index) for row in data
        ):
            raise ValueError("'data' is not a list of rows with a value for each of 'columns'")
        return len(data), list(index), lambda name, rows: [data[row][index[name]] for row in rows]
    if isinstance(content, dict) and all(isinstance(values, list) for values in content.values()):
        lengths = set(map(len, content.values()))
        if len(lengths) > 1:
            raise ValueError("its columns differ in length")
        return max(lengths, default=0), list(content), lambda name, rows: [content[name][row] for row in rows]
    if isinstance(content, dict):  # a single line of JSON lines
        content = [content]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ValueError("neither rows nor columns")
    names = dict.fromkeys(name for row in content for name in row)
    return len(content), list(names), lambda name, rows: [content[row].get(name) for row in rows]

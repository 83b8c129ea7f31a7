"""Named tensors of a request -> columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exporter.payloads.columns import RequestColumns
from exporter.payloads.limits import check_columns
from exporter.settings import Settings


def spread_columns(
    rows: int, tensors: Mapping[str, Sequence[list[Any]]], settings: Settings
) -> RequestColumns:
    """Columns of tensors, each (width,) lists of (rows,) values.

    A tensor of one column has its own name. The columns of a wider one have their numbers behind it, or for
    names if it is the only tensor; all columns are positional then.

    Raises:
        MalformedError: too many columns, or names that are no texts.
        TooLargeError: too many values.
    """
    features: dict[str, list[Any]] = {}
    for name, columns in tensors.items():
        prefix = "" if len(tensors) == 1 else f"{name}_"
        wide = len(columns) > 1
        features |= {f"{prefix}{place}" if wide else name: each for place, each in enumerate(columns)}
    check_columns(features, rows, settings, "inputs")
    return RequestColumns(rows, features, positional=any(len(columns) > 1 for columns in tensors.values()))

"""Values of any type -> values of JSON, on the background thread. Nothing in here raises for a value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from ipaddress import IPv4Address, IPv6Address
from pathlib import PurePath
from typing import Any
from uuid import UUID

_AS_THEY_ARE = {str, bool, type(None)}
_INTEGERS = range(-(2**1023), 2**1023)  # that a float holds; the longest have no decimal text
_AS_TEXT = (UUID, PurePath, IPv4Address, IPv6Address)
NESTED = (list, tuple, dict, set, frozenset)
SCALARS = (str, bytes, int, float, Fraction, Decimal, Enum, datetime, date, time, timedelta, *_AS_TEXT)
_MAX_DEPTH = 4  # of wrappers: an enumeration's value, a numpy scalar's item

UNSENDABLE = object()  # a value that is neither a number, a text, a time nor nested


def as_list(values: Any) -> list[Any]:
    """Return the values of a list, or of a column or an array by numpy, pandas, polars or pyarrow.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(values, list):
        return values
    if isinstance(values, tuple):
        return list(values)
    for method in ("tolist", "to_list", "to_pylist"):
        if convert := getattr(values, method, None):
            found = convert()
            if isinstance(found, list):
                return found
    if isinstance(values, Sequence | set | frozenset) and not isinstance(values, str | bytes):
        return list(values)
    raise TypeError(f"{type(values).__name__} is no list of values")


def to_json_column(values: Sequence[object]) -> tuple[list[object], int]:
    """Return values of JSON, and the number of values that have no equivalent and are missing.

    NaN is missing. Times are texts of ISO 8601, durations are seconds. Nested values are empty lists, which
    are a value of a wrong type for the exporter, as the whole ones would be.
    """
    kinds = set(map(type, values))
    if kinds <= _AS_THEY_ARE or (kinds == {int} and _are_moderate(values)):  # type: ignore[arg-type] # as just seen
        return list(values), 0
    if kinds == {float} and math.isfinite(sum(values)):  # type: ignore[arg-type] # as just seen
        return list(values), 0
    found = [json_value(value) for value in values]
    unsendable = sum(value is UNSENDABLE for value in found)
    if unsendable:
        found = [None if value is UNSENDABLE else value for value in found]
    return found, unsendable


def _are_moderate(integers: Sequence[int]) -> bool:
    return min(integers) in _INTEGERS and max(integers) in _INTEGERS


def json_value(value: Any, depth: int = 0) -> Any:
    """Return the value of JSON that stands for a value, `UNSENDABLE` where there is none."""
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is float:
        return value if value == value else None
    try:
        if kind is int:
            return value if value in _INTEGERS else UNSENDABLE
        if isinstance(value, NESTED):
            return []
        return _other_value(value, depth)
    except Exception:  # noqa: BLE001 - methods of foreign types
        return UNSENDABLE


def _other_value(value: Any, depth: int) -> Any:
    if type(value).__name__ in ("NAType", "NaTType"):  # pandas', which compare with nothing
        return None
    if isinstance(value, Enum) and depth < _MAX_DEPTH:
        return json_value(value.value, depth + 1)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return json_value(int(value))
    if isinstance(value, float | Fraction):
        number = float(value)
        return number if number == number else None
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode()
    if isinstance(value, _AS_TEXT):
        return str(value)
    return _foreign_value(value, depth)


def _decimal(value: Decimal) -> int | float | None:
    if value.is_nan():
        return None
    whole = value.is_finite() and abs(value) < 2**63 and value == value.to_integral_value()
    return int(value) if whole else float(value)


def _foreign_value(value: Any, depth: int) -> Any:
    """Value of a type of numpy, pandas, polars or pyarrow."""
    name = type(value).__name__
    if name == "datetime64":
        text = str(value)
        return None if text == "NaT" else text
    if name == "timedelta64":  # microseconds hold 290,000 years, and NaT becomes None
        span = value.astype("timedelta64[us]").item()
        return None if span is None else span.total_seconds()
    if name == "longdouble":
        return json_value(float(value))
    if getattr(value, "ndim", None):  # of an array or a column
        return []
    if depth < _MAX_DEPTH:
        for method in ("item", "as_py"):
            if callable(convert := getattr(value, method, None)):
                return json_value(convert(), depth + 1)
    if type(value).__module__.partition(".")[0] == "pandas":  # periods, intervals
        return str(value)
    return UNSENDABLE


def json_score(value: Any) -> Any:
    """Return the score of a row for JSON: a number, a list of numbers, or an object by class."""
    if isinstance(value, Mapping):
        return {key_text(name): number_or_none(score) for name, score in value.items()}
    if isinstance(value, list | tuple) or getattr(value, "ndim", None):
        return [number_or_none(score) for score in as_list(value)]
    found = json_value(value)
    return None if found is UNSENDABLE else found


def number_or_none(value: Any) -> float | None:
    """Return a number, or a duration in seconds; None where it is neither."""
    found = json_value(value)
    return found if isinstance(found, int | float) else None


def key_text(name: object) -> str:
    """Return the name of a column or class; numbers are named by their digits, as `pd.DataFrame(ndarray)`
    names columns."""
    if isinstance(name, str):
        return name if name.isascii() else name.encode("utf-8", "replace").decode()
    found = json_value(name)
    return str(found if isinstance(found, int | float) and not isinstance(found, bool) else name)


def id_text(value: Any) -> str | None:
    """Return an id as the exporter reads it: 7, 7.0 and "7" are the same. None where there is none."""
    if type(value) is str:
        return value
    if type(value) is int:  # of any size, such as that of a UUID
        return _digits(value)
    found = json_value(value)
    if found is None or found is UNSENDABLE or found == []:
        return None
    if isinstance(found, float) and found.is_integer():
        return str(int(found))
    return str(int(found)) if isinstance(found, int) else str(found)


def _digits(value: int) -> str | None:
    try:
        return str(value)
    except ValueError:  # thousands of digits
        return None


def moment(value: Any) -> Any:
    """Return a time as the exporter reads it: seconds since the epoch, or a text of ISO 8601."""
    if isinstance(value, datetime) and value.tzinfo is not None and value == value:
        return value.timestamp()
    found = json_value(value)
    return None if found is UNSENDABLE else found

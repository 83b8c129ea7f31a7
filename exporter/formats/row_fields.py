"""Reads fields that every row or request may have: model and version, ids, times, latencies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from math import nan
from typing import Any

from exporter.errors import MalformedError
from exporter.formats.batch import RawValues
from exporter.formats.columns import EXACT_IN_FLOAT
from exporter.payloads.limits import MAX_NAME_LENGTH, is_short_text
from exporter.payloads.target import Target
from exporter.settings import Settings

MAX_LATENCY_SECONDS = 1e9  # longer than anybody waits; sums of latencies stay exact enough to be averaged
TIME_DETAIL = "a timestamp is an ISO 8601 text or seconds since the epoch"
LATENCY_DETAIL = "a latency is a number of seconds"


def read_each(
    values: RawValues, read: Callable[[object], Any], detail: str, name: str, where: str
) -> list[Any]:
    """Read the values of a field, equal ones once.

    Args:
        values: of the rows.
        read: raises ValueError or TypeError for a value that it refuses.
        detail: of the refusal.
        name: of the field.
        where: template of a value's place, with `name` and `index`.

    Raises:
        MalformedError: a value is refused.
    """
    known: dict[object, Any] = {}
    for index, value in enumerate(values):
        try:
            if value not in known:
                known[value] = read(value)
        except (ValueError, TypeError):  # a list or an object has no hash
            raise MalformedError(detail, where.format(name=name, index=index)) from None
    return [known[value] for value in values]


def read_latency(value: object) -> float:
    if value is None:
        return nan
    if not isinstance(value, int | float):
        raise TypeError(LATENCY_DETAIL)
    return value if 0 <= value <= MAX_LATENCY_SECONDS else nan


def read_model(source: Mapping[str, Any], prefix: str = "") -> str:
    """Name of the registered model.

    Raises:
        MalformedError: there is none.
    """
    model = source.get("model")
    if not model or not is_short_text(model):
        raise MalformedError("`model` is required: the registered model's name", f"{prefix}model")
    return model


def read_target(source: Mapping[str, Any], prefix: str = "") -> Target:
    model, version, alias = read_model(source, prefix), source.get("version"), source.get("alias")
    if isinstance(version, int) and not isinstance(version, bool):
        version = str(version)
    if (version is None) == (alias is None):
        raise MalformedError("`version` or `alias` is required, not both", f"{prefix}version")
    chosen = version if version is not None else alias
    if not chosen or not is_short_text(chosen):
        place = "version" if version is not None else "alias"
        raise MalformedError(f"must be a text of 1 to {MAX_NAME_LENGTH} characters", f"{prefix}{place}")
    return Target(model, version=chosen) if version is not None else Target(model, alias=chosen)


def read_ids(values: RawValues, settings: Settings, where: str) -> list[str | None] | None:
    """(rows,) id or None of each row; None where no row has one.

    A whole number is an id by its digits, also as a float or a decimal, which columns of integers become
    where some are missing; but one that may have lost digits is refused. `where` is the template of a value's
    place.

    Raises:
        MalformedError: a value is no id.
    """
    if set(map(type, values)) == {str}:  # as nearly always
        lengths = [*map(len, values)]
        if min(lengths) > 0 and max(lengths) <= settings.max_id_length:
            return values
    ids: list[str | None] = []
    for index, value in enumerate(values):
        text = _id_text(value)
        if text is None:
            ids.append(None)
        elif isinstance(text, str) and 0 < len(text) <= settings.max_id_length:
            ids.append(text)
        else:
            detail = "an id is a text, a UUID or an integer of at most 64 bits; send other numbers as text"
            if isinstance(text, str):
                detail = f"an id has 1 to {settings.max_id_length} characters, this one {len(text)}"
            raise MalformedError(detail, where.format(name="id", index=index))
    return ids if any(each is not None for each in ids) else None


def _id_text(value: object) -> object:
    """Digits of a whole number, None for NaN, and anything else as it is."""
    if isinstance(value, float | Decimal) and value != value:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT_IN_FLOAT:
        return str(int(value))
    whole = isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value()
    if (whole or type(value) is int) and -(2**63) <= value < 2**64:  # type: ignore[operator] # a number
        return str(int(value))  # type: ignore[call-overload] # the same
    return value

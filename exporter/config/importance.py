"""Importance of columns as people write it: in `exporter.yml`, in a tag, or in a JSON file.

    importance: {dep_delay: 0.8, distance: 0.15, carrier: 0.05}
    importance: importance.json          # a path, relative to the file, or a URI
    importance: permutation              # measured, by loading the model

Weights are at least 0; only their ratios count.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic import ValidationInfo as Info

from exporter.config.section import location

PERMUTATION = "permutation"
MAX_TEXT_BYTES = 2**18
MAX_WEIGHTS = 10_000
_SHOWN = 60  # characters of a value in a message


def read_weights(text: str | bytes) -> dict[str, float]:
    """Weights by column from a JSON object.

    Raises:
        ValueError: it is none, or a weight cannot be used; the message says which and why.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise ValueError(f"has {len(text):,} bytes; at most {MAX_TEXT_BYTES:,} are read")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if not isinstance(document, dict):
        raise ValueError("has to be a JSON object of columns and their weights")
    return _weights(document)


def _weights(given: Mapping[Any, Any]) -> dict[str, float]:
    if len(given) > MAX_WEIGHTS:
        raise ValueError(f"names {len(given):,} columns; at most {MAX_WEIGHTS:,} are read")
    weights = {str(column): _weight(str(column), value) for column, value in given.items()}
    if not math.fsum(weights.values()) > 0:
        raise ValueError("gives no column a weight above 0")
    return weights


def _weight(column: str, value: object) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise TypeError
        weight = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"the weight of {column[:_SHOWN]!r} is not a number") from None
    if not 0 <= weight <= 1e100:  # sums stay finite
        shown = str(value)[:_SHOWN]
        raise ValueError(f"the weight of {column[:_SHOWN]!r} is {shown}; it has to be from 0 to 1e100")
    return weight


def _importance(value: object, info: Info) -> object:
    """Convert a mapping to JSON, and a path to one relative to the file that names it."""
    if isinstance(value, Mapping):
        return json.dumps(_weights(value))
    if value == PERMUTATION or (isinstance(value, str) and is_mapping(value)):
        return value
    return location(value, info)


def is_mapping(text: str) -> bool:
    """True if a setting is a mapping, and neither a place nor `permutation`."""
    return text.startswith("{")


# In the file only: a tag may name neither a path nor `permutation`, which runs the model's code.
Importance = Annotated[str, BeforeValidator(_importance)]

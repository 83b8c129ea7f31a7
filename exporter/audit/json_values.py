"""Values of JSON in records, which an older exporter may have written otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporter.formats.texts import cut

MAX_VALUE_CHARACTERS = 300
_DIGEST_LENGTH = 64


def number(value: object) -> float | None:
    """The value if it is a finite number, else None."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def mapping(value: object) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def objects(value: object) -> list[Mapping[str, Any]]:
    """Objects in a list; empty if it is none."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def leaves(value: object, name: str = "") -> list[tuple[str, str]]:
    """Dotted names and texts of the values of a nested object; what is not set is left out."""
    if isinstance(value, Mapping):
        return [
            leaf
            for key, each in value.items()
            for leaf in leaves(each, f"{name}.{key}" if name else str(key))
        ]
    shown = text(value)
    return [(name, shown)] if shown else []


def text(value: object) -> str:
    """A value of JSON for people, cut where it is long; a digest by its first characters.

    >>> text(0.123456), text(None), text([1, "a"]), text({"a": True}), text("ab" * 32)
    ('0.1235', '', '1, a', 'a yes', 'abababababab')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        shown = ", ".join(map(text, value))
    elif isinstance(value, Mapping):
        shown = ", ".join(f"{name} {text(each)}" for name, each in value.items())
    else:
        shown = str(value)
        if len(shown) == _DIGEST_LENGTH and not set(shown) - set("0123456789abcdef"):
            return shown[:12]
    return cut(shown, MAX_VALUE_CHARACTERS)

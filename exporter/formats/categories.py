"""Canonical text of a category or class, which comes in several notations."""

from __future__ import annotations

import re
from collections.abc import Collection

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
# Compared by identity. A text that a client sends is never this object, whatever its characters are.
MISMATCHED = "(mismatched)"


def canonical_text(value: object) -> str | None:
    """Canonical text of a category: 1, 1.0, true and "1" are all `1`, other strings stay as they are.

    None and NaN, which are missing, give None; other types than scalars give `MISMATCHED`.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return None
    if isinstance(value, float):
        if value != value:
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, int):
        return str(int(value))  # true is 1
    return MISMATCHED


def match_class(text: str, classes: Collection[str]) -> str | None:
    """Class that a text stands for in any notation, None without one.

    1, 1.0, true and "1" are one class, but a class that is called `true` or `1.0` itself comes first. With a
    leading zero a text is a name and no number.
    """
    if text in classes:
        return text
    canonical = {"true": "1", "false": "0"}.get(text.lower())
    if _NUMBER.fullmatch(text):
        canonical = canonical_text(float(text))
    return canonical if canonical in classes else None

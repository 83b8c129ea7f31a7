"""Texts that every database takes."""

from __future__ import annotations


def storable(text: str) -> str:
    """The text without NUL, which PostgreSQL refuses, and lone surrogates, which are no characters.

    >>> storable("a\\0b \\ud800")
    'ab ?'
    """
    return text.replace("\0", "").encode("utf-8", "replace").decode()

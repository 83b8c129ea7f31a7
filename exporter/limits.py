"""What one request may be: so many rows, columns and values, and names that can be shown."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeGuard

from exporter.config import Settings
from exporter.errors import MalformedError, TooLargeError

MAX_NAME_LENGTH = 256
MAX_VALUES = 5_000_000  # rows x columns
# What a body may unpack to, as a multiple of the largest body: Parquet packs the same rows tighter than JSON.
MAX_EXPANSION = 8


def check_rows(rows: int, settings: Settings, where: str = "") -> None:
    """
    Raises:
        MalformedError: no rows.
        TooLargeError: too many.
    """
    if rows == 0:
        raise MalformedError("no rows", where)
    if rows > settings.max_rows_per_request:
        detail = f"{rows} rows, at most {settings.max_rows_per_request} are taken in one request"
        raise TooLargeError(detail, where)


def check_columns(names: Collection[str], rows: int, settings: Settings, where: str) -> None:
    """Check the names of the features, before anything is made of their values.

    Raises:
        MalformedError: none, too many, or one that cannot be shown.
        TooLargeError: too many values.
    """
    if not names:
        raise MalformedError("rows without features cannot be monitored", where)
    if len(names) > settings.max_columns:
        raise MalformedError(f"{len(names)} columns, at most {settings.max_columns} are taken", where)
    for name in names:
        if not is_short_text(name):
            detail = (
                f"a column's name is a text of at most {MAX_NAME_LENGTH} characters, not {ascii(name)[:60]}"
            )
            raise MalformedError(detail, where)
    if rows * len(names) > MAX_VALUES:
        detail = f"{rows} rows of {len(names)} columns, at most {MAX_VALUES} values are taken"
        raise TooLargeError(detail, where)


def check_expansion(size_bytes: int, settings: Settings) -> None:
    """
    Raises:
        TooLargeError: a body unpacks to too much.
    """
    limit = MAX_EXPANSION * settings.max_body_bytes
    if size_bytes > limit:
        raise TooLargeError(f"the body unpacks to {size_bytes} bytes, at most {limit} are taken")


def is_short_text(name: object) -> TypeGuard[str]:
    """Whether it can be shown as a name: JSON can escape half a surrogate pair, which is no character."""
    if not isinstance(name, str) or len(name) > MAX_NAME_LENGTH:
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

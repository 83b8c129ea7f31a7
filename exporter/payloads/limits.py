"""Limits of one request: rows, columns and values, names that can be shown, keys that are read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeGuard

from exporter.errors import MalformedError, TooLargeError
from exporter.settings import Settings

MAX_NAME_LENGTH = 256
MAX_COLUMNS = 10_000  # of a reference and of a request; a column takes some kilobytes, whatever is in it
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
    """Check the names and the number of the features, before their values are read.

    More columns than are monitored, and names that are too long for labels, are accepted: profiling leaves
    them out.

    Raises:
        MalformedError: no features, too many, or a name that is no text.
        TooLargeError: too many values.
    """
    if not names:
        raise MalformedError("rows without features cannot be monitored", where)
    limit = max(MAX_COLUMNS, settings.max_columns)
    if len(names) > limit:
        raise MalformedError(f"{len(names)} columns, at most {limit} are taken", where)
    if not _are_unicode(names):
        name = next(name for name in names if not _are_unicode([name]))
        raise MalformedError(f"a column's name is a text, not {ascii(name)[:60]}", where)
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


def check_keys(
    objects: Sequence[Mapping[str, object]],
    known: Collection[str],
    where: str,
    elsewhere: Mapping[str, str] | None = None,
) -> set[str]:
    """Keys of the objects, all of which must be known: the values of misspelt ones would be lost.

    Args:
        objects: rows, or a single object.
        known: the keys that are read.
        where: template of a key's place, with `name` and `index`.
        elsewhere: places of keys that are read in other objects of the same form.

    Raises:
        MalformedError: an unknown key; tells its place and the nearest known key, or all of them.
    """
    given: set[str] = set().union(*objects)
    unknown = given.difference(known)
    if not unknown:
        return given
    name = min(unknown)
    index = next(index for index, each in enumerate(objects) if name in each)
    places = dict(elsewhere or {}) | {key: key for key in known}
    similar = get_close_matches(name[:MAX_NAME_LENGTH], places, n=1)
    hint = f"did you mean `{places[similar[0]]}`?" if similar else f"known: {', '.join(sorted(known))}"
    raise MalformedError(f"unknown key; {hint}", where.format(index=index, name=name[:MAX_NAME_LENGTH]))


def is_short_text(name: object) -> TypeGuard[str]:
    """True for a text that can be shown as a name."""
    return isinstance(name, str) and len(name) <= MAX_NAME_LENGTH and _are_unicode([name])


def _are_unicode(names: Collection[str]) -> bool:
    """True if all are texts without lone surrogates, which JSON can escape and which are no characters."""
    try:
        "".join(names).encode()
    except (TypeError, UnicodeEncodeError):
        return False
    return True

"""Foreign texts: safe to store, to show and to log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

# Up to the last @: unescaped, a password may hold an @ or a slash. Bounded, or a long text would take long.
_USER = re.compile(r"(?<=://)(?:[^\s/@:]{0,256}:\S{0,1024}|[^\s/@]{1,1024})@")
_SECRET = re.compile(
    r"(?i)(?<=[?&;])([\w.-]{0,40}(?:pass|pwd|secret|token|key|sig|credential)[\w.-]{0,40}=)[^&\s]*"
)


def storable(text: str) -> str:
    """The text without NUL, which PostgreSQL refuses, and lone surrogates, which are no characters.

    >>> storable("a\\0b \\ud800")
    'ab ?'
    """
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def printable(text: str) -> str:
    """The text on one line, with every character that is not printable escaped.

    >>> printable("fraud\\nERROR \\x1b[2J")
    'fraud\\\\nERROR \\\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def redact(text: str) -> str:
    """The text without the users, passwords and signatures of its URLs.

    >>> redact("postgresql://ada:p@ss/word@db/exporter?sslmode=require&password=secret")
    'postgresql://***@db/exporter?sslmode=require&password=***'
    """
    return _SECRET.sub(r"\1***", _USER.sub("***@", text))


def first_line(error: BaseException) -> str:
    """First line of an error's message, without passwords and of at most 300 characters; else its type.

    >>> first_line(ValueError("no such column\\nin the table")), first_line(MemoryError())
    ('no such column', 'MemoryError')
    """
    line = (redact(str(error)).strip() or type(error).__name__).splitlines()[0]
    return cut(line, 300)


def cut(text: str, length: int) -> str:
    """The text, of at most `length` characters.

    >>> cut("drift", 5), cut("quality", 5)
    ('drift', 'qual…')
    """
    return text if len(text) <= length else text[: length - 1] + "…"


def capitalized(text: str) -> str:
    """The text with a capital at the start; unlike `str.capitalize`, the rest is as it was.

    >>> capitalized("drift of PSI")
    'Drift of PSI'
    """
    return f"{text[:1].upper()}{text[1:]}"


def utc_text(seconds: float) -> str:
    """A time in seconds since the epoch to the second, in UTC.

    >>> utc_text(1748865600.0)
    '2025-06-02T12:00:00Z'
    """
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def listed(names: Sequence[str], limit: int = 50) -> str:
    """Names for people, with how many more there are beyond the limit.

    >>> listed(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit:,} more"

"""Bytes of a body -> the JSON value that they hold."""

from __future__ import annotations

import json
import zlib
from typing import Any

from exporter.errors import MalformedError, TooLargeError, UnsupportedError


def parse_json(body: bytes) -> Any:
    """Value of a JSON document; NaN and Infinity are taken as Python's own encoder writes them.

    Raises:
        MalformedError: no JSON.
    """
    try:
        return json.loads(body, parse_int=_parse_integer)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"not JSON: {str(error)[:200]}") from None


def _parse_integer(text: str) -> int | float:
    """A float where it has more than 64 bits, as other parsers make it."""
    if len(text) > 20:
        return float(text)
    value = int(text)
    return value if -(2**63) <= value < 2**64 else float(value)


def uncompressed(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """A body as it was before a `Content-Encoding` of `gzip` or `deflate`.

    Raises:
        MalformedError: it is truncated or otherwise damaged.
        TooLargeError: it unpacks to more than `max_bytes`.
        UnsupportedError: another encoding.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise UnsupportedError(f"bodies with the encoding {encoding[:40]!r} are not read")
    decoder = zlib.decompressobj(wbits=47)  # gzip or zlib, by the header
    try:
        content = decoder.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise MalformedError(f"not {encoding}: {error}") from None
    if len(content) > max_bytes:
        raise TooLargeError(f"the body unpacks to more than {max_bytes} bytes")
    if not decoder.eof:
        raise MalformedError(f"truncated {encoding}")
    return content

"""Turns errors of decoders of stored bytes into `StoreDamagedError`."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from exporter.errors import StoreDamagedError


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Context that decodes stored bytes; the error names `what` they are.

    Raises:
        StoreDamagedError: a decoder failed in the block.
    """
    try:
        yield
    except (struct.error, zlib.error, ValueError, TypeError, LookupError, OverflowError) as error:
        raise StoreDamagedError(f"{what} cannot be read: it is damaged ({error})") from error

"""What the store gives back is decoded in one way: bytes that cannot be are damaged."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from exporter.errors import StoreDamagedError


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Decode stored bytes in the block; `what` they are is named in the error.

    Raises:
        StoreDamagedError: the block failed as decoders do.
    """
    try:
        yield
    except (struct.error, zlib.error, ValueError, TypeError, LookupError, OverflowError) as error:
        raise StoreDamagedError(f"{what} cannot be read: it is damaged ({error})") from error

"""Headers of a consumed message."""

from __future__ import annotations

import gc
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from confluent_kafka import Message

Headers = list[tuple[str, str | bytes | None]]


def headers_of(message: Message) -> Headers:
    """Return the headers, without those whose names are not in UTF-8.

    The driver leaves such a name out of its pair, which then must not be touched: that ends the process.
    It also leaves an error behind, which a call by way of `partial` notices and clears.
    """
    read = partial(message.headers)
    try:
        found = read()
    except SystemError:
        found = read()
    return [pair for pair in found or () if len(gc.get_referents(pair)) == 2]  # type: ignore[misc]

"""Which tables may know an id: a Bloom filter a table, so that an id is looked up in one, not in thirty.

Blocked, with a block of one 64-bit word (Putze, Sanders and Singler 2007): an id is five bits of one word, so
a table costs one memory access an id. At 16 to 32 bits an id less than 1 % are looked up in vain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

IDS_PER_WORD = 4
BITS_PER_ID = 5


class Probes(NamedTuple):
    """Ids, ready to be looked up: (ids,) the word of each, to be cut to the filter's size, and its bits."""

    words: Words
    masks: Words

    @classmethod
    def of(cls, hashes: Sequence[bytes]) -> Probes:
        """From 128-bit hashes."""
        halves = np.frombuffer(b"".join(hashes), "<u8").reshape(-1, 2)
        masks = np.zeros(len(halves), np.uint64)
        for k in range(BITS_PER_ID):
            masks |= np.uint64(1) << ((halves[:, 1] >> np.uint64(6 * k)) & np.uint64(63))
        return cls(halves[:, 0], masks)


@dataclass(frozen=True)
class IdFilter:
    """A set of ids that never denies one of its own; `words` are as many as a power of 2."""

    words: Words

    @classmethod
    def of(cls, hashes: Sequence[bytes]) -> IdFilter:
        words = np.zeros(1 << (len(hashes) // IDS_PER_WORD).bit_length(), np.uint64)
        probes = Probes.of(hashes)
        np.bitwise_or.at(words, probes.words & np.uint64(len(words) - 1), probes.masks)
        return cls(words)

    def find(self, probes: Probes) -> list[int]:
        """Which of the ids may be in it: numbers within the probes."""
        own = self.words[probes.words & np.uint64(len(self.words) - 1)]
        found: list[int] = np.flatnonzero((own & probes.masks) == probes.masks).tolist()
        return found

    def encode(self) -> bytes:
        """Bytes for the store."""
        return self.words.astype("<u8").tobytes()

    @classmethod
    def decode(cls, data: bytes) -> IdFilter:
        return cls(np.frombuffer(data, "<u8").astype(np.uint64))

"""Which tables may know an id: a Bloom filter a table, so that an id is looked up in one, not in thirty.

Blocked, with a block of one 64-bit word (Putze, Sanders and Singler 2007): an id is five bits of one word, so
a table costs one memory access an id. At 21 bits an id one in a thousand is looked up in vain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exporter.storage.lsm.records import Halves
from exporter.typing import Ints

Words = npt.NDArray[np.uint64]

IDS_PER_WORD = 3
BITS_PER_ID = 5


def tops(halves: Halves) -> Words:
    """(ids,) the first 32 bits of each hash, by which everything here is sorted."""
    return halves[:, 0] >> np.uint64(32)


def slots(tops: Words, count: int) -> Ints:
    """(ids,) in which of so many equal parts of all hashes each lies.

    It is as even as a remainder, and keeps the order: what is sorted is looked up from front to back.
    """
    return (tops * np.uint64(count) >> np.uint64(32)).astype(np.int64)


@dataclass(frozen=True)
class Probes:
    """Ids in ascending order, ready to be looked up.

    `numbers` (ids,) are their places before they were sorted, `halves` (ids, 2), `tops` (ids,), and `masks`
    (ids,) the bits of each in its word.
    """

    numbers: Ints
    halves: Halves
    tops: Words
    masks: Words

    @classmethod
    def of(cls, hashes: Sequence[bytes]) -> Probes:
        """From 128-bit hashes."""
        halves = np.frombuffer(b"".join(hashes), "<u8").reshape(-1, 2)
        numbers = np.argsort(halves[:, 0], kind="stable")
        halves = halves[numbers]
        return cls(numbers, halves, tops(halves), _masks(halves))


@dataclass(frozen=True)
class IdFilter:
    """A set of ids that never denies one of its own."""

    words: Words

    @classmethod
    def of(cls, halves: Halves) -> IdFilter:
        """From (ids, 2) halves of 128-bit hashes."""
        words = np.zeros(_count_words(len(halves)), np.uint64)
        np.bitwise_or.at(words, slots(tops(halves), len(words)), _masks(halves))
        return cls(words)

    def find(self, probes: Probes) -> Ints:
        """Which of the ids may be in it: places within the probes."""
        own = self.words[slots(probes.tops, len(self.words))]
        found: Ints = np.flatnonzero((own & probes.masks) == probes.masks)
        return found

    def encode(self) -> bytes:
        """Bytes for the store."""
        return self.words.astype("<u8").tobytes()

    @classmethod
    def decode(cls, data: bytes, ids: int) -> IdFilter:
        """From bytes of the store, of a filter that has so many ids.

        Raises:
            ValueError: it is not one.
        """
        words = np.frombuffer(data, "<u8").astype(np.uint64)
        if len(words) != _count_words(ids):
            raise ValueError(f"{len(words)} words for {ids} ids")
        return cls(words)


def _count_words(ids: int) -> int:
    return ids // IDS_PER_WORD + 1


def _masks(halves: Halves) -> Words:
    masks = np.zeros(len(halves), np.uint64)
    for k in range(BITS_PER_ID):
        masks |= np.uint64(1) << ((halves[:, 1] >> np.uint64(6 * k)) & np.uint64(63))
    return masks

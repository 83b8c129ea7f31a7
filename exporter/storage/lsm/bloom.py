"""Bloom filters of SSTables: an id is looked up in the one table that has it, not in thirty.

Blocked filters with blocks of one 64-bit word (Putze, Sanders and Singler 2007): an id sets five bits of one
word, so a test costs one memory access. With 21 bits an id the false positive rate is one in a thousand;
there are no false negatives.
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


def hash_prefixes(halves: Halves) -> Words:
    """(ids,) first 32 bits of (ids, 2) hashes, in whose order SSTables are sorted."""
    return halves[:, 0] >> np.uint64(32)


def slots(prefixes: Words, count: int) -> Ints:
    """(ids,) slot of each hash prefix, of `count` slots.

    As even as a remainder, and monotonic: sorted prefixes have sorted slots, so memory is read front to back.
    """
    return (prefixes * np.uint64(count) >> np.uint64(32)).astype(np.int64)


@dataclass(frozen=True)
class Probes:
    """Ids to look up, sorted by hash.

    `positions` (ids,) are their positions in the unsorted query, `halves` (ids, 2) their hashes, `prefixes`
    (ids,) the hash prefixes, and `masks` (ids,) their bits within a word of a filter.
    """

    positions: Ints
    halves: Halves
    prefixes: Words
    masks: Words

    @classmethod
    def of(cls, hashes: Sequence[bytes]) -> Probes:
        """From 128-bit hashes."""
        halves = np.frombuffer(b"".join(hashes), "<u8").reshape(-1, 2)
        positions = np.argsort(halves[:, 0], kind="stable")
        halves = halves[positions]
        return cls(positions, halves, hash_prefixes(halves), _masks(halves))


@dataclass(frozen=True)
class BloomFilter:
    """Approximate set of ids, without false negatives; `words` hold the bits."""

    words: Words

    @classmethod
    def of(cls, halves: Halves) -> BloomFilter:
        """From (ids, 2) halves of 128-bit hashes."""
        words = np.zeros(_count_words(len(halves)), np.uint64)
        np.bitwise_or.at(words, slots(hash_prefixes(halves), len(words)), _masks(halves))
        return cls(words)

    def find(self, probes: Probes) -> Ints:
        """Indices of the probes that may be in the set."""
        own = self.words[slots(probes.prefixes, len(self.words))]
        found: Ints = np.flatnonzero((own & probes.masks) == probes.masks)
        return found

    def encode(self) -> bytes:
        """Bytes for the store."""
        return self.words.astype("<u8").tobytes()

    @classmethod
    def decode(cls, data: bytes, ids: int) -> BloomFilter:
        """From `encode`, given the number of ids in the set.

        Raises:
            ValueError: the size does not fit.
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

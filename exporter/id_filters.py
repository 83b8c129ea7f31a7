"""Which days may know an id: a Bloom filter a day, so that a label is looked up in one table, not in thirty.

Blocked, with a block of one 64-bit word (Putze, Sanders and Singler 2007): an id is five bits of one word, so
a day costs one memory access an id. At 16 bits an id about 1 % of the other days are looked into in vain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock

import numpy as np
import numpy.typing as npt

from exporter.arrays import Bools

Words = npt.NDArray[np.uint64]

IDS_PER_WORD = 4
BITS_PER_ID = 5
FIRST_WORDS = 2**12  # of a day's first filter; each further one has twice as many


class DayFilter:
    """The ids of one day. It grows with them, and never denies one that was added."""

    def __init__(self) -> None:
        self._filters: list[Words] = []
        self._free = 0

    def add(self, hashes: Sequence[bytes]) -> None:
        """Add 128-bit hashes."""
        places, masks = _probes(hashes)
        start = 0
        while start < len(hashes):
            if not self._free:
                self._filters.append(np.zeros(FIRST_WORDS * 2 ** len(self._filters), np.uint64))
                self._free = len(self._filters[-1]) * IDS_PER_WORD
            words, end = self._filters[-1], start + self._free
            chosen = places[start:end] & np.uint64(len(words) - 1)
            np.bitwise_or.at(words, chosen, masks[start:end])
            self._free -= len(chosen)
            start += len(chosen)

    def may_have(self, places: Words, masks: Words) -> Bools:
        found = np.zeros(len(places), np.bool_)
        for words in self._filters:
            found |= (words[places & np.uint64(len(words) - 1)] & masks) == masks
        return found

    @property
    def size_bytes(self) -> int:
        return sum(words.nbytes for words in self._filters)


class IdDays:
    """The days on which ids are stored, and which of them may know an id.

    A day of an earlier process is *unread* until its ids were added: it may know every id. One thread asks
    and adds what it writes, another reads the days of before meanwhile.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._days: dict[int, DayFilter] = {}
        self._unread: set[int] = set()

    def open(self, days: Iterable[int]) -> None:
        """Take over the days that the store has."""
        with self._lock:
            self._unread.update(days)

    def unread(self) -> list[int]:
        """The days whose ids are still to be added, newest first."""
        with self._lock:
            return sorted(self._unread, reverse=True)

    def finish(self, day: int) -> None:
        """All ids of a day that was unread have been added."""
        with self._lock:
            self._unread.discard(day)

    def add(self, day: int, hashes: Sequence[bytes]) -> None:
        with self._lock:
            self._days.setdefault(day, DayFilter()).add(hashes)

    def forget(self, before: int) -> None:
        with self._lock:
            self._days = {day: ids for day, ids in self._days.items() if day >= before}
            self._unread = {day for day in self._unread if day >= before}

    def candidates(self, hashes: Sequence[bytes]) -> dict[int, list[bytes]]:
        """The ids that each day may know, newest day first; days that surely know none are left out."""
        found = {}
        with self._lock:
            if not hashes or not (self._days or self._unread):
                return {}
            places, masks = _probes(hashes)
            for day in sorted(self._days.keys() | self._unread, reverse=True):
                if day in self._unread:
                    found[day] = list(hashes)
                    continue
                numbers = np.flatnonzero(self._days[day].may_have(places, masks))
                if len(numbers):
                    found[day] = [hashes[number] for number in numbers.tolist()]
        return found


def _probes(hashes: Sequence[bytes]) -> tuple[Words, Words]:
    """(ids,) place of the word, to be cut to the filter's size, and the bits in it. Ids are hashes."""
    halves = np.frombuffer(b"".join(hashes), "<u8").reshape(-1, 2)
    masks = np.zeros(len(halves), np.uint64)
    for k in range(BITS_PER_ID):
        masks |= np.uint64(1) << ((halves[:, 1] >> np.uint64(6 * k)) & np.uint64(63))
    return halves[:, 0], masks

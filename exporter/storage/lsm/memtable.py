"""The rows of a day that came last, in the order of arrival: found by a dictionary, kept by the chunk."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from exporter.storage.lsm.records import Numbers, Records
from exporter.typing import Ints


@dataclass
class Heap:
    """What memory has of it: all.

    `places` are the numbers of an id's rows, nearly always one. `numbers` has room for more rows than there
    are; `starts` are the numbers of the first rows of what was appended together.
    """

    numbers: Numbers
    texts: list[bytes] = field(default_factory=list)
    places: dict[bytes, int | tuple[int, ...]] = field(default_factory=dict)
    starts: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    def append(self, records: Records) -> int:
        """Take further rows, in a chunk of their own; its number."""
        start, stop = len(self), len(self) + len(records)
        if stop > len(self.numbers):
            self.numbers = np.concatenate([self.numbers[:start], np.empty(stop, self.numbers.dtype)])
        self.numbers[start:stop] = records.numbers
        self.texts += records.texts
        self.starts.append(start)
        ids = records.ids
        if self.places.keys().isdisjoint(ids):  # as nearly always
            count = len(self.places)
            self.places.update(zip(ids, range(start, stop), strict=True))
            if len(self.places) == count + len(ids):
                return start
            for each in set(ids):
                del self.places[each]
        for each, place in zip(ids, range(start, stop), strict=True):
            known = self.places.get(each, ())
            self.places[each] = (*(known if isinstance(known, tuple) else (known,)), place)
        return start

    def find(self, hashes: Sequence[bytes]) -> tuple[Ints, Ints]:
        """The rows of these ids: which of them each is of, and its place."""
        which, places = list[int](), list[int]()
        for number, known in enumerate(map(self.places.get, hashes)):
            if known is None:
                continue
            several = known if isinstance(known, tuple) else (known,)
            which += [number] * len(several)
            places += several
        return np.array(which, np.int64), np.array(places, np.int64)

    def take(self, places: Ints) -> Records:
        """The rows at the given places."""
        return Records(self.numbers, self.texts).take(places)

    def all(self) -> Records:
        """All rows."""
        return Records(self.numbers[: len(self)], self.texts)

    def replace(self, places: Ints, records: Records) -> dict[int, Records]:
        """Put other rows at the given places; the chunks that they are in, by their numbers."""
        self.all().put(places, records)
        changed = sorted({bisect_right(self.starts, place) - 1 for place in places.tolist()})
        ends = [*self.starts[1:], len(self)]
        return {
            self.starts[k]: Records(
                self.numbers[self.starts[k] : ends[k]], self.texts[self.starts[k] : ends[k]]
            )
            for k in changed
        }

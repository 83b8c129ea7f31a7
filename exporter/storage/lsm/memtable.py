"""The memtable: the latest rows of a day in memory, in order of arrival.

Its copy in the store has a page for the rows of each commit, numbered by the offset of its first row.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic

import numpy as np

from exporter.storage.lsm.pages import Page
from exporter.storage.lsm.records import Numbers, RecordKind, Records, Row
from exporter.typing import Ints


@dataclass
class Memtable(Generic[Row]):
    """Rows with a dictionary of their offsets.

    `numbers` may have room for more rows than there are. `offsets` has one offset by id, or several where an
    id has several rows, which is rare. `starts` are the offsets at which the pages start.
    """

    kind: RecordKind[Row]
    numbers: Numbers = field(init=False)
    texts: list[bytes] = field(default_factory=list)
    offsets: dict[bytes, int | tuple[int, ...]] = field(default_factory=dict)
    starts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.numbers = np.empty(0, self.kind.dtype)

    @classmethod
    def load(cls, kind: RecordKind[Row], pages: Sequence[Page]) -> Memtable[Row]:
        """From the pages in the store, in ascending order."""
        memtable = cls(kind)
        memtable.put(kind.decode(page[1:] for page in pages).all())
        memtable.starts = [page[0] for page in pages]
        return memtable

    def __len__(self) -> int:
        return len(self.texts)

    def put(self, records: Records) -> Page:
        """Append rows; returns their page."""
        start, stop = len(self), len(self) + len(records)
        if stop > len(self.numbers):
            self.numbers = np.concatenate([self.numbers[:start], np.empty(stop, self.numbers.dtype)])
        self.numbers[start:stop] = records.numbers
        self.texts += records.texts
        self.starts.append(start)
        self._index(records.ids, start)
        return (start, *records.encode())

    def _index(self, ids: list[bytes], start: int) -> None:
        if self.offsets.keys().isdisjoint(ids):  # nearly always
            count = len(self.offsets)
            self.offsets.update(zip(ids, range(start, start + len(ids)), strict=True))
            if len(self.offsets) == count + len(ids):
                return
            for each in set(ids):
                del self.offsets[each]
        for offset, each in enumerate(ids, start):
            self.offsets[each] = (*self._offsets_of(each), offset)

    def _offsets_of(self, row_id: bytes) -> tuple[int, ...]:
        known = self.offsets.get(row_id, ())
        return known if isinstance(known, tuple) else (known,)

    def find(self, hashes: Sequence[bytes]) -> tuple[Ints, Ints]:
        """(rows,) positions in the query and (rows,) offsets of the rows of these ids."""
        positions, offsets = list[int](), list[int]()
        for position, known in enumerate(map(self.offsets.get, hashes)):
            if known is None:
                continue
            several = known if isinstance(known, tuple) else (known,)
            positions += [position] * len(several)
            offsets += several
        return np.array(positions, np.int64), np.array(offsets, np.int64)

    def take(self, offsets: Ints) -> Records:
        """The rows at the given offsets."""
        return Records(self.numbers, self.texts).take(offsets)

    def all(self) -> Records:
        """All rows."""
        return Records(self.numbers[: len(self)], self.texts)

    def replace(self, records: Records) -> tuple[Ints, list[Page]]:
        """Overwrite the rows that have the keys of the given ones.

        Returns:
            (found,) indices of the given rows whose keys are here, and the pages that have changed.
        """
        indices, offsets = self.find(records.ids)
        same = np.ones(len(indices), np.bool_)
        for name in set(self.kind.keys) - {"id_hash"}:
            same &= records.numbers[name][indices] == self.numbers[name][offsets]
        indices, offsets = indices[same], offsets[same]
        self.all().put(offsets, records.take(indices))
        pages = sorted({bisect_right(self.starts, offset) - 1 for offset in offsets.tolist()})
        ends = [*self.starts[1:], len(self)]
        changed = [(self.starts[k], *self._encode(self.starts[k], ends[k])) for k in pages]
        return indices, changed

    def _encode(self, start: int, end: int) -> tuple[bytes, bytes]:
        return Records(self.numbers[start:end], self.texts[start:end]).encode()

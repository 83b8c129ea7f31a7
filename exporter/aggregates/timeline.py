"""The blocks of one version by time, and their sums over windows.

binned batch -> fold -> Block -> Timeline -> sum over a window
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from exporter.aggregates.block import Block, CellCounts
from exporter.settings import Settings
from exporter.typing import Floats, Ints


@dataclass(frozen=True)
class WindowSum:
    """Sum of a window's blocks: `counts` (cells,) int64, `moments` (columns, 3)."""

    rows: int
    counts: Ints
    moments: Floats


_Item = TypeVar("_Item")


def until(now: float, blocks: dict[int, _Item]) -> dict[int, _Item]:
    """Copy of blocks by start, without blocks that begin after `now`."""
    copy = dict(blocks)  # atomic: another thread writes
    if max(copy, default=0) <= now:
        return copy
    return {start: block for start, block in copy.items() if start <= now}


class Timeline:
    """The blocks of one version: fine ones for the last day, coarse ones before.

    Keys are the blocks' starts in seconds since the epoch. Blocks are immutable; one thread writes, others
    read a `snapshot`.
    """

    def __init__(
        self,
        settings: Settings,
        fine: dict[int, Block] | None = None,
        coarse: dict[int, Block] | None = None,
    ) -> None:
        self._settings = settings
        self.fine = fine if fine is not None else {}
        self.coarse = coarse if coarse is not None else {}

    @property
    def settings(self) -> Settings:
        return self._settings

    def snapshot(self, now: float) -> Timeline:
        """Copy of the blocks that begin up to `now`; later writes do not change it.

        Blocks that begin later were counted before the clock was set back.
        """
        return Timeline(self._settings, until(now, self.fine), until(now, self.coarse))

    def horizon(self, now: float) -> int:
        """Start of the oldest fine block; earlier rows are in coarse blocks."""
        coarse = self._settings.coarse_seconds
        return int((now - self._settings.fine_retention_seconds) // coarse + 1) * coarse

    def block_starts(self, timestamps: Floats, now: float) -> Ints:
        """(rows,) start of the block of each time, a coarse one before the horizon."""
        fine, coarse = self._settings.block_seconds, self._settings.coarse_seconds
        starts = np.floor_divide(timestamps, fine).astype(np.int64) * fine
        old = starts < self.horizon(now)
        if old.any():
            starts[old] = starts[old] // coarse * coarse
        return starts

    def blocks(self) -> Iterator[tuple[int, int, Block]]:
        """Yield (start, length in seconds, block) of all blocks."""
        settings = self._settings
        for blocks, length in ((self.fine, settings.block_seconds), (self.coarse, settings.coarse_seconds)):
            for start, block in blocks.items():
                yield start, length, block

    def oldest(self) -> float:
        """Start of the oldest block, infinity without any."""
        return min((*self.fine, *self.coarse), default=float("inf"))

    def sum(self, cells: int, columns: int, start: float, end: float) -> WindowSum:
        """Sum of the whole blocks of a window; adjacent windows are disjoint.

        A block that contains `start` is included, one that contains `end` is not; for a window up to now,
        `end` is infinity.
        """
        fine, coarse = self._settings.block_seconds, self._settings.coarse_seconds
        blocks = [block for s, block in self.fine.items() if start < s + fine <= end]
        blocks += [block for s, block in self.coarse.items() if start < s + coarse <= end]
        if not blocks:
            return WindowSum(0, np.zeros(cells, np.int64), np.zeros((columns, 3)))
        return WindowSum(
            rows=sum(block.rows for block in blocks),
            counts=np.sum([block.counts for block in blocks], axis=0, dtype=np.int64),
            moments=np.sum([block.moments for block in blocks], axis=0),
        )

    def fine_counts(self, start: float, end: float) -> tuple[Ints, CellCounts]:
        """Fine blocks of a window in order of time: starts (blocks,) and counts (blocks, cells)."""
        length = self._settings.block_seconds
        starts = sorted(s for s in self.fine if start < s + length <= end)
        if not starts:
            return np.empty(0, np.int64), np.empty((0, 0), np.uint32)
        return np.array(starts, np.int64), np.stack([self.fine[s].counts for s in starts])

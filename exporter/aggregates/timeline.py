"""The blocks of one version by time, and their sums over windows.

binned batch -> fold -> Block -> Timeline -> sum over a window
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from exporter.aggregates.block import Block, CellCounts
from exporter.settings import Settings
from exporter.typing import Floats, Ints


@dataclass(frozen=True)
class WindowSum:
    """The sum of the blocks of a window: `counts` (cells,) int64, `moments` (columns, 3)."""

    rows: int
    counts: Ints
    moments: Floats


_Item = TypeVar("_Item")


def until(now: float, blocks: dict[int, _Item]) -> dict[int, _Item]:
    """Copy of the blocks, by their start, without those that begin after `now`."""
    copy = dict(blocks)  # in one step: another thread writes
    if max(copy, default=0) <= now:
        return copy
    return {start: block for start, block in copy.items() if start <= now}


class Timeline:
    """The blocks of one version: fine ones for the last day, coarse ones before.

    A block is named by its start in seconds since the epoch. Blocks are immutable; one thread writes,
    others read a `snapshot`.
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
        """Copy of the blocks up to `now`, which later writes do not change.

        Blocks that begin later were counted before the clock was put back.
        """
        return Timeline(self._settings, until(now, self.fine), until(now, self.coarse))

    def horizon(self, now: float) -> int:
        """Start of the oldest fine block; everything before it lies in coarse blocks."""
        coarse = self._settings.coarse_seconds
        return int((now - self._settings.fine_retention_seconds) // coarse + 1) * coarse

    def block_starts(self, timestamps: Floats, now: float) -> Ints:
        """(rows,) start of the block that each time falls into; fine or coarse follows from the horizon."""
        fine, coarse = self._settings.block_seconds, self._settings.coarse_seconds
        starts = np.floor_divide(timestamps, fine).astype(np.int64) * fine
        old = starts < self.horizon(now)
        if old.any():
            starts[old] = starts[old] // coarse * coarse
        return starts

    def oldest(self) -> float:
        """Start of the oldest block, infinity without any."""
        return min((*self.fine, *self.coarse), default=float("inf"))

    def sum(self, cells: int, columns: int, start: float, end: float) -> WindowSum:
        """Sum of the blocks of a window; it holds whole blocks, so that adjacent windows are disjoint.

        A block that straddles `start` is in, one that straddles `end` is not; for a window up to now let
        `end` be infinity.
        """
        blocks = self._between(start, end)
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

    def _between(self, start: float, end: float) -> list[Block]:
        fine, coarse = self._settings.block_seconds, self._settings.coarse_seconds
        chosen = [block for s, block in self.fine.items() if start < s + fine <= end]
        chosen += [block for s, block in self.coarse.items() if start < s + coarse <= end]
        return chosen

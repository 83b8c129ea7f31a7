"""Bottom-k selection: of a block's rows the ones with the lowest priorities.

A priority is a 64-bit hash of a row's identity, so that whether a row is chosen depends on nothing but the
other rows of the block: not on the order in which they come, nor on how often one is sent. Below the
threshold, the lowest priority that was dropped, every row is there: the sample is one at a known rate.

Source: Cohen and Kaplan, Summarizing Data using Bottom-k Sketches, PODC 2007.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.storage.lsm.records import Records
from exporter.typing import Ints

ANY = int(np.iinfo(np.int64).max)  # threshold of a block from which no row was dropped
NONE = -ANY - 1  # below all priorities


@dataclass(frozen=True)
class BottomK:
    """Chosen rows of a block: their `priorities` (rows,), ascending and distinct, all below `threshold`."""

    priorities: Ints
    threshold: int = ANY

    @property
    def highest(self) -> int:
        """Highest priority that is stored of it: its threshold, else that of its last row."""
        if self.threshold != ANY:
            return self.threshold
        return int(self.priorities[-1]) if len(self.priorities) else NONE

    def admit(self, priorities: Ints, limit: int) -> tuple[BottomK, Ints]:
        """Choose among these rows and further ones.

        Args:
            priorities: (further rows,) below the threshold; equal ones are of one row.
            limit: most rows.

        Returns:
            The block with them, and the places of the chosen ones among the further rows.
        """
        distinct, places = np.unique(priorities, return_index=True)
        new = ~np.isin(distinct, self.priorities)
        distinct, places = distinct[new], places[new]
        every = np.sort(np.concatenate([self.priorities, distinct]))
        threshold = int(every[limit]) if len(every) > limit else self.threshold
        return BottomK(every[:limit], threshold), places[distinct < threshold]


def priorities_of(records: Records | None, rows: int, random: np.random.Generator) -> Ints:
    """(rows,) priority of each row: a hash of its id and its content, or a random number without an id.

    The content counts, or an id of which many rows come would fill the sample, or empty it.

    Args:
        records: (rows,) with `id_hash`, zeros where there is no id, and `payload`; None if no row has an id.
        rows: their number.
        random: source of the random numbers.
    """
    if records is None:
        return random.integers(NONE, ANY, rows, np.int64)
    halves = records.halves.view(np.int64)
    priorities: Ints = halves[:, 0] ^ records.numbers["payload"]
    nameless = np.flatnonzero((halves[:, 0] == 0) & (halves[:, 1] == 0))
    if len(nameless):
        priorities[nameless] = random.integers(NONE, ANY, len(nameless), np.int64)
    return priorities

"""Sums over cells of equal time, from their running totals."""

from __future__ import annotations

import numpy as np

from exporter.typing import Bools, Floats, Ints


def cumulative(cells: Bools | Floats) -> Floats:
    """(n + 1,) running totals of (n,) cells, from 0 on."""
    return np.concatenate([[0.0], np.cumsum(cells)])


def count_within(totals: Floats, places: Ints, length: int) -> Floats:
    """Sums of the `length` cells from each place on, of which those outside count as nothing."""
    highest = len(totals) - 1
    return np.asarray(totals[np.clip(places + length, 0, highest)] - totals[np.clip(places, 0, highest)])

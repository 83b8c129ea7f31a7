"""Counts for the tests of the measures."""

from __future__ import annotations

import numpy as np

from exporter.measures.layout import CellLayout
from exporter.typing import Bools, Floats


def every(counts: Floats) -> Bools:
    """A mask for counts of columns that all have as many bins."""
    return np.ones(counts.shape[-2:] if counts.ndim > 1 else counts.shape, np.bool_)


def layout_of(kinds: list[str], bins: int) -> CellLayout:
    """Columns with as many bins each, and their missing and mismatch cells."""
    return CellLayout.of(np.arange(len(kinds) + 1) * (bins + 2), kinds)


def columns(*cells: list[float]) -> Floats:
    """One flat vector of several columns' cells."""
    return np.concatenate([np.array(column, np.float64) for column in cells])


def binning_error(positives: Floats, negatives: Floats) -> float:
    """Bound of the difference between the exact area under the ROC curve and that of a histogram.

    It is reached if all pairs within a bin are ordered correctly, or none. NaN without rows of both classes.
    """
    pairs = positives.sum() * negatives.sum()
    return float((positives * negatives).sum() / 2 / pairs) if pairs > 0 else float("nan")

"""Counts of labelled rows, plain or weighted, from which the figures of classification are computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.aggregates.outcome_layout import OutcomeLayout
from exporter.aggregates.outcomes import Tally
from exporter.typing import Floats, Ints


@dataclass(frozen=True)
class Tables:
    """Sums of the rows' weights, and of the squared weights, from which effective rows follow.

    `confusion` (classes + 1, classes + 1) and `histogram` (2, 2, bins) are as in the layout. `plain` is True
    if all weights are 1. With more than two classes a weighted histogram is unknown, and all NaN.
    """

    confusion: Floats
    confusion_squares: Floats
    histogram: Floats
    histogram_squares: Floats
    plain: bool = True


def plain_tables(found: Tally) -> Tables:
    """Counts of a tally with weights of 1."""
    confusion, histogram = found.confusion.astype(np.float64), found.histogram.astype(np.float64)
    return Tables(confusion, confusion, histogram, histogram)


def binary_tables(layout: OutcomeLayout, found: Tally, weights: Floats) -> Tables:
    """Counts of a binary tally with weights by label, prediction and score.

    Args:
        layout: of the tally.
        found: the tally.
        weights: broadcastable to (2, 2, bins + 1); the last is for rows without a score.
    """
    quarter = _side(layout)
    unscored = _quarters(found.confusion, quarter) - found.histogram.sum(axis=2)
    rows = np.concatenate([found.histogram, np.maximum(unscored, 0)[:, :, None]], axis=2)
    once, twice = rows * weights, rows * weights**2
    total = np.maximum(rows.sum(axis=2), 1)

    def spread(table: Floats) -> Floats:
        mean = table.sum(axis=2) / total  # mean weight by label and prediction
        spread_out: Floats = found.confusion * mean[quarter[:, None], quarter]
        return spread_out

    return Tables(spread(once), spread(twice), once[:, :, :-1], twice[:, :, :-1], plain=False)


def class_tables(found: Tally, weights: Floats) -> Tables:
    """Counts of a tally with weights (classes + 1,) by predicted class."""
    unknown = np.full(found.histogram.shape, np.nan)
    return Tables(found.confusion * weights, found.confusion * weights**2, unknown, unknown, plain=False)


def _side(layout: OutcomeLayout) -> Ints:
    """(classes + 1,) 1 for the positive class, 0 for all others."""
    side: Ints = (np.arange(layout.sides) == layout.positive).astype(np.int64)
    return side


def _quarters(confusion: Floats | Ints, side: Ints) -> Floats:
    """(2, 2) counts by label and prediction being positive, from (classes, classes)."""
    table: Floats = np.zeros((2, 2))
    np.add.at(table, (side[:, None], side), confusion)
    return table

"""Counts of labelled rows, plain or weighted, from which the figures of classification are computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.aggregates.outcome_layout import OutcomeLayout
from exporter.aggregates.outcomes import Tally
from exporter.typing import Floats, Ints


@dataclass(frozen=True)
class Tables:
    """Counts of a tally, each row by its weight, and by its weight's square: what rows are worth.

    `confusion` (classes + 1, classes + 1) and `histogram` (2, 2, bins) as in the layout. `plain`: every
    weight is 1. Of several classes a weighted histogram is not known: it is all NaN.
    """

    confusion: Floats
    confusion_squares: Floats
    histogram: Floats
    histogram_squares: Floats
    plain: bool = True


def plain_tables(found: Tally) -> Tables:
    """Every row counts as one."""
    confusion, histogram = found.confusion.astype(np.float64), found.histogram.astype(np.float64)
    return Tables(confusion, confusion, histogram, histogram)


def binary_tables(layout: OutcomeLayout, found: Tally, weights: Floats) -> Tables:
    """Rows by weights that depend on label, prediction and score.

    Args:
        layout: of the tally, binary.
        found: the tally.
        weights: (2, 2, bins + 1), the last one of rows without a score; or what broadcasts to it.
    """
    quarter = _side(layout)
    unscored = _quarters(found.confusion, quarter) - found.histogram.sum(axis=2)
    rows = np.concatenate([found.histogram, np.maximum(unscored, 0)[:, :, None]], axis=2)
    once, twice = rows * weights, rows * weights**2
    total = np.maximum(rows.sum(axis=2), 1)

    def spread(table: Floats) -> Floats:
        mean = table.sum(axis=2) / total  # of a row, by label and prediction
        spread_out: Floats = found.confusion * mean[quarter[:, None], quarter]
        return spread_out

    return Tables(spread(once), spread(twice), once[:, :, :-1], twice[:, :, :-1], plain=False)


def class_tables(found: Tally, weights: Floats) -> Tables:
    """Rows by weights (classes + 1,) of the predicted class."""
    unknown = np.full(found.histogram.shape, np.nan)
    return Tables(found.confusion * weights, found.confusion * weights**2, unknown, unknown, plain=False)


def _side(layout: OutcomeLayout) -> Ints:
    """(classes + 1,) 1 for the positive class, 0 for all others."""
    side: Ints = (np.arange(layout.sides) == layout.positive).astype(np.int64)
    return side


def _quarters(confusion: Floats | Ints, side: Ints) -> Floats:
    """(classes, classes) -> (2, 2): label positive, prediction positive."""
    table: Floats = np.zeros((2, 2))
    np.add.at(table, (side[:, None], side), confusion)
    return table

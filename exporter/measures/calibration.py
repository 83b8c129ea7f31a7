"""Quality of scores as probabilities: log loss and Brier score row by row, calibration from the histogram."""

from __future__ import annotations

import numpy as np

from exporter.typing import Floats, Ints

# Probabilities are clipped as in scikit-learn: one wrong certainty would make the loss infinite.
EPSILON = float(np.finfo(np.float64).eps)
GROUPS = 10


def log_loss_terms(probability: Floats) -> Floats:
    """(rows,) log loss of each row: -ln of the probability given to the true class."""
    return -np.log(np.clip(probability, EPSILON, 1 - EPSILON))


def brier_terms(probability: Floats, came_true: Floats) -> Floats:
    """(rows,) Brier score of each row: squared distance of its probabilities from the outcome (Brier 1950).

    Args:
        probability: (rows,) of the positive class, which gives 0 to 1; or (rows, classes), which gives the
            sum over the classes, 0 to 2.
        came_true: 1 for the true class and 0 for others, in the same shape.
    """
    distance = (probability - came_true) ** 2
    return distance if distance.ndim == 1 else distance.sum(axis=1)


def equal_groups(rows: Floats) -> Ints:
    """(bins,) group of each bin: ten groups of adjacent bins, with about equal numbers of rows.

    Groups of equal width would put nearly all scores of a model of rare events into one group. A bin with
    more than a tenth of the rows makes its group larger than the others.
    """
    total = rows.sum()
    middle = (np.cumsum(rows) - rows / 2) / total if total > 0 else np.zeros(len(rows))
    return np.minimum((middle * GROUPS).astype(np.int64), GROUPS - 1)


def sum_groups(groups: Ints, values: Floats) -> Floats:
    """(groups,) sums of (bins,) values."""
    return np.bincount(groups, values).astype(np.float64)


def calibration_error(positives: Floats, rows: Floats, scores: Floats) -> Floats:
    """Expected calibration error: mean distance of the share of positives from the mean score.

        sum over groups of n_g / n |positives_g / n_g - scores_g / n_g|     (Naeini et al. 2015)

    Args:
        positives: (..., groups) rows of the positive class.
        rows: (..., groups) all rows.
        scores: (..., groups) sums of the scores.

    >>> float(calibration_error(np.array([1.0, 8]), np.array([10.0, 10]), np.array([2.0, 7])))
    0.1
    """
    total = np.asarray(rows.sum(-1), np.float64)
    gaps = np.abs(positives - scores).sum(-1)
    error: Floats = np.divide(gaps, total, out=np.full(total.shape, np.nan), where=total > 0)
    return error

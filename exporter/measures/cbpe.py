"""Quality without labels, from calibrated scores (confidence-based performance estimation, CBPE).

The share of positives at each score is learned from the reference, whose labels are known. In a window
without labels, each prediction then counts as that share of a positive row: expected true positives are the
sum of the shares over the rows predicted positive, and so on for every figure that follows from confusion
counts or from the order of scores (as in NannyML).

The estimate reacts to covariate shift that the scores show, such as more rows for which the model is unsure.
It cannot detect concept drift, where the relation between inputs and labels changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import isotonic_regression

from exporter.measures.ranking import roc_auc
from exporter.typing import Floats, Ints

MIN_REFERENCE_ROWS = 1000
MIN_BIN_ROWS = 30
RAKE_SWEEPS = 50
ESTIMATED_METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc")
_DRAWS = 200
_SEED = 0


@dataclass(frozen=True)
class Calibration:
    """Share of positives by score, learned from the reference.

    `shares` (bins,) of positives by score bin. `drawn_shares` (draws, bins) are the same for bootstrap
    samples. `figures` and `drawn_figures` (draws,) by metric: the quality of the reference and of the
    samples.
    """

    shares: Floats
    drawn_shares: Floats
    figures: dict[str, float]
    drawn_figures: dict[str, Floats]


@dataclass(frozen=True)
class Estimate:
    """A figure estimated without labels, and its standard error.

    `shortfall_error` is the standard error of its difference to the reference's own figure. The two are not
    independent: the calibration comes from the same rows as the reference's figure.
    """

    value: float
    error: float
    shortfall_error: float


def calibrate(histogram: Floats) -> Calibration | None:
    """Learn the share of positives at each score from the reference.

    Adjacent bins are grouped until each group has 30 rows. Shares are then made to rise with the score by
    isotonic regression, weighted by rows.

    Args:
        histogram: (2, 2, bins) rows of the reference by label, prediction (0 negative, 1 positive) and rising
            score; weighted where the true prevalence is another one than the reference's.

    Returns:
        The calibration; None with fewer than 1,000 rows, or with rows of one class only.
    """
    by_label = histogram.sum(axis=1)
    rows = by_label.sum(axis=0)
    if rows.sum() < MIN_REFERENCE_ROWS or not by_label.sum(axis=1).all():
        return None
    groups = _group(rows)
    generator = np.random.default_rng(_SEED)
    drawn = generator.poisson(histogram, (_DRAWS, *histogram.shape)).astype(np.float64)
    figures = _figures(histogram[1], histogram[0])
    drawn_figures = _figures(drawn[:, 1], drawn[:, 0])
    return Calibration(
        shares=_learn(histogram, groups),
        drawn_shares=np.stack([_learn(sample, groups) for sample in drawn]),
        figures={name: float(figure) for name, figure in figures.items()},
        drawn_figures=drawn_figures,
    )


def estimate(calibration: Calibration, rows: Floats, effect: float = 1.0) -> dict[str, Estimate]:
    """Expected quality of rows whose labels are not known.

    The standard errors include both sources of chance: the calibration comes from a sample, and the number of
    positives among rows with a given share of positives is random.

    Args:
        calibration: of the reference.
        rows: (2, bins) rows by prediction and score.
        effect: rows per independent row, at least 1.

    Returns:
        By `ESTIMATED_METRICS`; NaN where a figure has no rows to be a share of.
    """
    expected = expect(calibration, rows)
    shares = calibration.drawn_shares[:, None, :]
    drawn = rows * shares
    drawn += _noise(rows.shape[1]) * np.sqrt(effect * drawn * (1 - shares))
    np.clip(drawn, 0.0, rows, out=drawn)
    figures = _figures(drawn, rows - drawn)
    return {
        name: Estimate(
            value=float(expected[name]),
            error=_deviation(figures[name]),
            shortfall_error=_deviation(calibration.drawn_figures[name] - figures[name]),
        )
        for name in ESTIMATED_METRICS
    }


def expect(calibration: Calibration, rows: Floats) -> dict[str, Floats]:
    """Expected quality by `ESTIMATED_METRICS`, (...) from (..., 2, bins) rows by prediction and score."""
    return _figures(rows * calibration.shares, rows * (1 - calibration.shares))


@lru_cache(maxsize=8)
def _noise(bins: int) -> Floats:
    """(draws, 2, bins) standard normal draws, the same for every window, so that bands are stable."""
    return np.random.default_rng(_SEED).standard_normal((_DRAWS, 2, bins))


def _figures(positives: Floats, negatives: Floats) -> dict[str, Floats]:
    """Figures (...) by metric from (..., 2, bins) rows of each class by prediction and score."""
    true_positives, false_negatives = positives[..., 1, :].sum(-1), positives[..., 0, :].sum(-1)
    false_positives, true_negatives = negatives[..., 1, :].sum(-1), negatives[..., 0, :].sum(-1)
    right, wrong = true_positives + true_negatives, false_positives + false_negatives
    return {
        "accuracy": _ratio(right, right + wrong),
        "precision": _ratio(true_positives, true_positives + false_positives),
        "recall": _ratio(true_positives, true_positives + false_negatives),
        "f1": _ratio(2 * true_positives, 2 * true_positives + wrong),
        "roc_auc": roc_auc(positives.sum(-2), negatives.sum(-2)),
    }


def _deviation(draws: Floats) -> float:
    known = draws[np.isfinite(draws)]  # a draw without any positive has no recall
    return float(known.std()) if len(known) > 1 else float("nan")


def _ratio(over: Floats, under: Floats) -> Floats:
    ratio: Floats = np.divide(over, under, out=np.full(np.shape(under), np.nan), where=np.asarray(under) > 0)
    return ratio


def _group(rows: Floats) -> Ints:
    """(bins,) group of each bin; a group ends once it has 30 rows."""
    groups = np.zeros(len(rows), np.int64)
    group, gathered = 0, 0.0
    rest = float(rows.sum())
    for place, count in enumerate(rows.tolist()):
        if gathered >= MIN_BIN_ROWS and rest >= MIN_BIN_ROWS:
            group, gathered = group + 1, 0.0
        groups[place] = group
        gathered += count
        rest -= count
    return groups


def _learn(histogram: Floats, groups: Ints) -> Floats:
    """(bins,) share of positives, non-decreasing."""
    by_label = histogram.sum(axis=1)
    positives = np.bincount(groups, by_label[1])
    rows = np.bincount(groups, by_label.sum(axis=0))
    share = np.divide(positives, rows, out=np.zeros(len(rows)), where=rows > 0)
    # A drawn sample may have no row in a group, whose share is then that of its neighbours.
    rising = isotonic_regression(share, weights=np.maximum(rows, 1e-9)).x
    shares: Floats = rising[groups]
    return shares


def spread(cells: Floats, reference: Floats, cell_of_bin: Ints) -> Floats:
    """(2, bins) rows by prediction and fine score bin, from rows by coarse cell of the score.

    Within a cell, rows are distributed over the bins as the reference's are.

    Args:
        cells: (2, cells) rows by prediction and coarse cell.
        reference: (2, bins) rows of the reference by prediction and fine bin.
        cell_of_bin: (bins,) the cell that each bin lies in.
    """
    own = sum_by_cell(reference, cell_of_bin, cells.shape[1])
    # Where the reference has no row of this prediction, rows are distributed evenly.
    prior = np.where(own[:, cell_of_bin] > 0, reference, 1.0)
    whole = sum_by_cell(prior, cell_of_bin, cells.shape[1])
    return cells[:, cell_of_bin] * prior / whole[:, cell_of_bin]


def sum_by_cell(rows: Floats, cell_of_bin: Ints, cells: int) -> Floats:
    """(2, cells) sums of (2, bins) rows over the bins of each cell."""
    return np.stack([np.bincount(cell_of_bin, side, minlength=cells) for side in rows]).astype(np.float64)


def rake(table: Floats, rows: Floats, columns: Floats) -> Floats:
    """Scale a table to given row and column sums.

    This is iterative proportional fitting (Deming and Stephan 1940).

    Args:
        table: (rows, columns) counts; cells of 0 stay 0.
        rows, columns: the sums to reach.

    Returns:
        (rows, columns) with the given column sums, and with the given row sums where that is possible. Each
        sweep shrinks their error (as Hilbert's distance) to at most ((w - 1) / (w + 1))^2 of it, where w^2 is
        the table's largest odds ratio (Franklin and Lorenz 1989).
    """
    fitted = table.astype(np.float64)
    for _ in range(RAKE_SWEEPS):
        fitted *= _ratio_or_zero(rows, fitted.sum(axis=1))[:, None]
        fitted *= _ratio_or_zero(columns, fitted.sum(axis=0))
    return fitted


def _ratio_or_zero(over: Floats, under: Floats) -> Floats:
    return np.divide(over, under, out=np.zeros(np.shape(under)), where=under > 0)

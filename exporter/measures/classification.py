"""Quality of predicted classes from confusion counts.

A confusion matrix is (classes, classes): rows are labels, columns predictions. Counts may be weighted. A
share of no rows is NaN, where scikit-learn warns and returns 0.
"""

from __future__ import annotations

import numpy as np

from exporter.typing import Bools, Floats


def accuracy(confusion: Floats) -> float:
    """Share of the rows whose prediction is the label.

    >>> accuracy(np.array([[50.0, 10], [5, 35]]))
    0.85
    """
    return float(_share(np.trace(confusion), confusion.sum()))


def precision(confusion: Floats) -> Floats:
    """(classes,) share of the rows predicted as a class whose label is that class.

    >>> precision(np.array([[50.0, 10], [5, 35]])).round(4)
    array([0.9091, 0.7778])
    """
    return _share(np.diagonal(confusion), confusion.sum(axis=0))


def recall(confusion: Floats) -> Floats:
    """(classes,) share of the rows with a label that are predicted as its class.

    >>> recall(np.array([[50.0, 10], [5, 35]])).round(4)
    array([0.8333, 0.875 ])
    """
    return _share(np.diagonal(confusion), confusion.sum(axis=1))


def f1(confusion: Floats) -> Floats:
    """(classes,) harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN).

    NaN only for a class that is neither label nor prediction of any row.

    >>> f1(np.array([[50.0, 10], [5, 35]])).round(4)
    array([0.8696, 0.8235])
    """
    return _share(2 * np.diagonal(confusion), confusion.sum(axis=0) + confusion.sum(axis=1))


def occurring(confusion: Floats) -> Bools:
    """(classes,) True for classes that are label or prediction of any row; macro averages are over these."""
    there: Bools = (confusion.sum(axis=0) + confusion.sum(axis=1)) > 0
    return there


def macro(by_class: Floats, classes: Bools) -> float:
    """Unweighted mean over `classes`; as in scikit-learn, an undefined share counts as 0.

    >>> confusion = np.array([[50.0, 10, 0], [5, 35, 0], [2, 0, 0]])
    >>> round(macro(precision(confusion), occurring(confusion)), 4)
    0.5517
    """
    return float(np.nan_to_num(by_class[classes]).mean()) if classes.any() else float("nan")


def macro_f1_variance(confusion: Floats, squares: Floats, classes: Bools) -> float:
    """Variance of the macro F1 by the delta method (Takahashi et al. 2022).

    Each F1 is a ratio of counts, d F1_k / d c_ij = (2 [i = j = k] - F1_k ([i = k] + [j = k])) / (R_k + P_k)
    with R_k and P_k the sums of row and column k. Counts are multinomial and a ratio is invariant to scale,
    so the variance is the sum over cells of the squared gradient times the count.

    Args:
        confusion: (classes, classes) sums of the rows' weights.
        squares: sums of the weights' squares; the confusion itself where all weights are 1.
        classes: (classes,) True for the classes that the mean is over.
    """
    if not classes.any():
        return float("nan")
    margins = confusion.sum(axis=0) + confusion.sum(axis=1)
    inverse = np.divide(1.0, margins, out=np.zeros_like(margins), where=classes & (margins > 0))
    pull = np.nan_to_num(f1(confusion)) * inverse
    gradient = np.diag(2 * inverse) - pull[:, None] - pull[None, :]
    return float((squares * gradient**2).sum()) / int(classes.sum()) ** 2


def _share(hits: Floats, rows: Floats) -> Floats:
    hits, rows = np.asarray(hits, np.float64), np.asarray(rows, np.float64)
    share: Floats = np.divide(hits, rows, out=np.full(rows.shape, np.nan), where=rows > 0)
    return share

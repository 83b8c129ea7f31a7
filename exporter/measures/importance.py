"""Drift weighted by importance, and drift of what a model's answers depend on.

An importance is a column's share of the weights that somebody gave the features, or of the mean changes of
the score when one column is permuted (Breiman, "Random Forests", 2001, here without labels). Shares are
compared rather than ranks: a model that leans less on its best column keeps it in the first place.
"""

from __future__ import annotations

import numpy as np

from exporter.measures.distances import total_variation
from exporter.typing import Floats

# Share of the importance that has to lie in columns whose drift is known.
MIN_KNOWN_SHARE = 0.5


def importance_shares(weights: Floats) -> Floats:
    """Weights (columns,) divided by their sum; NaN without any above 0. Columns without a weight are NaN.

    >>> importance_shares(np.array([3.0, 1.0, 0.0]))
    array([0.75, 0.25, 0.  ])
    """
    total = np.nansum(weights)
    return weights / total if total > 0 else np.full(len(weights), np.nan)


def excess_drift(score: Floats, limit: Floats) -> Floats:
    """Part of a drift score that lies beyond its limit, 0 to 1: max(0, 1 - limit / score).

    It is 0 up to the limit, 1/2 at twice the limit, 2/3 at three times, where drift is gross, and comparable
    between columns whose limits differ. NaN where score or limit is.

    >>> excess_drift(np.array([0.1, 0.4, 0.6]), np.full(3, 0.2)).round(3)
    array([0.   , 0.5  , 0.667])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        beyond: Floats = np.where(score > limit, 1 - limit / score, 0.0)
    return np.where(np.isfinite(limit) & ~np.isnan(score), beyond, np.nan)


def drift_importance(shares: Floats, excess: Floats) -> float:
    """Sum of share times excess drift over the columns, 0 to 1.

    Columns without an excess are left out, and the shares of the others made to sum to 1; NaN where they hold
    less than half of the importance.

    >>> round(drift_importance(np.array([0.8, 0.2]), np.array([0.5, 0.0])), 6)
    0.4
    """
    share = np.where(np.isfinite(excess), np.nan_to_num(shares), 0.0)
    known = float(share.sum())
    if known < MIN_KNOWN_SHARE:
        return float("nan")
    return float((share * np.nan_to_num(excess)).sum() / known)


def attribution_drift(live: Floats, reference: Floats) -> float:
    """Total variation distance of attribution shares (columns,), 0 to 1.

    It is the part of the model's attention that moved to other columns.

    >>> round(attribution_drift(np.array([0.5, 0.3, 0.2]), np.array([0.7, 0.2, 0.1])), 6)
    0.2
    """
    return float(total_variation(live, reference))

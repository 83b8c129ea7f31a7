"""Importance of a version's columns, and the drift that is weighted by it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from exporter.evaluation.comparison import MIN_SIGNIFICANCE, UNDECIDED
from exporter.evaluation.drift import Evaluation
from exporter.formats.texts import listed
from exporter.measures.importance import drift_importance, excess_drift, importance_shares
from exporter.reference.bins import BinLayout
from exporter.typing import Floats

ImportanceSource = Literal["tag", "config", "run_artifact", "permutation"]
MAX_NAMED = 10  # columns in a note


@dataclass(frozen=True)
class Importance:
    """Shares of the features in a model's answers, which sum to 1, by column in falling order.

    `notes` are remarks for users, such as names that are no columns.
    """

    shares: Mapping[str, float]
    source: ImportanceSource
    notes: tuple[str, ...] = ()

    def of_columns(self, layout: BinLayout) -> Floats:
        """(columns,) share of each feature; NaN for columns that have none or are no features."""
        return np.array(
            [
                self.shares.get(column.name, np.nan) if column.role == "feature" else np.nan
                for column in layout.columns
            ]
        )


@dataclass(frozen=True)
class AttributionDrift:
    """Distance of the attribution shares of sampled live rows from the reference's, measured at `at`."""

    at: float
    value: float
    rows: int
    shares: Mapping[str, float]


def make_importance(
    weights: Mapping[str, float], layout: BinLayout, source: ImportanceSource
) -> Importance | None:
    """Importance of a reference's features; None if no feature has a weight above 0.

    Features without a weight get 0, and names that are no features are left out, both with a note.
    """
    features = [column.name for column in layout.columns if column.role == "feature"]
    shares = importance_shares(np.array([weights.get(name, 0.0) for name in features]))
    if not np.isfinite(shares).all():
        return None
    notes = []
    unknown, silent = sorted(weights.keys() - set(features)), sorted(set(features) - weights.keys())
    if unknown:
        names = listed([*map(repr, unknown)], MAX_NAMED)
        notes.append(f"importance names {names}, which the reference has no feature of")
    if silent:
        names = listed([*map(repr, silent)], MAX_NAMED)
        notes.append(f"importance says nothing of {names}, which count as 0")
    by_share = sorted(zip(features, shares.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
    return Importance(dict(by_share), source, tuple(notes))


def weigh_drift(importance: Importance, evaluation: Evaluation) -> dict[str, float]:
    """Drift importance by window, of the columns with a verdict, or with significant drift that the window
    before cannot confirm; windows where it is unknown are left out.
    """
    shares = importance.of_columns(evaluation.reference)
    found = {}
    for window in evaluation.windows:
        excess = excess_drift(window.drift_score, window.drift_limit)
        known = (window.verdict != UNDECIDED) | (window.drift_significance > MIN_SIGNIFICANCE)
        value = drift_importance(shares, np.where(known, excess, np.nan))
        if np.isfinite(value):
            found[window.window.name] = value
    return found

"""Change detectors of textbooks and of river, on a figure that a daily job takes of each day.

A detector sees standard scores: the figures of a past, by whose mean and deviation they are standardized, and
then those of the days that count. What is tuned to streams of single values is set to days: ADWIN looks at
every day and not at every 32nd, KSWIN compares ten days with ten of the sixty before them.

- ADWIN: Bifet and Gavalda (2007), Learning from time-changing data with adaptive windowing.
- Page-Hinkley: Page (1954), Continuous inspection schemes.
- KSWIN: Raab, Heusinger and Schleif (2020), Reactive soft prototype computing for concept drift streams.
- CUSUM: the same Page, as in Montgomery (2013), Introduction to statistical quality control, 9.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from river.drift import ADWIN, KSWIN, PageHinkley

from exporter.reference.bins import Column
from exporter.reference.profile import Reference
from exporter.typing import Bools, Floats, Ints

PAST_DAYS = 60
KSWIN_DAYS = 10
CUSUM_ALLOWANCE = 0.5  # sd: half of the shift that it is best at


class Detector(Protocol):
    """A detector of river's kind."""

    drift_detected: bool

    def update(self, x: float) -> object: ...


class Cusum:
    """Tabular two-sided CUSUM of standard scores, which starts anew after an alarm at `limit`.

    >>> chart = Cusum(4.0)
    >>> [chart.update(score).drift_detected for score in (0.0, 3.0, 3.0, 0.0)]
    [False, False, True, False]
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.above = self.below = 0.0
        self.drift_detected = False

    def update(self, x: float) -> Cusum:
        if self.drift_detected:
            self.above = self.below = 0.0
        self.above = max(0.0, self.above + x - CUSUM_ALLOWANCE)
        self.below = max(0.0, self.below - x - CUSUM_ALLOWANCE)
        self.drift_detected = max(self.above, self.below) > self.limit
        return self


def _adwin(delta: float) -> Callable[[], Detector]:
    return lambda: ADWIN(delta=delta, clock=1, min_window_length=1)


def _page_hinkley(threshold: float) -> Callable[[], Detector]:
    return lambda: PageHinkley(threshold=threshold)


def _kswin(alpha: float) -> Callable[[], Detector]:
    return lambda: KSWIN(alpha=alpha, window_size=PAST_DAYS, stat_size=KSWIN_DAYS, seed=1)


def _cusum(limit: float) -> Callable[[], Detector]:
    return lambda: Cusum(limit)


# The one in the middle is river's own, or that of textbooks.
DETECTORS: Mapping[str, Callable[[], Detector]] = {
    **{f"ADWIN, delta {delta:g}": _adwin(delta) for delta in (0.05, 0.002, 0.0001)},
    **{f"Page-Hinkley, threshold {limit:g}": _page_hinkley(limit) for limit in (20, 50, 100)},
    **{f"KSWIN, alpha {alpha:g}": _kswin(alpha) for alpha in (0.05, 0.005, 0.0005)},
    **{f"CUSUM, limit {limit:g}": _cusum(limit) for limit in (4, 5, 10)},
}


def daily_means(reference: Reference, days: Ints) -> tuple[list[str], Floats]:
    """Numeric columns, and (days, columns) the mean of each day; a value counts as the middle of its bin.

    Args:
        reference: of the model.
        days: (days, cells) rows.
    """
    names, means = [], []
    for column, start in zip(reference.columns, reference.offsets, strict=False):
        if column.numeric and not column.unjudged:
            counts = days[:, start : start + column.bins].astype(np.float64)
            names.append(column.name)
            means.append(counts @ _middles(column) / np.maximum(counts.sum(axis=1), 1.0))
    return names, np.column_stack(means)


def _middles(column: Column) -> Floats:
    edges = column.edges
    return np.concatenate([edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]])


def detections(figures: Floats) -> dict[str, Bools]:
    """(past and days, figures) -> by detector (days, figures): whether it tells of a change on the day."""
    past = figures[:PAST_DAYS]
    scores = (figures - past.mean(axis=0)) / past.std(axis=0)
    found = {}
    for name, make in DETECTORS.items():
        told = np.zeros(scores.shape, np.bool_)
        for place in range(scores.shape[1]):
            detector = make()
            for day, score in enumerate(scores[:, place].tolist()):
                detector.update(score)
                told[day, place] = detector.drift_detected
        found[name] = told[PAST_DAYS:]
    return found

"""Live counts of one version: immutable, but for the dictionaries of blocks and outcomes, see `fleet`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from exporter.aggregates.block import LATENCY_BOUNDS
from exporter.aggregates.outcome_layout import OutcomeLayout
from exporter.aggregates.outcomes import LABEL_DELAY_BOUNDS, Outcomes
from exporter.aggregates.timeline import Timeline
from exporter.reference.profile import Reference
from exporter.typing import Ints


@dataclass(frozen=True)
class Totals:
    """Counters of this process since its start; `values` (cells,) in the layout of the reference."""

    predictions: int = 0
    values: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    latency: Ints = field(default_factory=lambda: np.zeros(len(LATENCY_BOUNDS) + 1, np.int64))
    latency_sum: float = 0.0
    labels: int = 0
    label_delay: Ints = field(default_factory=lambda: np.zeros(len(LABEL_DELAY_BOUNDS) + 1, np.int64))
    label_delay_sum: float = 0.0

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            predictions=self.predictions + other.predictions,
            values=self.values + other.values,
            latency=self.latency + other.latency,
            latency_sum=self.latency_sum + other.latency_sum,
            labels=self.labels + other.labels,
            label_delay=self.label_delay + other.label_delay,
            label_delay_sum=self.label_delay_sum + other.label_delay_sum,
        )


@dataclass(frozen=True)
class SegmentCounts:
    """The rows of one segment: coarse blocks only, and outcomes in the layout of the whole."""

    timeline: Timeline
    outcomes: dict[int, Outcomes] = field(default_factory=dict)


@dataclass(frozen=True)
class VersionCounts:
    """A version's reference and the blocks counted in its bins.

    `outcomes` are those of labelled rows, by the start of the coarse block of their prediction, counted in
    `layout`; that is None where the reference does not say what is predicted. `maturation_seconds`: labels
    that came later than this after their prediction do not count; 0: all do, None: not decided yet.
    `segments` has one for each of the reference's segments, by name.
    """

    reference_id: int
    reference: Reference
    timeline: Timeline
    layout: OutcomeLayout | None = None
    outcomes: dict[int, Outcomes] = field(default_factory=dict)
    maturation_seconds: float | None = None
    segments: dict[str, SegmentCounts] = field(default_factory=dict)

"""Live counts of one version; immutable except for the dictionaries of blocks and outcomes, see `fleet`."""

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
    """Counts of one segment: coarse blocks only, and outcomes in the version's layout."""

    timeline: Timeline
    outcomes: dict[int, Outcomes] = field(default_factory=dict)


@dataclass(frozen=True)
class VersionCounts:
    """A version's reference and the blocks counted in its bins.

    `outcomes` of labelled rows are by the start of the coarse block of their prediction, in `layout`, which
    is None if the reference does not say what is predicted. Labels later than `maturation_seconds` after
    their prediction are not counted; 0 counts all, None is not decided yet. `segments` are by segment name.
    """

    reference_id: int
    reference: Reference
    timeline: Timeline
    layout: OutcomeLayout | None = None
    outcomes: dict[int, Outcomes] = field(default_factory=dict)
    maturation_seconds: float | None = None
    segments: dict[str, SegmentCounts] = field(default_factory=dict)

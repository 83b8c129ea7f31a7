"""Drift and quality of segments. Pure.

A segment is compared with the reference's rows of the same segment, since customers of one country differ
from all customers. Its design effect is that of all rows, which have more data to measure it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.aggregates.outcomes import Outcomes
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.context import EvaluationContext, WindowSums
from exporter.evaluation.drift import WindowEvaluation, judge_drift
from exporter.evaluation.model_quality import QualityEvaluation, evaluate_quality
from exporter.evaluation.quality_reference import QualityReference
from exporter.reference.profile import Segment


@dataclass(frozen=True)
class SegmentEvaluation:
    """Drift and quality of one segment by window, the shortest first."""

    segment: Segment
    drift: tuple[WindowEvaluation, ...]
    quality: tuple[QualityEvaluation, ...]


def evaluate_segment(
    segment: Segment,
    timeline: Timeline,
    outcomes: Mapping[int, Outcomes],
    against: QualityReference | None,
    context: EvaluationContext,
) -> SegmentEvaluation:
    """Measure and judge one segment.

    Args:
        segment: of the version's reference.
        timeline: its rows in coarse blocks, a snapshot that no other thread writes to.
        outcomes: of its labelled rows, by the start of their coarse block.
        against: of the segment; None gives no quality.
        context: with the effects of all rows.
    """
    sums = WindowSums.of(segment.reference, timeline, context)
    drift = judge_drift(segment.reference, sums, context)
    return SegmentEvaluation(segment, drift, evaluate_quality(against, outcomes, timeline, context))

"""(reference, its segments' blocks and outcomes, now) -> drift and quality of each segment. Pure.

A segment is compared with the reference's own rows of the same segment: customers of one country never looked
like all customers. Its rows are as dependent on each other as those of the whole, which tell it better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from exporter.aggregates.outcomes import Outcomes
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.drift import Evaluation, Thresholds, WindowEvaluation, judge_drift
from exporter.evaluation.model_quality import QualityEvaluation, evaluate_quality, prediction_effects
from exporter.evaluation.quality_reference import QualityReference, QualityRules, quality_reference
from exporter.reference.profile import Reference, Segment
from exporter.settings import Window
from exporter.typing import Floats


@dataclass(frozen=True)
class SegmentEvaluation:
    """One segment; `drift` and `quality` by window, the shortest first."""

    segment: Segment
    drift: tuple[WindowEvaluation, ...]
    quality: tuple[QualityEvaluation, ...]


def segment_references(reference: Reference, rules: QualityRules) -> dict[str, QualityReference]:
    """What the quality of each segment is measured against, by name.

    That are the reference's own rows of the segment alone: what a run or the configuration says is of the
    whole. Where they are too few to tell how much their quality varies, it is taken to vary as that of the
    whole. Quality without labels is not estimated for segments.
    """
    own = replace(rules, baselines={})
    found = {
        segment.name: quality_reference(
            segment.reference
            if segment.reference.quality_variation
            else replace(segment.reference, quality_variation=reference.quality_variation),
            own,
            {},
        )
        for segment in reference.segments
    }
    reason = "it is not estimated for segments"
    return {
        name: replace(against, estimator=None, no_estimate=reason)
        for name, against in found.items()
        if against is not None
    }


def evaluate_segment(
    segment: Segment,
    timeline: Timeline,
    outcomes: Mapping[int, Outcomes],
    whole: Evaluation,
    windows: Sequence[Window],
    thresholds: Thresholds,
    against: QualityReference | None,
    rules: QualityRules,
) -> SegmentEvaluation:
    """Measure and judge one segment.

    Args:
        segment: of the reference of `whole`.
        timeline: its rows in coarse blocks, a snapshot that nobody writes to.
        outcomes: of its labelled rows, by the start of their coarse block.
        whole: the evaluation of all rows, at the same moment.
        windows: their lengths.
        thresholds: of the version's owner.
        against: of the segment, None where the reference does not say what is predicted.
        rules: of the version's owner.
    """
    reference, now = segment.reference, whole.at
    windows = tuple(sorted(windows))
    size = (reference.cells, len(reference.columns))
    current = [timeline.sum(*size, now - w.seconds, float("inf")) for w in windows]
    previous = [timeline.sum(*size, now - 2 * w.seconds, now - w.seconds) for w in windows]
    age = now - timeline.oldest()
    drift = judge_drift(reference, windows, current, previous, _effects(whole), thresholds, (), age)
    quality: tuple[QualityEvaluation, ...] = ()
    if against is not None:
        quality = evaluate_quality(
            against,
            outcomes,
            timeline,
            windows,
            rules,
            now,
            thresholds=thresholds,
            effects=prediction_effects(whole),
        )
    return SegmentEvaluation(segment, drift, quality)


def _effects(whole: Evaluation) -> Floats:
    """(windows, columns) rows per independent row of all rows, 1 where there are none."""
    rows = np.stack([window.rows_by_column for window in whole.windows])
    effective = np.stack([window.effective_rows for window in whole.windows])
    return np.divide(rows, effective, out=np.ones(rows.shape), where=effective > 0)

"""Evaluated quality and segments -> JSON, with the reason for each missing figure or verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from exporter.aggregates.outcome_layout import why_no_layout
from exporter.api import quality_wire as wire
from exporter.evaluation.comparison import DRIFTED, STABLE
from exporter.evaluation.drift import WindowEvaluation
from exporter.evaluation.model_quality import EstimatedQuality, QualityEvaluation
from exporter.evaluation.quality_verdicts import MetricQuality
from exporter.evaluation.segments import SegmentEvaluation
from exporter.fleet import Version
from exporter.measures.intervals import NO_FIGURE
from exporter.reference.profile import Reference

_VERDICTS = {DRIFTED: "drifted", STABLE: "stable"}


def or_null(value: float) -> float | None:
    """The value, None where it is not finite: JSON has no NaN."""
    return float(value) if math.isfinite(value) else None


def verdict_name(verdict: int) -> str:
    """`drifted`, `stable` or `undecided`."""
    return _VERDICTS.get(verdict, "undecided")


def quality_windows(evaluations: Sequence[QualityEvaluation]) -> list[wire.QualityWindow]:
    return [_window(found) for found in evaluations]


def why_no_quality(version: Version) -> str:
    """Why a version shows no quality; empty where it does."""
    if version.findings is not None and version.findings.quality:
        return ""
    if version.counts is None:
        return "there is no reference"
    reason = why_no_layout(version.counts.reference)
    return reason or ("it could not be evaluated" if version.failures else "it was not evaluated yet")


def segment_details(version: Version) -> list[wire.SegmentDetail]:
    if version.findings is None:
        return []
    reference = version.findings.evaluation.reference
    return [_segment(reference, found) for found in version.findings.segments]


def _segment(reference: Reference, found: SegmentEvaluation) -> wire.SegmentDetail:
    return wire.SegmentDetail(
        segment=found.segment.name,
        window_rows={window.window.name: window.rows for window in found.drift},
        columns=[
            wire.SegmentColumn(
                column=column.name,
                role=column.role,
                window=window.window.name,
                drift_score=or_null(window.drift_score[place]),
                drift_limit=or_null(window.drift_limit[place]),
                verdict=verdict_name(int(window.verdict[place])),
                undecided=window.undecided[place],
            )
            for place, column in enumerate(reference.columns)
            if place != found.segment.column  # it has one value there, by definition
            for window in found.drift
        ],
        quality=quality_windows(found.quality),
        no_quality="" if found.quality else why_no_layout(found.segment.reference),
    )


def _window(found: QualityEvaluation) -> wire.QualityWindow:
    return wire.QualityWindow(
        window=found.window.name,
        start=datetime.fromtimestamp(found.start, UTC),
        end=datetime.fromtimestamp(found.end, UTC),
        predictions=found.predictions,
        labels=found.labels,
        unusable_labels=found.unusable_labels,
        coverage=or_null(found.coverage),
        weighted=found.weighted,
        metrics=[
            *(_metric(quality) for quality in found.metrics),
            *(
                _metric(MetricQuality(metric, NO_FIGURE, undecided="there is no figure"), reason)
                for metric, reason in found.suppressed.items()
            ),
        ],
        classes=[
            wire.ClassMetric(
                label=one.label,
                metric=one.metric,
                value=one.figure.value,
                lower=or_null(one.figure.lower),
                upper=or_null(one.figure.upper),
            )
            for one in found.classes
        ],
        estimates=[_estimate(estimate) for estimate in found.estimates],
        no_estimate=found.no_estimate,
        label_drift=_label_drift(found.label_drift) if found.label_drift is not None else None,
    )


def _metric(quality: MetricQuality, absent: str = "") -> wire.MetricDetail:
    return wire.MetricDetail(
        metric=quality.metric,
        value=or_null(quality.figure.value),
        lower=or_null(quality.figure.lower),
        upper=or_null(quality.figure.upper),
        absent=absent,
        baseline=or_null(quality.baseline),
        tolerance=or_null(quality.tolerance),
        allowance=or_null(quality.allowance),
        shortfall=or_null(quality.shortfall),
        provisional=quality.provisional,
        degraded=quality.degraded,
        undecided=quality.undecided,
    )


def _estimate(estimate: EstimatedQuality) -> wire.EstimateDetail:
    return wire.EstimateDetail(
        metric=estimate.metric,
        value=or_null(estimate.figure.value),
        lower=or_null(estimate.figure.lower),
        upper=or_null(estimate.figure.upper),
        baseline=or_null(estimate.baseline),
        allowance=or_null(estimate.allowance),
        shortfall=or_null(estimate.shortfall),
        error=or_null(estimate.error),
        degraded=estimate.degraded,
        undecided=estimate.undecided,
    )


def _label_drift(drift: WindowEvaluation) -> wire.LabelDrift:
    return wire.LabelDrift(
        drift_score=or_null(drift.drift_score[0]),
        drift_limit=or_null(drift.drift_limit[0]),
        drift_significance=or_null(drift.drift_significance[0]),
        verdict=verdict_name(int(drift.verdict[0])),
        undecided=drift.undecided[0],
    )

"""(reference, outcomes by hour, predictions by hour, now) -> quality by window, with verdicts. Pure.

A window is *matured*: it ends where the predictions have had the time that labels take, and holds whole
hours. What has come later, or was corrected, is in it.

Quality is *degraded* if the 99 % interval of its difference to the baseline lies beyond the tolerance. There
is no verdict on few labels, few positives, or where some predictions hardly get labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, isfinite, nan

import numpy as np

from exporter.aggregate import Timeline, WindowSum
from exporter.arrays import Ints
from exporter.baselines import shortfall, tolerance
from exporter.config import Window
from exporter.coverage import Coverage, measure_coverage
from exporter.estimation import estimate_quality
from exporter.evaluation import UNDECIDED, Evaluation, Thresholds, WindowEvaluation, judge_drift
from exporter.figures import (
    HIGHER_IS_BETTER,
    METRICS,
    SCORE_METRICS,
    UNWEIGHTABLE,
    measure,
    measure_classes,
    plain_tables,
)
from exporter.measures.estimate import Estimate
from exporter.measures.intervals import Interval, Z
from exporter.outcome_layout import OutcomeLayout
from exporter.outcomes import Outcomes, Tally, tally
from exporter.quality_reference import QualityReference, QualityRules


@dataclass(frozen=True)
class MetricQuality:
    """One metric in one window: its figure and 99 % interval, against its baseline.

    `baseline`, `tolerance` and `shortfall` (positive is worse, whatever the metric's direction) are NaN
    without a baseline. `degraded` is None without a verdict, and `undecided` says why.
    """

    metric: str
    figure: Interval
    baseline: float
    tolerance: float
    shortfall: float
    degraded: bool | None
    undecided: str = ""


@dataclass(frozen=True)
class ClassQuality:
    """One metric of one class."""

    label: str
    metric: str
    figure: Interval


@dataclass(frozen=True)
class EstimatedQuality:
    """One metric without labels, with the 99 % band of what labels would show.

    `error` is what it says of the matured window minus what labels say there, NaN where they say nothing.
    """

    metric: str
    figure: Interval
    baseline: float
    shortfall: float
    degraded: bool | None
    error: float


@dataclass(frozen=True)
class QualityEvaluation:
    """One window, from `start` to `end` in seconds since the epoch; estimates are of the window up to now.

    `labels` of `predictions` have come, `coverage` is their share, NaN without predictions. `weighted` says
    that rows are weighted by inverse coverage, since labels come for some predictions rather than others.
    `suppressed` says by metric why there is no figure, `no_estimate` why there are none or not all.
    `label_drift` has one column, that of `Reference.labels`; None where the reference has no labels.
    """

    window: Window
    start: float
    end: float
    labels: int
    unusable_labels: int
    predictions: int
    coverage: float
    weighted: bool
    metrics: tuple[MetricQuality, ...]
    classes: tuple[ClassQuality, ...]
    suppressed: Mapping[str, str]
    estimates: tuple[EstimatedQuality, ...]
    no_estimate: str
    label_drift: WindowEvaluation | None


def prediction_effects(evaluation: Evaluation) -> dict[int, float]:
    """Rows per independent row by window length in seconds, as the predictions of each window show it."""
    index = next((i for i, c in enumerate(evaluation.reference.columns) if c.role == "prediction"), None)
    if index is None:
        return {}
    return {
        found.window.seconds: float(found.rows_by_column[index] / found.effective_rows[index])
        for found in evaluation.windows
        if found.effective_rows[index] > 0
    }


def evaluate_quality(
    against: QualityReference,
    outcomes: Mapping[int, Outcomes],
    timeline: Timeline,
    windows: Sequence[Window],
    rules: QualityRules,
    now: float,
    *,
    thresholds: Thresholds | None = None,
    effects: Mapping[int, float] | None = None,
) -> tuple[QualityEvaluation, ...]:
    """Measure, judge and estimate the quality in every window, the shortest first.

    Args:
        against: of the version.
        outcomes: of its labelled rows, by the start of the timeline's coarse block that the prediction is in.
        timeline: its predictions, a snapshot that nobody writes to.
        windows: their lengths.
        rules: of the version's owner.
        now: the end of the windows, but for maturation, in seconds since the epoch.
        thresholds: for label drift, as for drift of features.
        effects: rows per independent row by window length in seconds: see `prediction_effects`.
    """
    length = timeline.settings.coarse_seconds
    evaluations = []
    for window in sorted(windows):
        effect = max((effects or {}).get(window.seconds, 1.0), 1.0)
        start, end = matured_window(window, rules.maturation_seconds, length, now)
        found = tally(against.layout, _between(outcomes, start, end))
        predictions = _predictions(against, timeline, start, end)
        rest = rules.maturation_seconds > 0
        latest = (
            _predictions(against, timeline, *matured_window(window, 0.0, length, now))
            if rest
            else predictions
        )
        coverage = measure_coverage(against.layout, found, predictions, rules.min_coverage, effect)
        metrics, suppressed = _judge(against, found, coverage, rules, effect)
        estimates, no_estimate = _estimate(against, latest, predictions, metrics, rules, effect)
        before = tally(against.layout, _between(outcomes, start - (end - start), start))
        tables = coverage.tables
        evaluations.append(
            QualityEvaluation(
                window=window,
                start=start,
                end=end,
                labels=found.rows,
                unusable_labels=found.unusable,
                predictions=_rows(against, predictions),
                coverage=coverage.ratio,
                weighted=tables is not None and not tables.plain,
                metrics=metrics,
                classes=()
                if tables is None or not against.layout.classifies
                else tuple(
                    ClassQuality(*quality) for quality in measure_classes(against.layout, tables, effect)
                ),
                suppressed=suppressed,
                estimates=estimates,
                no_estimate=no_estimate,
                label_drift=_label_drift(against, window, found, before, coverage, thresholds, effect),
            )
        )
    return tuple(evaluations)


def matured_window(
    window: Window, maturation_seconds: float, hour_seconds: int, now: float
) -> tuple[int, int]:
    """Start and end of the whole hours of a window, in seconds since the epoch.

    Without maturation the hour that `now` is in belongs to it; otherwise only hours that have matured do. The
    hour that the window's start lies in always does.
    """
    if maturation_seconds > 0:
        end = int((now - maturation_seconds) // hour_seconds) * hour_seconds
        return end - ceil(window.seconds / hour_seconds) * hour_seconds, end
    end = int(now // hour_seconds + 1) * hour_seconds
    return int((now - window.seconds) // hour_seconds) * hour_seconds, end


def _between(outcomes: Mapping[int, Outcomes], start: int, end: int) -> list[Outcomes]:
    return [part for hour, part in outcomes.items() if start <= hour < end]


def _predictions(against: QualityReference, timeline: Timeline, start: int, end: int) -> Ints:
    reference = against.reference
    return against.outputs.take(timeline.sum(reference.cells, len(reference.columns), start, end).counts)


def _rows(against: QualityReference, predictions: Ints) -> int:
    """All predictions: each is in one cell of the first of the outputs."""
    return int(predictions[: against.layout.outputs.offsets[1]].sum())


# -- with labels --------------------------------------------------------------------------------------------


def _judge(
    against: QualityReference, found: Tally, coverage: Coverage, rules: QualityRules, effect: float
) -> tuple[tuple[MetricQuality, ...], dict[str, str]]:
    """The metrics that there are, and why there are not the others."""
    layout = against.layout
    if not found.rows:
        return (), dict.fromkeys(METRICS[layout.task], "no labels")
    suppressed = dict(_suppress(layout, found, coverage, rules))
    tables = coverage.tables if coverage.tables is not None else plain_tables(found)
    figures = measure(layout, found, tables, effect)
    undecided = _undecided(layout, found, coverage, rules)
    judged = []
    for metric in METRICS[layout.task]:
        if metric in suppressed:
            continue
        if metric not in figures:
            suppressed[metric] = "no rows that it could be a share of"
            continue
        judged.append(_judge_metric(against, metric, figures[metric], undecided))
    return tuple(judged), suppressed


def _suppress(layout: OutcomeLayout, found: Tally, coverage: Coverage, rules: QualityRules) -> dict[str, str]:
    """Metrics that the labelled rows cannot show, and why."""
    metrics = METRICS[layout.task]
    if coverage.tables is None:
        # What share of the predictions of a class is right does not depend on those of other classes.
        return {metric: coverage.reason for metric in metrics if metric != "precision"}
    if not coverage.tables.plain:
        lost = UNWEIGHTABLE if layout.task == "binary" else SCORE_METRICS
        reason = "labels come for some predictions rather than others"
        return {metric: reason for metric in metrics if metric in lost}
    scored = int(found.histogram.sum())
    missing = {}
    if layout.classifies and scored < rules.min_coverage * found.rows:
        missing = dict.fromkeys(SCORE_METRICS, "too few labelled rows have a score")
    elif layout.task == "multiclass" and found.scored < rules.min_coverage * found.rows:
        missing = dict.fromkeys(UNWEIGHTABLE, "too few labelled rows have scores of all classes")
    if not layout.probabilities:
        missing |= dict.fromkeys(SCORE_METRICS - {"roc_auc"}, "scores are no probabilities")
    return {metric: reason for metric, reason in missing.items() if metric in metrics}


def _undecided(layout: OutcomeLayout, found: Tally, coverage: Coverage, rules: QualityRules) -> str:
    """Why there is no verdict; empty where there may be one."""
    if found.rows < rules.min_labels:
        return f"{found.rows} labels, {rules.min_labels} are needed"
    if layout.task == "binary":
        positives = int(found.confusion[layout.positive].sum())
        if positives < rules.min_positives:
            return f"{positives} positives, {rules.min_positives} are needed"
    if not coverage.enough:
        return f"labels for less than {rules.min_coverage:.0%} of some predictions"
    return coverage.reason if coverage.tables is None else ""


def _judge_metric(against: QualityReference, metric: str, figure: Interval, undecided: str) -> MetricQuality:
    baseline = against.baselines.get(metric)
    if baseline is None:
        return MetricQuality(metric, figure, nan, nan, nan, None, undecided or "no baseline")
    worse, allowed = shortfall(metric, figure, baseline.figure), against.tolerances[metric]
    degraded = None if undecided else worse.lower > allowed
    return MetricQuality(metric, figure, baseline.figure.value, allowed, worse.value, degraded, undecided)


def _label_drift(
    against: QualityReference,
    window: Window,
    found: Tally,
    before: Tally,
    coverage: Coverage,
    thresholds: Thresholds | None,
    effect: float,
) -> WindowEvaluation | None:
    """Drift of the labels, judged as that of a feature; undecided where labels do not stand for all rows."""
    labels, index = against.reference.labels, against.layout.column("label")
    if labels is None or index is None:
        return None
    cells = slice(*against.layout.outputs.offsets[index : index + 2].tolist())
    sums = [WindowSum(part.rows, part.cells[cells], np.zeros((1, 3))) for part in (found, before)]
    drift = judge_drift(
        labels, (window,), sums[:1], sums[1:], np.array([[effect]]), thresholds or Thresholds()
    )[0]
    if coverage.enough and coverage.even:
        return drift
    return replace(drift, verdict=np.full(1, UNDECIDED, np.int8))


# -- without labels -----------------------------------------------------------------------------------------


def _estimate(
    against: QualityReference,
    latest: Ints,
    matured: Ints,
    metrics: tuple[MetricQuality, ...],
    rules: QualityRules,
    effect: float,
) -> tuple[tuple[EstimatedQuality, ...], str]:
    """Estimates of the latest predictions, and why there are not more; errors are of the matured ones."""
    if against.estimator is None:
        return (), against.no_estimate
    found, reason = estimate_quality(against.estimator, latest, effect)
    same = latest is matured
    checked = found if same else estimate_quality(against.estimator, matured, effect)[0]
    real = {quality.metric: quality.figure.value for quality in metrics}
    estimates = []
    for metric, estimated in found.items():
        if isfinite(estimated.value) and isfinite(estimated.error):
            error = checked[metric].value - real[metric] if metric in checked and metric in real else nan
            few = _rows(against, latest) < rules.min_labels
            estimates.append(_judge_estimate(against, metric, estimated, few, error))
    return tuple(estimates), reason


def _judge_estimate(
    against: QualityReference, metric: str, estimated: Estimate, few: bool, error: float
) -> EstimatedQuality:
    assert against.estimator is not None
    assert metric in HIGHER_IS_BETTER
    baseline = against.estimator.calibration.figures[metric]
    worse = baseline - estimated.value
    allowed = against.tolerances.get(metric, tolerance(metric, baseline, nan))
    half = Z * estimated.error
    return EstimatedQuality(
        metric=metric,
        figure=Interval(estimated.value, max(estimated.value - half, 0.0), min(estimated.value + half, 1.0)),
        baseline=baseline,
        shortfall=worse,
        degraded=None if few else worse - Z * estimated.shortfall_error > allowed,
        error=error,
    )

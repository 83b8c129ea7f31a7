"""(reference, outcomes by hour, predictions by hour, now) -> quality by window, with verdicts. Pure.

A window is *matured*: it ends where the predictions have had the time that labels take, and holds whole
hours. What has come later, or was corrected, is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, isfinite, nan

import numpy as np

from exporter.aggregates.outcomes import Outcomes, Tally, tally
from exporter.aggregates.timeline import Timeline, WindowSum
from exporter.evaluation.baselines import tolerance
from exporter.evaluation.comparison import UNDECIDED
from exporter.evaluation.coverage import Coverage, measure_coverage
from exporter.evaluation.drift import Evaluation, Thresholds, WindowEvaluation, judge_drift
from exporter.evaluation.estimation import estimate_quality
from exporter.evaluation.figures import HIGHER_IS_BETTER, measure_classes
from exporter.evaluation.quality_reference import QualityReference, QualityRules
from exporter.evaluation.quality_verdicts import MetricQuality, confirm_quality, judge_quality
from exporter.measures.cbpe import Estimate
from exporter.measures.intervals import Interval, Z
from exporter.settings import Window
from exporter.typing import Ints


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
    `allowance` is for natural variation, NaN where nobody knows it: the verdict is provisional then.
    `degraded` is None without a verdict, and `undecided` says why.
    """

    metric: str
    figure: Interval
    baseline: float
    shortfall: float
    degraded: bool | None
    error: float
    allowance: float = nan
    undecided: str = ""


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
    return tuple(
        _evaluate_window(
            against,
            outcomes,
            timeline,
            window,
            rules,
            now,
            thresholds or Thresholds(),
            max((effects or {}).get(window.seconds, 1.0), 1.0),
        )
        for window in sorted(windows)
    )


def _evaluate_window(
    against: QualityReference,
    outcomes: Mapping[int, Outcomes],
    timeline: Timeline,
    window: Window,
    rules: QualityRules,
    now: float,
    thresholds: Thresholds,
    effect: float,
) -> QualityEvaluation:
    def labelled(start: int, end: int) -> Tally:
        return tally(against.layout, [part for hour, part in outcomes.items() if start <= hour < end])

    def read(start: int, end: int) -> _Hours:
        reference = against.reference
        sums = timeline.sum(reference.cells, len(reference.columns), start, end)
        found = labelled(start, end)
        return _Hours(found, against.outputs.take(sums.counts) + found.past)

    length, classifies = timeline.settings.coarse_seconds, against.layout.classifies
    start, end = matured_window(window, rules.maturation_seconds, length, now)
    matured, before = read(start, end), labelled(start - (end - start), start)
    latest = matured
    if rules.maturation_seconds > 0:
        latest = read(*matured_window(window, 0.0, length, now))
    found = matured.found
    coverage = measure_coverage(against.layout, found, matured.predictions, rules.min_coverage, effect)
    tables = coverage.tables

    def judge_before() -> tuple[MetricQuality, ...]:
        hours = read(start - (end - start), start)
        covered = measure_coverage(against.layout, before, hours.predictions, rules.min_coverage, effect)
        return judge_quality(against, window, before, covered, rules, effect)[0]

    judged, suppressed = judge_quality(against, window, found, coverage, rules, effect)
    metrics = confirm_quality(judged, judge_before)
    estimates, no_estimate = _estimate(against, window, latest, matured, metrics, rules, effect)
    classes = measure_classes(against.layout, tables, effect) if tables is not None and classifies else []
    return QualityEvaluation(
        window=window,
        start=start,
        end=end,
        labels=found.rows,
        unusable_labels=found.unusable,
        predictions=_rows(against, matured),
        coverage=coverage.ratio,
        weighted=tables is not None and not tables.plain,
        metrics=metrics,
        classes=tuple(ClassQuality(*quality) for quality in classes),
        suppressed=suppressed,
        estimates=estimates,
        no_estimate=no_estimate,
        label_drift=_label_drift(
            against, window, found, before, coverage, thresholds, effect, end - min(outcomes, default=end)
        ),
    )


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


@dataclass(frozen=True)
class _Hours:
    """What is known of some hours: labelled rows, and all predictions (outputs.cells,)."""

    found: Tally
    predictions: Ints


def _rows(against: QualityReference, hours: _Hours) -> int:
    """All predictions: each is in one cell of the first of the outputs."""
    return int(hours.predictions[: against.layout.outputs.offsets[1]].sum())


def _label_drift(
    against: QualityReference,
    window: Window,
    found: Tally,
    before: Tally,
    coverage: Coverage,
    thresholds: Thresholds,
    effect: float,
    age_seconds: float,
) -> WindowEvaluation | None:
    """Drift of the labels, judged as that of a feature; undecided where labels do not stand for all rows."""
    labels, index = against.reference.labels, against.layout.column("label")
    if labels is None or index is None:
        return None
    cells = slice(*against.layout.outputs.offsets[index : index + 2].tolist())
    sums = [WindowSum(part.rows, part.cells[cells], np.zeros((1, 3))) for part in (found, before)]
    effects = np.array([[effect]])
    (drift,) = judge_drift(labels, (window,), sums[:1], sums[1:], effects, thresholds, (), age_seconds)
    if coverage.enough and coverage.even:
        return drift
    reason = coverage.reason or "labels do not stand for all predictions"
    return replace(drift, verdict=np.full(1, UNDECIDED, np.int8), undecided=(reason,))


def _estimate(
    against: QualityReference,
    window: Window,
    latest: _Hours,
    matured: _Hours,
    metrics: tuple[MetricQuality, ...],
    rules: QualityRules,
    effect: float,
) -> tuple[tuple[EstimatedQuality, ...], str]:
    """Estimates of the latest predictions, and why there are not more; errors are of the matured ones."""
    if against.estimator is None:
        return (), against.no_estimate
    found, reason = estimate_quality(against.estimator, latest.predictions, latest.found.traffic, effect)
    checked = found
    if matured is not latest:
        checked, _ = estimate_quality(against.estimator, matured.predictions, matured.found.traffic, effect)
    real = {quality.metric: quality.figure.value for quality in metrics}
    rows, undecided = _rows(against, latest), ""
    if rows < rules.min_labels:
        undecided = f"{rows} predictions, {rules.min_labels} are needed"
    estimates = []
    for metric, estimated in found.items():
        if isfinite(estimated.value) and isfinite(estimated.error):
            error = checked[metric].value - real[metric] if metric in checked and metric in real else nan
            estimates.append(_judge_estimate(against, window, metric, estimated, undecided, error))
        else:
            reason = reason or f"no rows are expected that {metric} could be a share of"
    return tuple(estimates), reason


def _judge_estimate(
    against: QualityReference, window: Window, metric: str, estimated: Estimate, undecided: str, error: float
) -> EstimatedQuality:
    assert against.estimator is not None
    assert metric in HIGHER_IS_BETTER
    baseline = against.estimator.calibration.figures[metric]
    worse = baseline - estimated.value
    allowed = against.tolerances.get(metric, tolerance(metric, baseline, nan))
    allowance = against.estimate_allowance(metric, window)
    limit = allowed + allowance if isfinite(allowance) else allowed
    half = Z * estimated.error
    return EstimatedQuality(
        metric=metric,
        figure=Interval(estimated.value, max(estimated.value - half, 0.0), min(estimated.value + half, 1.0)),
        baseline=baseline,
        shortfall=worse,
        degraded=None if undecided else worse - Z * estimated.shortfall_error > limit,
        error=error,
        allowance=allowance,
        undecided=undecided,
    )

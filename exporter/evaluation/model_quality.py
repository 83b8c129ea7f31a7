"""Model quality by window from outcomes and predictions, with verdicts and estimates. Pure.

Windows are *matured*: they end where predictions have had time to get their labels, and consist of whole
hours. Late and corrected labels are included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, isfinite, nan

import numpy as np

from exporter.aggregates.outcome_layout import OutcomeLayout
from exporter.aggregates.outcomes import Outcomes, Tally, tally
from exporter.aggregates.timeline import Timeline, WindowSum
from exporter.evaluation.baselines import tolerance
from exporter.evaluation.comparison import UNDECIDED
from exporter.evaluation.context import EvaluationContext, WindowSums
from exporter.evaluation.coverage import Coverage, measure_coverage
from exporter.evaluation.drift import WindowEvaluation, judge_drift
from exporter.evaluation.estimation import estimate_quality
from exporter.evaluation.figures import HIGHER_IS_BETTER, measure_classes
from exporter.evaluation.quality_reference import QualityReference
from exporter.evaluation.quality_verdicts import MetricQuality, confirm_quality, judge_quality
from exporter.measures.cbpe import Estimate
from exporter.measures.intervals import Interval, Z
from exporter.reference.bins import OTHER
from exporter.settings import Window
from exporter.typing import Ints


@dataclass(frozen=True)
class ClassQuality:
    """One metric of one class."""

    label: str
    metric: str
    figure: Interval


@dataclass(frozen=True)
class Confusion:
    """Labelled rows (classes, classes) by actual and predicted class; the last class is every other one."""

    classes: tuple[str, ...]
    rows: Ints

    @classmethod
    def of(cls, layout: OutcomeLayout, found: Tally) -> Confusion | None:
        """Confusion of a tally; None for a regression."""
        if not layout.classifies:
            return None
        return cls((*layout.classes, OTHER), found.confusion)


@dataclass(frozen=True)
class EstimatedQuality:
    """One metric estimated without labels, with a 99 % interval for the figure that labels would give.

    `error` is the estimate minus the figure from labels in the matured window, NaN if labels give none.
    `allowance` is for natural variation, NaN if that is unknown: the verdict is then provisional. `degraded`
    is None without a verdict, for the reason in `undecided`.
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

    `coverage` is the share of `predictions` that have one of the `labels`, NaN without predictions.
    `weighted` is True if rows are weighted by inverse coverage, since it is uneven. `suppressed` has the
    reasons for absent figures by metric, `no_estimate` the reason why estimates are missing. `label_drift`
    has one column, that of `Reference.labels`; None if the reference has no labels. `confusion` is None for a
    regression.
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
    confusion: Confusion | None
    suppressed: Mapping[str, str]
    estimates: tuple[EstimatedQuality, ...]
    no_estimate: str
    label_drift: WindowEvaluation | None


def evaluate_quality(
    against: QualityReference | None,
    outcomes: Mapping[int, Outcomes],
    timeline: Timeline,
    context: EvaluationContext,
) -> tuple[QualityEvaluation, ...]:
    """Measure, judge and estimate the quality in every window of the context.

    Windows end at the context's `now` minus maturation. The design effect is that of the predictions' column.

    Args:
        against: of the version; None gives no quality.
        outcomes: of its labelled rows, by the start of the timeline's coarse block that the prediction is in.
        timeline: its predictions, a snapshot that no other thread writes to.
        context: with the effects of the version's rows.
    """
    if against is None:
        return ()
    roles = [column.role for column in against.reference.columns]
    effects = context.effects_of(against.reference)[:, roles.index("prediction")].tolist()
    evaluated = []
    for window, effect in zip(context.windows, effects, strict=True):
        own = replace(context, windows=(window,), effects=effect)
        evaluated.append(_WindowQuality(against, outcomes, timeline, own, effect).evaluate())
    return tuple(evaluated)


def matured_window(
    window: Window, maturation_seconds: float, hour_seconds: int, now: float
) -> tuple[int, int]:
    """Start and end of the whole hours of a window, in seconds since the epoch.

    Without maturation the hour that contains `now` is included; otherwise only matured hours are. The hour
    that contains the window's start is always included.
    """
    if maturation_seconds > 0:
        end = int((now - maturation_seconds) // hour_seconds) * hour_seconds
        return end - ceil(window.seconds / hour_seconds) * hour_seconds, end
    end = int(now // hour_seconds + 1) * hour_seconds
    return int((now - window.seconds) // hour_seconds) * hour_seconds, end


@dataclass(frozen=True)
class _Hours:
    """Labelled rows of some hours, and all predictions of them (outputs.cells,)."""

    found: Tally
    predictions: Ints


@dataclass(frozen=True)
class _WindowQuality:
    """Evaluation of the single window of `context`, with `effect` rows per independent row."""

    against: QualityReference
    outcomes: Mapping[int, Outcomes]
    timeline: Timeline
    context: EvaluationContext
    effect: float

    @property
    def window(self) -> Window:
        (window,) = self.context.windows
        return window

    def evaluate(self) -> QualityEvaluation:
        against, rules, effect = self.against, self.context.rules, self.effect
        start, end = self._hours(rules.maturation_seconds)
        before_start = start - (end - start)
        matured, before = self._read(start, end), self._labelled(before_start, start)
        latest = matured
        if rules.maturation_seconds > 0:
            latest = self._read(*self._hours(0.0))
        found = matured.found
        coverage = measure_coverage(against.layout, found, matured.predictions, rules.min_coverage, effect)
        tables = coverage.tables

        def judge_before() -> tuple[MetricQuality, ...]:
            hours = self._read(before_start, start)
            covered = measure_coverage(against.layout, before, hours.predictions, rules.min_coverage, effect)
            return judge_quality(against, self.window, before, covered, rules, effect)[0]

        judged, suppressed = judge_quality(against, self.window, found, coverage, rules, effect)
        metrics = confirm_quality(judged, judge_before)
        estimates, no_estimate = self._estimate(latest, matured, metrics)
        classes: list[tuple[str, str, Interval]] = []
        if tables is not None and against.layout.classifies:
            classes = measure_classes(against.layout, tables, effect)
        return QualityEvaluation(
            window=self.window,
            start=start,
            end=end,
            labels=found.rows,
            unusable_labels=found.unusable,
            predictions=self._rows(matured),
            coverage=coverage.ratio,
            weighted=tables is not None and not tables.plain,
            metrics=metrics,
            classes=tuple(ClassQuality(*quality) for quality in classes),
            confusion=Confusion.of(against.layout, found),
            suppressed=suppressed,
            estimates=estimates,
            no_estimate=no_estimate,
            label_drift=self._label_drift(found, before, coverage, end - min(self.outcomes, default=end)),
        )

    def _hours(self, maturation_seconds: float) -> tuple[int, int]:
        length = self.timeline.settings.coarse_seconds
        return matured_window(self.window, maturation_seconds, length, self.context.now)

    def _labelled(self, start: int, end: int) -> Tally:
        inside = [part for hour, part in self.outcomes.items() if start <= hour < end]
        return tally(self.against.layout, inside)

    def _read(self, start: int, end: int) -> _Hours:
        reference, found = self.against.reference, self._labelled(start, end)
        sums = self.timeline.sum(reference.cells, len(reference.columns), start, end)
        return _Hours(found, self.against.outputs.take(sums.counts) + found.past)

    def _rows(self, hours: _Hours) -> int:
        """Number of all predictions: each is in one cell of the first output."""
        return int(hours.predictions[: self.against.layout.outputs.offsets[1]].sum())

    def _label_drift(
        self, found: Tally, before: Tally, coverage: Coverage, age_seconds: float
    ) -> WindowEvaluation | None:
        """Drift of the labels, judged like a feature's; undecided where labels do not stand for all rows."""
        labels, index = self.against.reference.labels, self.against.layout.column("label")
        if labels is None or index is None:
            return None
        cells = slice(*self.against.layout.outputs.offsets[index : index + 2].tolist())
        counted = [WindowSum(part.rows, part.cells[cells], np.zeros((1, 3))) for part in (found, before)]
        sums = WindowSums((counted[0],), (counted[1],), age_seconds)
        (drift,) = judge_drift(labels, sums, self.context)
        if coverage.enough and coverage.even:
            return drift
        reason = coverage.reason or "labels do not represent all predictions"
        return replace(drift, verdict=np.full(1, UNDECIDED, np.int8), undecided=(reason,))

    def _estimate(
        self, latest: _Hours, matured: _Hours, metrics: tuple[MetricQuality, ...]
    ) -> tuple[tuple[EstimatedQuality, ...], str]:
        """Estimates of the latest predictions, and why any are missing; errors are of the matured ones."""
        estimator, min_labels = self.against.estimator, self.context.rules.min_labels
        if estimator is None:
            return (), self.against.no_estimate

        def estimate(hours: _Hours) -> tuple[dict[str, Estimate], str]:
            return estimate_quality(estimator, hours.predictions, hours.found.traffic, self.effect)

        found, reason = estimate(latest)
        checked = found if matured is latest else estimate(matured)[0]
        real = {quality.metric: quality.figure.value for quality in metrics}
        rows, undecided = self._rows(latest), ""
        if rows < min_labels:
            undecided = f"{rows} predictions, {min_labels} are needed"
        estimates = []
        for metric, estimated in found.items():
            if isfinite(estimated.value) and isfinite(estimated.error):
                error = checked[metric].value - real[metric] if metric in checked and metric in real else nan
                baseline = estimator.calibration.figures[metric]
                estimates.append(self._judge_estimate(metric, estimated, baseline, error, undecided))
            else:
                reason = reason or f"no expected rows to compute {metric} from"
        return tuple(estimates), reason

    def _judge_estimate(
        self, metric: str, estimated: Estimate, baseline: float, error: float, undecided: str
    ) -> EstimatedQuality:
        assert metric in HIGHER_IS_BETTER
        worse = baseline - estimated.value
        allowed = self.against.tolerances.get(metric, tolerance(metric, baseline, nan))
        allowance = self.against.estimate_allowance(metric, self.window)
        limit = allowed + allowance if isfinite(allowance) else allowed
        value, half = estimated.value, Z * estimated.error
        return EstimatedQuality(
            metric=metric,
            figure=Interval(value, max(value - half, 0.0), min(value + half, 1.0)),
            baseline=baseline,
            shortfall=worse,
            degraded=None if undecided else worse - Z * estimated.shortfall_error > limit,
            error=error,
            allowance=allowance,
            undecided=undecided,
        )

"""Figures and verdicts of one window's quality. Pure.

Quality is *degraded* if the 99 % interval of its difference to the baseline lies beyond the tolerance plus
the allowance for natural variation in two adjacent windows, or beyond twice that in one. There is no verdict
with few labels, few positives, or low coverage of some predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isnan, nan

from exporter.aggregates.outcome_layout import OutcomeLayout
from exporter.aggregates.outcomes import Tally
from exporter.evaluation.baselines import shortfall
from exporter.evaluation.context import QualityRules
from exporter.evaluation.coverage import Coverage
from exporter.evaluation.figures import QUALITY_METRICS, SCORE_METRICS, UNWEIGHTABLE, measure_each
from exporter.evaluation.quality_reference import QualityReference
from exporter.evaluation.weighting import plain_tables
from exporter.measures.intervals import Interval
from exporter.settings import Window

UNUSABLE = "they are missing, not numbers, or too far from the reference's"
# Times the limit: shortfall for which one window is enough.
GROSS_SHORTFALL = 2


@dataclass(frozen=True)
class MetricQuality:
    """One metric in one window: its figure and 99 % interval, against its baseline.

    `baseline`, `tolerance`, `shortfall` (positive is worse) and `least_shortfall`, the lower end of its
    interval, are NaN without a baseline. `allowance` is NaN if natural variation is unknown; the verdict is
    then provisional. `degraded` is None without a verdict, for the reason in `undecided`.
    """

    metric: str
    figure: Interval
    baseline: float = nan
    tolerance: float = nan
    allowance: float = nan
    shortfall: float = nan
    least_shortfall: float = nan
    degraded: bool | None = None
    undecided: str = ""

    @property
    def provisional(self) -> bool:
        return isnan(self.allowance)

    @property
    def limit(self) -> float:
        """Limit of the shortfall."""
        return self.tolerance if self.provisional else self.tolerance + self.allowance


def judge_quality(
    against: QualityReference,
    window: Window,
    found: Tally,
    coverage: Coverage,
    rules: QualityRules,
    effect: float,
) -> tuple[tuple[MetricQuality, ...], dict[str, str]]:
    """Metrics of a window, unconfirmed by the window before, and reasons for absent ones by metric."""
    layout = against.layout
    if not found.rows:
        reason = "no labels"
        if found.unusable:
            reason = f"none of {found.unusable} labels can be used: {UNUSABLE}"
        return (), dict.fromkeys(QUALITY_METRICS[layout.task], reason)
    suppressed = dict(_suppress(layout, found, coverage, rules))
    tables = coverage.tables if coverage.tables is not None else plain_tables(found)
    measured = measure_each(layout, found, tables, effect)
    undecided = _undecided(layout, found, coverage, rules)
    judged = []
    for metric in QUALITY_METRICS[layout.task]:
        if metric in suppressed:
            continue
        if metric in measured.absent:
            suppressed[metric] = measured.absent[metric]
            continue
        judged.append(_judge_metric(against, window, metric, measured.figures[metric], undecided))
    return tuple(judged), suppressed


def confirm_quality(
    judged: tuple[MetricQuality, ...], judge_before: Callable[[], tuple[MetricQuality, ...]]
) -> tuple[MetricQuality, ...]:
    """Metrics of a window, degraded only if grossly so, or if also degraded in the window before.

    Without a verdict in the window before, the metric is undecided. Provisional verdicts always need the
    window before, since single bad days are common.

    Args:
        judged: metrics of the window.
        judge_before: gives the metrics of the window before; called only if needed.
    """
    if not any(quality.degraded for quality in judged):
        return judged
    before = {quality.metric: quality.degraded for quality in judge_before()}
    return tuple(
        _confirm(quality, before.get(quality.metric)) if quality.degraded else quality for quality in judged
    )


def _confirm(quality: MetricQuality, before: bool | None) -> MetricQuality:
    if not quality.provisional and quality.least_shortfall > GROSS_SHORTFALL * quality.limit:
        return quality
    if before is None:
        return replace(quality, degraded=None, undecided="the window before cannot confirm it")
    return replace(quality, degraded=before)


def _suppress(layout: OutcomeLayout, found: Tally, coverage: Coverage, rules: QualityRules) -> dict[str, str]:
    """Reasons, by metric, why metrics cannot be computed from the labelled rows."""
    metrics = QUALITY_METRICS[layout.task]
    if coverage.tables is None:
        # The precision of a class does not depend on the coverage of other predicted classes.
        return {metric: coverage.reason for metric in metrics if metric != "precision"}
    if not coverage.tables.plain:
        lost = UNWEIGHTABLE if layout.task == "binary" else SCORE_METRICS
        reason = "coverage by labels differs between predictions"
        return {metric: reason for metric in metrics if metric in lost}
    scored = int(found.histogram.sum())
    missing = {}
    if layout.classifies and scored < rules.min_coverage * found.rows:
        missing = dict.fromkeys(SCORE_METRICS, "too few labelled rows have a score")
    elif layout.task == "multiclass" and found.scored < rules.min_coverage * found.rows:
        missing = dict.fromkeys(UNWEIGHTABLE, "too few labelled rows have scores of all classes")
    if not layout.probabilities:
        missing |= dict.fromkeys(SCORE_METRICS - {"roc_auc"}, "scores are not probabilities")
    return {metric: reason for metric, reason in missing.items() if metric in metrics}


def _undecided(layout: OutcomeLayout, found: Tally, coverage: Coverage, rules: QualityRules) -> str:
    """Reason why there is no verdict; empty if there can be one."""
    if found.rows < rules.min_labels:
        return f"{found.rows} labels, {rules.min_labels} are needed"
    if layout.task == "binary":
        positives = int(found.confusion[layout.positive].sum())
        if positives < rules.min_positives:
            return f"{positives} positives, {rules.min_positives} are needed"
    if not coverage.enough:
        return f"labels for less than {rules.min_coverage:.0%} of some predictions"
    return coverage.reason if coverage.tables is None else ""


def _judge_metric(
    against: QualityReference, window: Window, metric: str, figure: Interval, undecided: str
) -> MetricQuality:
    baseline = against.baselines.get(metric)
    if baseline is None:
        return MetricQuality(metric, figure, undecided=undecided or "no baseline")
    worse, allowance = shortfall(metric, figure, baseline.figure), against.allowance(metric, window)
    if allowance > against.limits[metric]:
        undecided = undecided or "it varies too much in the reference itself"
    quality = MetricQuality(
        metric=metric,
        figure=figure,
        baseline=baseline.figure.value,
        tolerance=against.tolerances[metric],
        allowance=allowance,
        shortfall=worse.value,
        least_shortfall=worse.lower,
        undecided=undecided,
    )
    return quality if undecided else replace(quality, degraded=worse.lower > quality.limit)

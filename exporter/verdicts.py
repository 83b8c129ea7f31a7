"""(labelled rows, their coverage, baselines) -> figures and verdicts of one window. Pure.

Quality is *degraded* if the 99 % interval of its difference to the baseline lies beyond the tolerance. There
is no verdict on few labels, few positives, or where some predictions hardly get labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

from exporter.baselines import shortfall
from exporter.coverage import Coverage
from exporter.figures import METRICS, SCORE_METRICS, UNWEIGHTABLE, measure, plain_tables
from exporter.measures.intervals import Interval
from exporter.outcome_layout import OutcomeLayout
from exporter.outcomes import Tally
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


def judge_quality(
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

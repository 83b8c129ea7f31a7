"""The exporter's own verdicts on what an alert says. A webhook can be forged, an evaluation cannot.

A shipped alert on a version stands for verdicts of one kind, narrowed by its labels (column, check, metric,
segment). An alert of another name stands for all kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite, isnan

import numpy as np

from exporter.aggregates.state import VersionCounts
from exporter.config.models import ModelConfig
from exporter.evaluation.comparison import DRIFTED, STABLE
from exporter.evaluation.data_quality import QualityCheck
from exporter.evaluation.drift import Evaluation
from exporter.evaluation.model_quality import EstimatedQuality, QualityEvaluation
from exporter.fleet import Findings, Status, Version
from exporter.remediation.latency import latency_verdict

OUTPUTS = ("prediction", "score")
MAX_EVALUATIONS = 2  # intervals; older findings say nothing of now
MIN_DRIFTED = 3  # features that make a `ModelManyFeaturesDrifted`

Labels = Mapping[str, str]
Verdicts = Iterable[bool | None]  # bad, good, and none


@dataclass(frozen=True)
class Watched:
    """State of a monitored version when a check began; `findings` are those of its last evaluation."""

    version: str
    status: Status
    config: ModelConfig
    findings: Findings | None
    counts: VersionCounts | None


@dataclass(frozen=True)
class Judgement:
    """Verdict on what an alert says of a version: `bad` if it is true, None without one for the `reason`."""

    bad: bool | None
    reason: str = ""


def watch(version: Version) -> Watched:
    """Return the state of a version at this moment."""
    return Watched(
        version=version.version,
        status=version.status,
        config=version.facts.config,
        findings=version.findings,
        counts=version.counts,
    )


def judge(watched: Watched, labels: Labels, now: float, evaluation_interval: float) -> Judgement:
    """Return the exporter's own verdict on what an alert says of a version.

    Args:
        watched: the version.
        labels: of the alert.
        now: seconds since the epoch.
        evaluation_interval: seconds between evaluations.
    """
    reason = why_inconclusive(watched, now, evaluation_interval)
    if reason or watched.findings is None:
        return Judgement(None, reason)
    alertname = labels.get("alertname", "")
    if alertname in ("ModelLatencyHigh", "ModelServingSaturated"):
        counts = watched.counts
        bad = latency_verdict(counts.timeline.snapshot(now), now) if counts is not None else None
    else:
        read = VERDICTS.get(alertname)
        bad = _one(read(watched.findings, labels) if read is not None else _any(watched.findings))
    name, version = alertname or "the alert", f"version {watched.version}"
    if bad is None:
        return Judgement(None, f"there is no verdict on {version} that could confirm {name}")
    return Judgement(bad, f"by its own evaluation {version} is {'as' if bad else 'not as'} {name} says")


def why_inconclusive(watched: Watched, now: float, evaluation_interval: float) -> str:
    """Return why the findings on a version say nothing of now, empty if they do."""
    if watched.findings is None:
        if watched.counts is None:
            return f"version {watched.version} is not judged: {watched.status}"
        return f"version {watched.version} was not evaluated yet"
    age = now - watched.findings.evaluation.at
    if age > MAX_EVALUATIONS * evaluation_interval:
        return f"the last evaluation of version {watched.version} is {age:.0f} s old"
    return ""


def degradations(findings: Findings) -> list[str]:
    """Verdicts of a version that are bad, except drift, as texts for people."""
    quality = {m.metric for w in findings.quality for m in w.metrics if m.degraded}
    estimated = {e.metric for w in findings.quality for e in w.estimates if e.degraded}
    columns = findings.evaluation.reference.columns
    checks = [check for check in findings.evaluation.checks if check.degraded]
    return [
        *(f"its {metric} is degraded" for metric in sorted(quality)),
        *(f"its {metric} is estimated to be degraded" for metric in sorted(estimated - quality)),
        *(f"column {columns[c.column].name!r} fails the check {c.check}" for c in checks),
    ]


def drifted_columns(findings: Findings) -> list[str]:
    """Names of the columns that have drifted in any window."""
    columns = findings.evaluation.reference.columns
    found = {k for window in findings.evaluation.windows for k in np.flatnonzero(window.verdict == DRIFTED)}
    return sorted(columns[k].name for k in found)


def _one(verdicts: Verdicts) -> bool | None:
    found = set(verdicts)
    return True if True in found else False if False in found else None


def _has(labels: Labels, **own: str) -> bool:
    """True if no label says otherwise."""
    return all(labels.get(name) in (None, "", value) for name, value in own.items())


def _verdict(verdict: int) -> bool | None:
    return {DRIFTED: True, STABLE: False}.get(int(verdict))


def _drift(*roles: str) -> Callable[[Findings, Labels], Verdicts]:
    def read(findings: Findings, labels: Labels) -> Verdicts:
        evaluation = findings.evaluation
        for k in _columns(evaluation, roles, labels):
            yield from (_verdict(window.verdict[k]) for window in evaluation.windows)

    return read


def _change(*roles: str) -> Callable[[Findings, Labels], Verdicts]:
    def read(findings: Findings, labels: Labels) -> Verdicts:
        evaluation = findings.evaluation
        for k in _columns(evaluation, roles, labels):
            yield from (_verdict(change.verdict[k]) for change in evaluation.changes)

    return read


def _columns(evaluation: Evaluation, roles: tuple[str, ...], labels: Labels) -> list[int]:
    return [
        k
        for k, column in enumerate(evaluation.reference.columns)
        if column.role in roles and _has(labels, column=column.name)
    ]


def _many_features(findings: Findings, _: Labels) -> Verdicts:
    features = _columns(findings.evaluation, ("feature",), {})
    for window in findings.evaluation.windows:
        verdicts = [_verdict(window.verdict[k]) for k in features]
        drifted, stable = verdicts.count(True), verdicts.count(False)
        yield drifted >= max(MIN_DRIFTED, stable) if drifted + stable else None


def _label_drift(findings: Findings, _: Labels) -> Verdicts:
    for window in findings.quality:
        if window.label_drift is not None:
            yield _verdict(window.label_drift.verdict[0])


def _data_quality(findings: Findings, labels: Labels) -> Verdicts:
    evaluation = findings.evaluation
    return (check.degraded for check in _checks(evaluation, labels) if not _is_error(evaluation, check))


def _errors(findings: Findings, labels: Labels) -> Verdicts:
    evaluation = findings.evaluation
    return (check.degraded for check in _checks(evaluation, labels) if _is_error(evaluation, check))


def _checks(evaluation: Evaluation, labels: Labels) -> Iterator[QualityCheck]:
    columns = evaluation.reference.columns
    for check in evaluation.checks:
        if _has(labels, column=columns[check.column].name, check=check.check):
            yield check


def _is_error(evaluation: Evaluation, check: QualityCheck) -> bool:
    """True for a missing prediction: a request without an answer."""
    return check.check == "missing" and evaluation.reference.columns[check.column].role == "prediction"


def _quality(findings: Findings, labels: Labels) -> Verdicts:
    for window in findings.quality:
        for metric in window.metrics:
            if _has(labels, metric=metric.metric):
                yield None if metric.degraded and metric.provisional else metric.degraded


def _estimated(findings: Findings, labels: Labels) -> Verdicts:
    for window in findings.quality:
        for estimate in window.estimates:
            if _has(labels, metric=estimate.metric):
                yield estimate.degraded and _is_worse_by_labels(window, estimate)


def _is_worse_by_labels(window: QualityEvaluation, estimate: EstimatedQuality) -> bool | None:
    """False if the error of the estimate, known from labels, explains it; None if it is provisional."""
    if isnan(estimate.allowance):
        return None
    real = next((m for m in window.metrics if m.metric == estimate.metric), None)
    if real is None or not all(map(isfinite, (estimate.error, real.baseline, real.tolerance))):
        return True
    corrected = estimate.figure.value - estimate.error
    return corrected + estimate.allowance < real.baseline - real.tolerance


def _segment_quality(findings: Findings, labels: Labels) -> Verdicts:
    for segment in findings.segments:
        if _has(labels, segment=segment.segment.name):
            for window in segment.quality:
                yield from (m.degraded for m in window.metrics if _has(labels, metric=m.metric))


def _segment_drift(findings: Findings, labels: Labels) -> Verdicts:
    for segment in findings.segments:
        if _has(labels, segment=segment.segment.name):
            for window in segment.drift:
                yield from map(_verdict, window.verdict.tolist())


def _any(findings: Findings) -> Verdicts:
    kinds = (_quality, _estimated, _drift("feature", *OUTPUTS), _data_quality, _errors, _segment_quality)
    for read in kinds:
        yield from read(findings, {})


VERDICTS: Mapping[str, Callable[[Findings, Labels], Verdicts]] = {
    "ModelQualityDegraded": _quality,
    "ModelEstimatedQualityDegraded": _estimated,
    "ModelSegmentQualityDegraded": _segment_quality,
    "ModelFeatureDrift": _drift("feature"),
    "ModelPredictionDrift": _drift(*OUTPUTS),
    "ModelLabelDrift": _label_drift,
    "ModelManyFeaturesDrifted": _many_features,
    "ModelSegmentDrift": _segment_drift,
    "ModelFeatureChanged": _change("feature"),
    "ModelPredictionChanged": _change(*OUTPUTS),
    "ModelDataQualityDegraded": _data_quality,
    "ModelErrorRateHigh": _errors,
}

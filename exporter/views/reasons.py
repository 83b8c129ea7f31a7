"""Reasons why a version is in a bad state, as sentences for people, the worst first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from exporter.evaluation.model_quality import EstimatedQuality
from exporter.evaluation.quality_verdicts import MetricQuality
from exporter.fleet import Findings, Version
from exporter.formats.texts import listed, printable
from exporter.monitoring.verdicts import Subject, bad_subjects

RUNBOOKS = "https://github.com/mlflow-exporter/mlflow-exporter/blob/main/prometheus/runbooks"
MAX_NAMES = 4  # of columns or metrics in a sentence

_CHECKS = {
    "missing": "values are missing",
    "type_mismatch": "values have another type",
    "unseen": "values are categories that the reference does not have",
    "out_of_range": "values lie outside the reference's range",
}


@dataclass(frozen=True)
class Reason:
    """A kind of bad verdict of a version.

    Attributes:
        text: a sentence.
        since: when the first of them became bad, in seconds since the epoch; None if it is not known.
        runbook: name of the alert whose runbook says what to do.
    """

    text: str
    since: float | None
    runbook: str


def runbook_url(alert: str) -> str:
    """Address of an alert's runbook."""
    return f"{RUNBOOKS}/{alert}.md"


def find_reasons(version: Version) -> tuple[Reason, ...]:
    """Reasons for the present state of a version; empty if no verdict is bad."""
    findings = version.findings
    if findings is None:
        return ()
    bad = bad_subjects(findings, version.facts.config)
    return tuple(_Reasons(version, findings, bad).all()) if bad else ()


class _Reasons:
    def __init__(self, version: Version, findings: Findings, bad: Collection[Subject]) -> None:
        self._since = version.bad_since
        self._findings = findings
        self._bad = bad
        self._roles = {column.name: column.role for column in findings.evaluation.reference.columns}
        self._minimum = version.facts.config.minimums.coverage

    def all(self) -> Iterator[Reason]:
        yield from self._quality()
        yield from self._coverage()
        yield from self._labels()
        yield from self._checks()
        yield from self._moved("drift", "drifted", outputs=True)
        yield from self._moved("drift", "drifted", outputs=False)
        yield from self._moved("change", "changed against the weeks before", outputs=True)
        yield from self._moved("change", "changed against the weeks before", outputs=False)
        yield from self._segments()

    def _of(self, measure: str) -> list[Subject]:
        return [each for each in self._bad if each.measure == measure and not each.segment]

    def _reason(
        self, text: str, subjects: Collection[Subject], runbook: str, found: Collection[str] = ()
    ) -> Reason:
        found = found or {each.window for each in subjects}
        windows = (window.window.name for window in self._findings.evaluation.windows)
        inside = [name for name in windows if name in found]
        known = [self._since[each] for each in subjects if each in self._since]
        shown = f"{text} ({', '.join(inside)})" if inside else text
        return Reason(shown, min(known, default=None), runbook)

    def _quality(self) -> Iterator[Reason]:
        figures: dict[tuple[str, str, str], MetricQuality | EstimatedQuality] = {}
        for window in self._findings.quality:
            name = window.window.name
            figures |= {("quality", each.metric, name): each for each in window.metrics}
            figures |= {("estimated_quality", each.metric, name): each for each in window.estimates}
        for measure, beginning, alert in (
            ("quality", "quality is degraded: {} is", "ModelQualityDegraded"),
            (
                "estimated_quality",
                "quality seems degraded: {} is estimated at",
                "ModelEstimatedQualityDegraded",
            ),
        ):
            subjects = self._of(measure)
            worst: dict[str, MetricQuality | EstimatedQuality] = {}
            for subject in subjects:
                found = figures[measure, subject.name, subject.window]
                known = worst.setdefault(subject.name, found)
                if found.shortfall > known.shortfall:
                    worst[subject.name] = found
            if worst:
                order = sorted(worst.values(), key=_severity)
                yield self._reason(_behind(order, beginning), subjects, alert)

    def _coverage(self) -> Iterator[Reason]:
        if subjects := self._of("coverage"):
            windows = {each.window for each in subjects}
            least = min(each.coverage for each in self._findings.quality if each.window.name in windows)
            text = f"{least:.0%} of the predictions have labels, {self._minimum:.0%} are needed"
            yield self._reason(text, subjects, "ModelLabelCoverageLow")

    def _labels(self) -> Iterator[Reason]:
        if subjects := self._of("label_drift"):
            yield self._reason("the labels drifted from the reference's", subjects, "ModelLabelDrift")

    def _checks(self) -> Iterator[Reason]:
        columns = self._findings.evaluation.reference.columns
        for check, meaning in _CHECKS.items():
            failed = [
                each for each in self._findings.evaluation.checks if each.degraded and each.check == check
            ]
            if failed:
                failed.sort(key=lambda each: -each.ratio)
                names = [f"{printable(columns[each.column].name)} ({each.ratio:.0%})" for each in failed]
                subjects = [Subject(f"data_quality/{check}", columns[each.column].name) for each in failed]
                text = f"{meaning} in {listed(names, MAX_NAMES)}"
                windows = {each.window.name for each in failed}
                yield self._reason(text, subjects, "ModelDataQualityDegraded", windows)

    def _moved(self, measure: str, verb: str, *, outputs: bool) -> Iterator[Reason]:
        subjects = [each for each in self._of(measure) if (self._roles[each.name] != "feature") is outputs]
        if not subjects:
            return
        names = list(dict.fromkeys(each.name for each in self._ranked(subjects)))
        shown = listed([*map(printable, names)], MAX_NAMES)
        features = sum(role == "feature" for role in self._roles.values())
        text = f"the {shown} {verb}" if outputs else f"{len(names)} of {features} features {verb}: {shown}"
        kind = "Prediction" if outputs else "Feature"
        alert = f"Model{kind}{'Drift' if measure == 'drift' else 'Changed'}"
        many = measure == "drift" and not outputs and len(names) >= 3 and 2 * len(names) >= features
        yield self._reason(text, subjects, "ModelManyFeaturesDrifted" if many else alert)

    def _ranked(self, subjects: Sequence[Subject]) -> list[Subject]:
        """Subjects with the highest score first."""
        evaluation = self._findings.evaluation
        place = {column.name: k for k, column in enumerate(evaluation.reference.columns)}
        scores = {("drift", w.window.name): w.drift_score for w in evaluation.windows}
        scores |= {("change", c.window.name): c.score for c in evaluation.changes}
        return sorted(
            subjects, key=lambda each: (-scores[each.measure, each.window][place[each.name]], each.name)
        )

    def _segments(self) -> Iterator[Reason]:
        quality = ("quality", "estimated_quality", "coverage")
        for measures, what, alert in (
            (quality, "quality is degraded", "ModelSegmentQualityDegraded"),
            (("drift", "label_drift"), "columns drifted", "ModelSegmentDrift"),
        ):
            subjects = [each for each in self._bad if each.segment and each.measure in measures]
            if subjects:
                names = sorted({printable(each.segment) for each in subjects})
                segments = "segment" if len(names) == 1 else f"{len(names)} segments:"
                yield self._reason(f"{what} in {segments} {listed(names, MAX_NAMES)}", subjects, alert)


def _severity(found: MetricQuality | EstimatedQuality) -> tuple[float, str]:
    """Sorts figures by how far they are behind their baseline, in units of what they may be."""
    limit = found.limit if isinstance(found, MetricQuality) else 1.0
    return -found.shortfall / (limit or 1.0), found.metric


def _behind(figures: Sequence[MetricQuality | EstimatedQuality], beginning: str) -> str:
    """The first figure beside its baseline, and the names of the others."""
    first, *others = figures
    figure = f"{first.figure.value:.3g}, its baseline is {first.baseline:.3g}"
    text = f"{beginning.format(first.metric)} {figure}"
    names = [each.metric for each in others]
    return (
        f"{text}; {listed(names, MAX_NAMES)} {'is' if len(names) == 1 else 'are'} worse too"
        if names
        else text
    )

"""Verdicts of an evaluation by what they are about, for the audit trail. Pure.

A verdict is bad, good, or undecided. Most evaluations find none that is bad, so these are found first, at the
cost of a few array operations; all verdicts are listed only where the bad ones have changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np

from exporter.config.models import ModelConfig
from exporter.evaluation.change import ChangeEvaluation
from exporter.evaluation.comparison import DRIFTED, STABLE
from exporter.evaluation.drift import WindowEvaluation
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.fleet import BadVerdict, Findings
from exporter.reference.bins import Column

FIGURE_DIGITS = 6  # of figures in the trail

SEVERE_DRIFT = 3  # times the limit of the score
SEVERE_SHARE = 0.5  # of the rows that fail a check, above the reference's share
SEVERE_SHORTFALL = 3  # times the limit of the shortfall, where natural variation is known


class Subject(NamedTuple):
    """The column or metric that is judged, by which measure, in which window and segment.

    Checks of data quality, `data_quality/<check>`, choose their window anew in every evaluation.
    """

    measure: str
    name: str
    window: str = ""
    segment: str = ""


class Verdict(NamedTuple):
    """A verdict with its figures, None where there is none; `reason` says why it is undecided.

    `limit` is of the value, or of the shortfall behind a baseline where there is one. `window` is that of a
    check of data quality.
    """

    verdict: str
    bad: bool = False
    value: float | None = None
    limit: float | None = None
    rows: int | None = None
    baseline: float | None = None
    shortfall: float | None = None
    reason: str = ""
    window: str = ""


def bad_subjects(findings: Findings, config: ModelConfig) -> dict[Subject, bool]:
    """Subjects whose verdict is bad (drifted, changed, degraded, low coverage); True where it is severe.

    Drift, data quality and quality are severe beyond the limits of this module, other measures never.
    """
    evaluation = findings.evaluation
    columns = evaluation.reference.columns
    bad: dict[Subject, bool] = {}
    for found in evaluation.windows:
        bad.update(_drifted(found, columns))
    for change in evaluation.changes:
        for place in np.flatnonzero(change.verdict == DRIFTED).tolist():
            bad[Subject("change", columns[place].name, change.window.name)] = False
    for check in evaluation.checks:
        if check.degraded:
            severe = check.ratio - check.reference_ratio > SEVERE_SHARE
            bad[Subject(f"data_quality/{check.check}", columns[check.column].name)] = severe
    bad.update(_bad_quality(findings.quality, config, ""))
    for part in findings.segments:
        name = part.segment.name
        for found in part.drift:
            bad.update(_drifted(found, columns, name, skipped=part.segment.column))
        bad.update(_bad_quality(part.quality, config, name))
    return bad


def _drifted(
    found: WindowEvaluation, columns: Sequence[Column], segment: str = "", skipped: int = -1
) -> Iterator[tuple[Subject, bool]]:
    for place in np.flatnonzero(found.verdict == DRIFTED).tolist():
        if place != skipped:
            subject = Subject("drift", columns[place].name, found.window.name, segment)
            yield subject, _is_severe(found, place)


def _is_severe(found: WindowEvaluation, place: int) -> bool:
    return bool(found.drift_score[place] >= SEVERE_DRIFT * found.drift_limit[place])


def _bad_quality(
    quality: Sequence[QualityEvaluation], config: ModelConfig, segment: str
) -> Iterator[tuple[Subject, bool]]:
    for found in quality:
        window, labels = found.window.name, found.label_drift
        for metric in found.metrics:
            if metric.degraded:
                severe = not metric.provisional and metric.shortfall > SEVERE_SHORTFALL * metric.limit
                yield Subject("quality", metric.metric, window, segment), severe
        for estimate in found.estimates:
            if estimate.degraded:
                yield Subject("estimated_quality", estimate.metric, window, segment), False
        if labels is not None and labels.verdict[0] == DRIFTED:
            yield Subject("label_drift", "label", window, segment), _is_severe(labels, 0)
        if _coverage(found, config).bad:
            yield Subject("coverage", "labels", window, segment), False


def merge_histories(
    bad: Mapping[Subject, bool], at: float, *known: Mapping[tuple[str, str, str, str], BadVerdict]
) -> dict[tuple[str, str, str, str], BadVerdict]:
    """History of each bad verdict of an evaluation at that time, from what was known before.

    Verdicts on one column or metric are one incident while any window is bad: it began with the first of
    them, and is severe if one of them has been. `bad` is that of `bad_subjects`.
    """
    found: dict[tuple[str, str, str, str], BadVerdict] = {
        subject: BadVerdict(at, severe) for subject, severe in bad.items()
    }
    incidents: dict[tuple[str, str, str], BadVerdict] = {}
    for histories in (*known, found):
        for (measure, name, _, segment), verdict in histories.items():
            incident = incidents.get((measure, name, segment), verdict)
            incidents[measure, name, segment] = BadVerdict(
                min(incident.since, verdict.since), incident.severe or verdict.severe
            )
    return {subject: incidents[subject.measure, subject.name, subject.segment] for subject in bad}


def all_verdicts(findings: Findings, config: ModelConfig) -> dict[Subject, Verdict]:
    """All verdicts of an evaluation, the undecided ones included."""
    evaluation = findings.evaluation
    columns = evaluation.reference.columns
    found: dict[Subject, Verdict] = {}
    for window in evaluation.windows:
        found.update(_drift_verdicts(window, columns, ""))
    for change in evaluation.changes:
        found.update(_change_verdicts(change, columns))
    for check in evaluation.checks:
        subject = Subject(f"data_quality/{check.check}", columns[check.column].name)
        found[subject] = Verdict(
            _named(check.degraded),
            bool(check.degraded),
            _figure(check.ratio),
            baseline=_figure(check.reference_ratio),
            reason=check.undecided,
            window=check.window.name,
        )
    found.update(_quality_verdicts(findings.quality, config, ""))
    for part in findings.segments:
        for window in part.drift:
            of_columns = _drift_verdicts(window, columns, part.segment.name)
            own = columns[part.segment.column].name
            found.update((subject, verdict) for subject, verdict in of_columns if subject.name != own)
        found.update(_quality_verdicts(part.quality, config, part.segment.name))
    return found


def _drift_verdicts(
    window: WindowEvaluation, columns: Sequence[Column], segment: str
) -> Iterator[tuple[Subject, Verdict]]:
    for place, column in enumerate(columns):
        yield Subject("drift", column.name, window.window.name, segment), _drift_verdict(window, place)


def _drift_verdict(window: WindowEvaluation, place: int) -> Verdict:
    return Verdict(
        _NAMES.get(int(window.verdict[place]), "undecided"),
        bool(window.verdict[place] == DRIFTED),
        _figure(window.drift_score[place]),
        _figure(window.drift_limit[place]),
        int(window.rows_by_column[place]),
        reason=window.undecided[place],
    )


def _change_verdicts(
    change: ChangeEvaluation, columns: Sequence[Column]
) -> Iterator[tuple[Subject, Verdict]]:
    for place, column in enumerate(columns):
        bad = bool(change.verdict[place] == DRIFTED)
        yield (
            Subject("change", column.name, change.window.name),
            Verdict(
                "changed" if bad else _NAMES.get(int(change.verdict[place]), "undecided"),
                bad,
                _figure(change.score[place]),
                _figure(change.limit[place]),
                reason=change.undecided[place],
            ),
        )


def _quality_verdicts(
    quality: Sequence[QualityEvaluation], config: ModelConfig, segment: str
) -> Iterator[tuple[Subject, Verdict]]:
    for found in quality:
        window = found.window.name
        for metric in found.metrics:
            yield (
                Subject("quality", metric.metric, window, segment),
                Verdict(
                    _named(metric.degraded),
                    bool(metric.degraded),
                    _figure(metric.figure.value),
                    _figure(metric.limit),
                    found.labels,
                    _figure(metric.baseline),
                    _figure(metric.shortfall),
                    metric.undecided,
                ),
            )
        for name, reason in found.suppressed.items():
            yield Subject("quality", name, window, segment), Verdict("undecided", reason=reason)
        for estimate in found.estimates:
            yield (
                Subject("estimated_quality", estimate.metric, window, segment),
                Verdict(
                    _named(estimate.degraded),
                    bool(estimate.degraded),
                    _figure(estimate.figure.value),
                    rows=found.predictions,
                    baseline=_figure(estimate.baseline),
                    shortfall=_figure(estimate.shortfall),
                    reason=estimate.undecided,
                ),
            )
        if found.label_drift is not None:
            yield Subject("label_drift", "label", window, segment), _drift_verdict(found.label_drift, 0)
        yield Subject("coverage", "labels", window, segment), _coverage(found, config)


def _coverage(found: QualityEvaluation, config: ModelConfig) -> Verdict:
    """Verdict on the share of predictions that have labels, once these have had their time to come."""
    minimum, rows = config.minimums.coverage, found.predictions
    if not config.maturation or rows < config.minimums.labels or not isfinite(found.coverage):
        return Verdict("undecided", value=_figure(found.coverage), limit=minimum, rows=rows)
    low = found.coverage < minimum
    return Verdict("low" if low else "ok", low, _figure(found.coverage), minimum, rows)


_NAMES = {DRIFTED: "drifted", STABLE: "stable"}


def _named(degraded: bool | None) -> str:
    return "undecided" if degraded is None else "degraded" if degraded else "ok"


def _figure(value: float) -> float | None:
    return float(f"{value:.{FIGURE_DIGITS}g}") if isfinite(value) else None

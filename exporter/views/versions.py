"""Converts live state to answers, with the reason for each missing figure or verdict."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from exporter.aggregates.outcome_layout import why_no_layout
from exporter.evaluation.change import ChangeEvaluation
from exporter.evaluation.comparison import DRIFTED, STABLE
from exporter.evaluation.drift import Evaluation, WindowEvaluation
from exporter.evaluation.importance import Importance
from exporter.evaluation.model_quality import Confusion, EstimatedQuality, QualityEvaluation
from exporter.evaluation.quality_verdicts import MetricQuality
from exporter.evaluation.segments import SegmentEvaluation
from exporter.fleet import Fleet, Version
from exporter.measures.intervals import NO_FIGURE
from exporter.reference.profile import PROVISIONAL, Reference
from exporter.views import schemas

MAX_PARTITIONS = 20  # named in a text


def models_view(fleet: Fleet, *, up: bool, error: str) -> schemas.Models:
    by_model: dict[str, list[Version]] = defaultdict(list)
    for (model, _), version in sorted(fleet.versions.items()):
        by_model[model].append(version)
    return schemas.Models(
        registry=schemas.RegistryState(up=up, error=error),
        models=[
            schemas.ModelSummary(model=model, versions=[_summary(version) for version in versions])
            for model, versions in by_model.items()
        ],
    )


def version_detail(version: Version) -> schemas.VersionDetail:
    counts, evaluation = version.counts, version.evaluation
    return schemas.VersionDetail(
        **_summary(version).model_dump(),
        model=version.model,
        reference=_reference(counts.reference) if counts is not None else None,
        unknown_columns=sorted(filter(version.facts.config.columns.select, version.unknown_columns)),
        problems=version_problems(version),
        window_rows={w.window.name: w.rows for w in evaluation.windows} if evaluation is not None else {},
        bad=_bad(version),
        importance=_importance(version),
        columns=_columns(evaluation, version.importance) if evaluation is not None else [],
        quality=quality_windows(version.findings.quality) if version.findings is not None else [],
        no_quality=why_no_quality(version),
        segments=_segment_details(version),
    )


def version_problems(version: Version) -> list[str]:
    """Return failures of the last evaluation, and settings that have no effect, as texts for people."""
    problems, config = [*version.failures, *version.facts.problems], version.facts.config
    problems += [version.importance_problem] if version.importance_problem else []
    problems += version.importance.notes if version.importance is not None else ()
    problems += [version.report_problem] if version.report_problem else []
    if missing := version.missing_partitions:
        shown = ", ".join(map(str, missing[:MAX_PARTITIONS])) + (", ..." if missing[MAX_PARTITIONS:] else "")
        problems.append(f"partitions {shown} of the Kafka group have not taken its newest reference yet")
    if version.counts is not None:
        reference = version.counts.reference
        named = {*config.drift_thresholds, *config.segments, *config.columns.include}
        named |= {*config.sample.leave_out, *config.sample.hash}
        unknown = named - {column.name for column in reference.columns}
        problems += [f"the reference has no column {name!r}" for name in sorted(unknown)]
        sliced = {reference.columns[segment.column].name for segment in reference.segments}
        later = [n for n in config.segments if n in reference.feature_names and n not in sliced]
        problems += [
            f"column {name!r} does not slice this reference, but may slice the next" for name in later
        ]
        left = [name for name in sorted(reference.feature_names) if not config.columns.select(name)]
        problems += [f"column {name!r} is left out of the next reference, not of this one" for name in left]
    return problems


def _summary(version: Version) -> schemas.VersionSummary:
    evaluation = version.evaluation
    drifted: set[str] = set()
    changed: set[str] = set()
    if evaluation is not None:
        columns = evaluation.reference.columns
        for found, windows in ((drifted, evaluation.windows), (changed, evaluation.changes)):
            for window in windows:
                found.update(columns[k].name for k in np.flatnonzero(window.verdict == DRIFTED))
    quality = version.findings.quality if version.findings is not None else ()
    return schemas.VersionSummary(
        version=version.version,
        aliases=list(version.aliases),
        status=version.status,
        detail=version.detail
        or (PROVISIONAL if evaluation is not None and evaluation.variation == "none" else ""),
        predictions_total=version.live.totals.predictions,
        last_prediction=_moment(version.last_prediction),
        evaluated_at=_moment(evaluation.at if evaluation is not None else None),
        drifted=sorted(drifted),
        changed=sorted(changed),
        degraded=sorted(_degraded(evaluation)),
        degraded_metrics=sorted({m.metric for found in quality for m in found.metrics if m.degraded}),
        degraded_estimates=sorted({e.metric for found in quality for e in found.estimates if e.degraded}),
    )


def _degraded(evaluation: Evaluation | None) -> set[str]:
    """Return the columns that fail a data-quality check."""
    if evaluation is None:
        return set()
    return {evaluation.reference.columns[check.column].name for check in evaluation.checks if check.degraded}


def _reference(reference: Reference) -> schemas.ReferenceDetail:
    return schemas.ReferenceDetail(
        source=reference.source,
        digest=reference.digest,
        rows=reference.rows,
        split=reference.split,
        task=reference.task,
        target=reference.target,
        provisional=reference.provisional,
        notes=list(reference.remarks),
    )


def _bad(version: Version) -> list[schemas.BadVerdictDetail]:
    bad = (version.findings.bad or {}) if version.findings is not None else {}
    return [
        schemas.BadVerdictDetail(
            measure=measure,
            name=name,
            window=window,
            segment=segment,
            since=datetime.fromtimestamp(verdict.since, UTC),
            severe=verdict.severe,
        )
        for (measure, name, window, segment), verdict in sorted(
            bad.items(), key=lambda each: (each[1].since, each[0])
        )
    ]


def _importance(version: Version) -> schemas.ImportanceDetail | None:
    if version.importance is None:
        return None
    attribution = version.attribution
    return schemas.ImportanceDetail(
        source=version.importance.source,
        drift=dict(version.findings.drift_importance) if version.findings is not None else {},
        attribution_drift=attribution.value if attribution is not None else None,
        attribution_rows=attribution.rows if attribution is not None else 0,
    )


def _columns(evaluation: Evaluation, importance: Importance | None) -> list[schemas.ColumnDetail]:
    checks: dict[int, list[schemas.Check]] = defaultdict(list)
    for check in evaluation.checks:
        checks[check.column].append(
            schemas.Check(
                check=check.check,
                window=check.window.name,
                ratio=check.ratio,
                reference_ratio=or_none(check.reference_ratio),
                degraded=check.degraded,
                undecided=check.undecided,
            )
        )
    shares = np.full(len(evaluation.reference.columns), np.nan)
    if importance is not None:
        shares = importance.of_columns(evaluation.reference)
    known = np.nan_to_num(shares, nan=-1.0)
    return [
        schemas.ColumnDetail(
            column=column.name,
            role=column.role,
            kind=column.kind,
            unjudged=column.unjudged,
            windows=[_window(window, k) for window in evaluation.windows],
            changes=[_change(change, k) for change in evaluation.changes],
            checks=checks[k],
            importance=or_none(shares[k]),
        )
        for k, column in sorted(enumerate(evaluation.reference.columns), key=lambda place: -known[place[0]])
    ]


def _window(window: WindowEvaluation, column: int) -> schemas.ColumnWindow:
    return schemas.ColumnWindow(
        window=window.window.name,
        rows=int(window.rows_by_column[column]),
        effective_rows=or_none(window.effective_rows[column]),
        drift_score=or_none(window.drift_score[column]),
        drift_limit=or_none(window.drift_limit[column]),
        drift_significance=or_none(window.drift_significance[column]),
        verdict=verdict_name(window.verdict[column]),
        undecided=window.undecided[column],
        distances={method: or_none(values[column]) for method, values in window.distances.items()},
    )


def _change(change: ChangeEvaluation, column: int) -> schemas.ColumnChange:
    return schemas.ColumnChange(
        window=change.window.name,
        change_score=or_none(change.score[column]),
        change_limit=or_none(change.limit[column]),
        change_significance=or_none(change.significance[column]),
        verdict=verdict_name(change.verdict[column], "changed"),
        undecided=change.undecided[column],
    )


def quality_windows(evaluations: Sequence[QualityEvaluation]) -> list[schemas.QualityWindow]:
    return [_quality_window(found) for found in evaluations]


def why_no_quality(version: Version) -> str:
    """Return why a version shows no quality; empty if it does."""
    if version.findings is not None and version.findings.quality:
        return ""
    if version.counts is None:
        return "there is no reference"
    reason = why_no_layout(version.counts.reference)
    return reason or ("it could not be evaluated" if version.failures else "it was not evaluated yet")


def _segment_details(version: Version) -> list[schemas.SegmentDetail]:
    if version.findings is None:
        return []
    reference = version.findings.evaluation.reference
    return [_segment(reference, found) for found in version.findings.segments]


def _segment(reference: Reference, found: SegmentEvaluation) -> schemas.SegmentDetail:
    return schemas.SegmentDetail(
        segment=found.segment.name,
        window_rows={window.window.name: window.rows for window in found.drift},
        columns=[
            schemas.SegmentColumn(
                column=column.name,
                role=column.role,
                window=window.window.name,
                drift_score=or_none(window.drift_score[place]),
                drift_limit=or_none(window.drift_limit[place]),
                verdict=verdict_name(window.verdict[place]),
                undecided=window.undecided[place],
            )
            for place, column in enumerate(reference.columns)
            if place != found.segment.column  # it has one value there, by definition
            for window in found.drift
        ],
        quality=quality_windows(found.quality),
        no_quality="" if found.quality else why_no_layout(found.segment.reference),
    )


def _quality_window(found: QualityEvaluation) -> schemas.QualityWindow:
    return schemas.QualityWindow(
        window=found.window.name,
        start=datetime.fromtimestamp(found.start, UTC),
        end=datetime.fromtimestamp(found.end, UTC),
        predictions=found.predictions,
        labels=found.labels,
        unusable_labels=found.unusable_labels,
        coverage=or_none(found.coverage),
        weighted=found.weighted,
        metrics=[
            *(_metric(quality) for quality in found.metrics),
            *(
                _metric(MetricQuality(metric, NO_FIGURE, undecided="there is no figure"), reason)
                for metric, reason in found.suppressed.items()
            ),
        ],
        classes=[
            schemas.ClassMetric(
                label=one.label,
                metric=one.metric,
                value=one.figure.value,
                lower=or_none(one.figure.lower),
                upper=or_none(one.figure.upper),
            )
            for one in found.classes
        ],
        confusion=_confusion(found.confusion) if found.confusion is not None else None,
        estimates=[_estimate(estimate) for estimate in found.estimates],
        no_estimate=found.no_estimate,
        label_drift=_label_drift(found.label_drift) if found.label_drift is not None else None,
    )


def _metric(quality: MetricQuality, absent: str = "") -> schemas.MetricDetail:
    return schemas.MetricDetail(
        metric=quality.metric,
        value=or_none(quality.figure.value),
        lower=or_none(quality.figure.lower),
        upper=or_none(quality.figure.upper),
        absent=absent,
        baseline=or_none(quality.baseline),
        tolerance=or_none(quality.tolerance),
        allowance=or_none(quality.allowance),
        shortfall=or_none(quality.shortfall),
        provisional=quality.provisional,
        degraded=quality.degraded,
        undecided=quality.undecided,
    )


def _confusion(confusion: Confusion) -> schemas.ConfusionMatrix:
    return schemas.ConfusionMatrix(classes=list(confusion.classes), rows=confusion.rows.tolist())


def _estimate(estimate: EstimatedQuality) -> schemas.EstimateDetail:
    return schemas.EstimateDetail(
        metric=estimate.metric,
        value=or_none(estimate.figure.value),
        lower=or_none(estimate.figure.lower),
        upper=or_none(estimate.figure.upper),
        baseline=or_none(estimate.baseline),
        allowance=or_none(estimate.allowance),
        shortfall=or_none(estimate.shortfall),
        error=or_none(estimate.error),
        degraded=estimate.degraded,
        undecided=estimate.undecided,
    )


def _label_drift(drift: WindowEvaluation) -> schemas.LabelDrift:
    return schemas.LabelDrift(
        drift_score=or_none(drift.drift_score[0]),
        drift_limit=or_none(drift.drift_limit[0]),
        drift_significance=or_none(drift.drift_significance[0]),
        verdict=verdict_name(drift.verdict[0]),
        undecided=drift.undecided[0],
    )


# -- values --------------------------------------------------------------------------------------------------


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def or_none(value: float) -> float | None:
    """Return the value, or None if it is not finite: JSON has no NaN."""
    return float(value) if math.isfinite(value) else None


def verdict_name(verdict: int, bad: str = "drifted") -> str:
    """Return `stable`, `undecided`, or the name of the bad verdict."""
    return {DRIFTED: bad, STABLE: "stable"}.get(int(verdict), "undecided")

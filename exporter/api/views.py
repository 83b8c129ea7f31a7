"""Live state -> the JSON of `GET /v1/models`."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

import numpy as np

from exporter.api import schemas
from exporter.api.quality_views import or_null, quality_windows, segment_details, verdict_name, why_no_quality
from exporter.evaluation.change import ChangeEvaluation
from exporter.evaluation.comparison import DRIFTED
from exporter.evaluation.drift import Evaluation, WindowEvaluation
from exporter.fleet import Fleet, Version
from exporter.reference.profile import PROVISIONAL, Reference


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
        problems=_problems(version),
        window_rows={w.window.name: w.rows for w in evaluation.windows} if evaluation is not None else {},
        columns=_columns(evaluation) if evaluation is not None else [],
        quality=quality_windows(version.findings.quality) if version.findings is not None else [],
        no_quality=why_no_quality(version),
        segments=segment_details(version),
    )


def _problems(version: Version) -> list[str]:
    problems, config = [*version.failures, *version.facts.problems], version.facts.config
    if version.counts is not None:
        reference = version.counts.reference
        named = {*config.drift_thresholds, *config.segments, *config.columns.include}
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
    """Columns of which a data-quality check fails."""
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


def _columns(evaluation: Evaluation) -> list[schemas.ColumnDetail]:
    checks: dict[int, list[schemas.Check]] = defaultdict(list)
    for check in evaluation.checks:
        checks[check.column].append(
            schemas.Check(
                check=check.check,
                window=check.window.name,
                ratio=check.ratio,
                reference_ratio=or_null(check.reference_ratio),
                degraded=check.degraded,
                undecided=check.undecided,
            )
        )
    return [
        schemas.ColumnDetail(
            column=column.name,
            role=column.role,
            kind=column.kind,
            unjudged=column.unjudged,
            windows=[_window(window, k) for window in evaluation.windows],
            changes=[_change(change, k) for change in evaluation.changes],
            checks=checks[k],
        )
        for k, column in enumerate(evaluation.reference.columns)
    ]


def _window(window: WindowEvaluation, column: int) -> schemas.ColumnWindow:
    return schemas.ColumnWindow(
        window=window.window.name,
        rows=int(window.rows_by_column[column]),
        effective_rows=or_null(window.effective_rows[column]),
        drift_score=or_null(window.drift_score[column]),
        drift_limit=or_null(window.drift_limit[column]),
        drift_significance=or_null(window.drift_significance[column]),
        verdict=verdict_name(int(window.verdict[column])),
        undecided=window.undecided[column],
        distances={method: or_null(values[column]) for method, values in window.distances.items()},
    )


def _change(change: ChangeEvaluation, column: int) -> schemas.ColumnChange:
    verdict = int(change.verdict[column])
    return schemas.ColumnChange(
        window=change.window.name,
        change_score=or_null(change.score[column]),
        change_limit=or_null(change.limit[column]),
        change_significance=or_null(change.significance[column]),
        verdict="changed" if verdict == DRIFTED else verdict_name(verdict),
        undecided=change.undecided[column],
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)

"""Live state -> the JSON of `GET /v1/models`."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, datetime

import numpy as np

from exporter.api import wire
from exporter.change import ChangeEvaluation
from exporter.comparison import DRIFTED, STABLE
from exporter.evaluation import Evaluation, WindowEvaluation
from exporter.fleet import Fleet, Version
from exporter.reference import Reference

_VERDICTS = {DRIFTED: "drifted", STABLE: "stable"}


def models_view(fleet: Fleet, *, up: bool, error: str) -> wire.Models:
    by_model: dict[str, list[Version]] = defaultdict(list)
    for (model, _), version in sorted(fleet.versions.items()):
        by_model[model].append(version)
    return wire.Models(
        registry=wire.RegistryState(up=up, error=error),
        models=[
            wire.ModelSummary(model=model, versions=[_summary(version) for version in versions])
            for model, versions in by_model.items()
        ],
    )


def version_detail(version: Version) -> wire.VersionDetail:
    binning, evaluation = version.binning, version.evaluation
    return wire.VersionDetail(
        **_summary(version).model_dump(),
        model=version.model,
        reference=_reference(binning.reference) if binning is not None else None,
        unknown_columns=sorted(filter(version.facts.config.columns.select, version.unknown_columns)),
        problems=_problems(version),
        window_rows={w.window.name: w.rows for w in evaluation.windows} if evaluation is not None else {},
        columns=_columns(evaluation) if evaluation is not None else [],
    )


def _problems(version: Version) -> list[str]:
    problems, config = list(version.facts.problems), version.facts.config
    if version.binning is not None:
        reference = version.binning.reference
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


def _summary(version: Version) -> wire.VersionSummary:
    evaluation = version.evaluation
    drifted: set[str] = set()
    changed: set[str] = set()
    if evaluation is not None:
        columns = evaluation.reference.columns
        for found, windows in ((drifted, evaluation.windows), (changed, evaluation.changes)):
            for window in windows:
                found.update(columns[k].name for k in np.flatnonzero(window.verdict == DRIFTED))
    return wire.VersionSummary(
        version=version.version,
        aliases=list(version.aliases),
        status=version.status,
        detail=version.detail,
        predictions_total=version.live.totals.predictions,
        last_prediction=_moment(version.last_prediction),
        evaluated_at=_moment(evaluation.at if evaluation is not None else None),
        drifted=sorted(drifted),
        changed=sorted(changed),
    )


def _reference(reference: Reference) -> wire.ReferenceDetail:
    return wire.ReferenceDetail(
        source=reference.source,
        digest=reference.digest,
        rows=reference.rows,
        split=reference.split,
        task=reference.task,
        target=reference.target,
        provisional=reference.provisional,
        notes=list(reference.remarks),
    )


def _columns(evaluation: Evaluation) -> list[wire.ColumnDetail]:
    checks: dict[int, list[wire.Check]] = defaultdict(list)
    for check in evaluation.checks:
        checks[check.column].append(
            wire.Check(
                check=check.check,
                window=check.window.name,
                ratio=check.ratio,
                reference_ratio=_figure(check.reference_ratio),
                degraded=check.degraded,
                undecided=check.undecided,
            )
        )
    return [
        wire.ColumnDetail(
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


def _window(window: WindowEvaluation, column: int) -> wire.ColumnWindow:
    return wire.ColumnWindow(
        window=window.window.name,
        rows=int(window.rows_by_column[column]),
        effective_rows=_figure(window.effective_rows[column]),
        drift_score=_figure(window.drift_score[column]),
        drift_limit=_figure(window.drift_limit[column]),
        drift_significance=_figure(window.drift_significance[column]),
        verdict=_VERDICTS.get(int(window.verdict[column]), "undecided"),
        undecided=window.undecided[column],
        distances={method: _figure(values[column]) for method, values in window.distances.items()},
    )


def _change(change: ChangeEvaluation, column: int) -> wire.ColumnChange:
    verdict = int(change.verdict[column])
    return wire.ColumnChange(
        window=change.window.name,
        change_score=_figure(change.score[column]),
        change_limit=_figure(change.limit[column]),
        change_significance=_figure(change.significance[column]),
        verdict={**_VERDICTS, DRIFTED: "changed"}.get(verdict, "undecided"),
        undecided=change.undecided[column],
    )


def _figure(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)

"""Contents of a version's page: its live state in one window, and what is stored about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from exporter.aggregates.state import VersionCounts
from exporter.audit.evidence import Record, recent_records
from exporter.audit.report_rows import told
from exporter.config.models import Minimums
from exporter.errors import StoreError
from exporter.evaluation.drift import Evaluation
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.fleet import Findings, Fleet, Version
from exporter.formats.addresses import version_path
from exporter.formats.texts import first_line
from exporter.monitoring.verdicts import bad_subjects
from exporter.reference.profile import Reference
from exporter.remediation.action import Action
from exporter.remediation.challenge import why_not_better
from exporter.remediation.holds import Hold
from exporter.remediation.ledger import ActionFilter
from exporter.service import Service
from exporter.settings import DAY_SECONDS, Settings
from exporter.storage.reports import StoredReport, list_reports
from exporter.typing import Ints
from exporter.views.versions import version_problems, why_no_quality
from exporter.web.columns import ColumnList, rank_columns
from exporter.web.history import find_history
from exporter.web.needs import Need, find_needs
from exporter.web.next_steps import Step, next_steps, report_command
from exporter.web.quality import ComparedFigure, QualityView, compare_figures, view_quality
from exporter.web.segments import SegmentView, view_segments
from exporter.web.states import State, describe

MAX_ACTIONS, SEARCHED_ACTIONS = 10, 100
MAX_RECORDS, RECORDS_SECONDS = 15, 30 * DAY_SECONDS
MAX_REPORTS = 10
MAX_OTHERS = 4  # versions that one is compared with
MAX_NOTES = 50


@dataclass(frozen=True)
class WindowChoice:
    """A window that can be shown."""

    name: str
    chosen: bool
    bad: bool


@dataclass(frozen=True)
class Comparison:
    """The figures of a version beside those of another version of the model, over the same window.

    `path` is that of the other version's page. `verdict` is a sentence on which of them is better, empty
    unless one is the champion.
    """

    version: str
    path: str
    aliases: tuple[str, ...]
    figures: tuple[ComparedFigure, ...]
    verdict: str


@dataclass(frozen=True)
class Stored:
    """Actions, holds, audit records and reports of a version, the newest first.

    `records` are None where the reader may not see the audit trail. `fault` is why the store could not be
    read, empty if it could.
    """

    actions: tuple[Action, ...] = ()
    holds: tuple[Hold, ...] = ()
    records: tuple[tuple[Record, str], ...] | None = ()
    reports: tuple[StoredReport, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class VersionPage:
    """Contents of the page of a version.

    `rows` are those of the chosen window, None before an evaluation. `drift_importance` is the drift in it,
    weighted by the importance of the columns, None if that is not known.
    """

    version: Version
    reference: Reference | None
    evaluation: Evaluation | None
    windows: tuple[WindowChoice, ...]
    window: str
    rows: int | None
    state: State
    needs: tuple[Need, ...]
    steps: tuple[Step, ...]
    report_command: str
    drift_importance: float | None
    columns: ColumnList
    quality: QualityView | None
    no_quality: str
    segments: tuple[SegmentView, ...]
    comparisons: tuple[Comparison, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    stored: Stored = field(default_factory=Stored)


def view_version(
    version: Version,
    fleet: Fleet,
    settings: Settings,
    stored: Stored,
    exporter: str,
    now: float,
    *,
    window: str = "",
    column: str = "",
) -> VersionPage:
    """Contents of the page of a version, from memory and from what was read of the store.

    Args:
        version: that is shown.
        fleet: for other versions of the model, and the history of aliases.
        settings: of the exporter.
        stored: what is stored about it.
        exporter: URL of the exporter, for commands that people copy.
        now: in seconds since the epoch.
        window: name of the window; by default the longest with a bad verdict, else the middle one.
        column: name of a column that comes first.
    """
    findings, counts = version.findings, version.counts
    reference = counts.reference if counts is not None else None
    windows = _windows(settings, findings, version, window)
    chosen = next(each.name for each in windows if each.chosen)
    state = describe(version)
    columns, rows, quality = ColumnList((), (), ()), None, None
    segments: tuple[SegmentView, ...] = ()
    if findings is not None:
        evaluation, live, history = findings.evaluation, None, None
        rows = next((each.rows for each in evaluation.windows if each.window.name == chosen), None)
        found = _of_window(findings.quality, chosen)
        if counts is not None and counts.reference is evaluation.reference:  # else it was replaced since
            metrics = [each.metric for each in found.metrics] if found is not None else []
            live, history = _live(counts, evaluation, chosen), find_history(counts, metrics, now)
        columns = rank_columns(
            evaluation,
            chosen,
            live,
            history,
            version.bad_since,
            importance=version.importance.shares if version.importance is not None else {},
            first=column,
            named=settings.bin_names,
        )
        quality = view_quality(found, history, version.bad_since) if found is not None else None
        names = [each.name for each in evaluation.reference.columns]
        segments = view_segments(findings.segments, chosen, names)
    return VersionPage(
        version=version,
        reference=reference,
        evaluation=version.evaluation,
        windows=windows,
        window=chosen,
        rows=rows,
        state=state,
        needs=find_needs(version, exporter),
        steps=next_steps(version, fleet, state.reasons, stored.actions, stored.reports, chosen),
        report_command=report_command(version, chosen),
        drift_importance=findings.drift_importance.get(chosen) if findings is not None else None,
        columns=columns,
        quality=quality,
        no_quality=why_no_quality(version),
        segments=segments,
        comparisons=_comparisons(version, fleet, chosen),
        problems=tuple(version_problems(version)[:MAX_NOTES]),
        notes=_notes(version, reference),
        stored=stored,
    )


def _notes(version: Version, reference: Reference | None) -> tuple[str, ...]:
    notes = reference.remarks if reference is not None else ()
    if version.importance is not None:
        notes = (*notes, *version.importance.notes)
    return notes[:MAX_NOTES]


def read_stored(service: Service, version: Version, *, audit: bool) -> Stored:
    """Read what is stored about a version; without it if the store cannot be read.

    Args:
        service: with the store.
        version: the version.
        audit: False to leave out the records of the audit trail.
    """
    try:
        return _read_stored(service, version, audit=audit)
    except StoreError as error:
        return Stored(records=None, fault=first_line(error))


def _read_stored(service: Service, version: Version, *, audit: bool) -> Stored:
    model, number = version.names
    remediation = service.remediation
    actions = remediation.ledger.search(ActionFilter(model), SEARCHED_ACTIONS)
    own = [each for each in actions if number in (each.model_version, each.target_version)]
    holds = remediation.holds.active(model)
    records: tuple[tuple[Record, str], ...] | None = None
    with service.store.reading() as connection:
        reports = list_reports(connection, model, number, MAX_REPORTS)
        if audit:
            since = service.clock() - RECORDS_SECONDS
            found = recent_records(connection, model, number, since, MAX_RECORDS)
            records = tuple((record, told(record)) for record in found)
    return Stored(tuple(own[:MAX_ACTIONS]), tuple(holds[:MAX_ACTIONS]), records, tuple(reports))


def _windows(
    settings: Settings, findings: Findings | None, version: Version, asked: str
) -> tuple[WindowChoice, ...]:
    names = [window.name for window in settings.windows]
    bad: set[str] = set()
    if findings is not None:
        names = [each.window.name for each in findings.evaluation.windows]
        bad = {subject.window for subject in bad_subjects(findings, version.facts.config)}
        bad |= {check.window.name for check in findings.evaluation.checks if check.degraded}
    default = next((name for name in reversed(names) if name in bad), names[len(names) // 2])
    chosen = asked if asked in names else default
    return tuple(WindowChoice(name, name == chosen, name in bad) for name in names)


def _live(counts: VersionCounts, evaluation: Evaluation, window: str) -> Ints:
    """(cells,) counts of a window of the evaluation."""
    reference = evaluation.reference
    seconds = next(each.window.seconds for each in evaluation.windows if each.window.name == window)
    timeline = counts.timeline.snapshot(evaluation.at)
    return timeline.sum(reference.cells, len(reference.columns), evaluation.at - seconds, inf).counts


def _of_window(quality: Sequence[QualityEvaluation], window: str) -> QualityEvaluation | None:
    return next((each for each in quality if each.window.name == window), None)


def _comparisons(version: Version, fleet: Fleet, window: str) -> tuple[Comparison, ...]:
    """Comparisons with the other versions of the model that have an alias: a champion with all others, and
    another one with the champion."""
    others = [
        each
        for (model, number), each in sorted(fleet.versions.items())
        if model == version.model and number != version.version and each.aliases
    ]
    if "champion" not in version.aliases:
        others = [each for each in others if "champion" in each.aliases] or others
    compared = (_compare(version, other, window) for other in others)
    return tuple(each for each in compared if each is not None)[:MAX_OTHERS]


def _compare(version: Version, other: Version, window: str) -> Comparison | None:
    if version.findings is None or other.findings is None:
        return None
    own, theirs = (_of_window(each.findings.quality, window) for each in (version, other) if each.findings)
    if own is None or theirs is None:
        return None
    figures = compare_figures(own.metrics, theirs.metrics)
    if not figures:
        return None
    verdict = ""
    if "champion" in (*version.aliases, *other.aliases):
        champion, challenger = (version, other) if "champion" in version.aliases else (other, version)
        verdict = _verdict(challenger, champion, version.facts.config.minimums)
    return Comparison(other.version, version_path(*other.names), other.aliases, figures, verdict)


def _verdict(challenger: Version, champion: Version, minimums: Minimums) -> str:
    assert challenger.findings is not None
    assert champion.findings is not None
    why = why_not_better(challenger.findings.quality, champion.findings.quality, minimums)
    name = f"version {challenger.version}"
    return f"{name} is not shown to be better: {why}" if why else f"{name} is better than the champion"

"""Guards on the version that the alias is to point to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from exporter.evaluation.model_quality import QualityEvaluation
from exporter.formats.texts import listed
from exporter.registry.client_errors import MissingError
from exporter.remediation.case import Case
from exporter.remediation.challenge import why_not_better
from exporter.remediation.evidence import degradations, drifted_columns, why_inconclusive
from exporter.storage.schema import AliasMove

BLOCKED_TAG = "monitoring.blocked"
MAX_SHOWN = 5  # verdicts in a reason


def better(case: Case) -> str:
    """Refuse a promotion unless the challenger's 99 % interval is better over the same matured window."""
    if case.tenure is None:
        return f"the alias {case.action.alias!r} points to no version to compare with"
    challenger, champion = (
        _quality(case, version) for version in (case.action.target_version, case.tenure.version)
    )
    if isinstance(challenger, str):
        return challenger
    if isinstance(champion, str):
        return champion
    minimums = case.versions[case.action.target_version].config.minimums
    return why_not_better(challenger, champion, minimums)


def _quality(case: Case, version: str) -> tuple[QualityEvaluation, ...] | str:
    """Quality of a version by window, or the reason why it is not known."""
    watched = case.versions.get(version)
    if watched is None:
        return f"version {version} is not monitored"
    reason = why_inconclusive(watched, case.now, case.evaluation_interval)
    return reason if reason or watched.findings is None else watched.findings.quality


def target_history(case: Case) -> str:
    """Refuse a version that a rollback has taken the alias from, or that lost it while it was degraded.

    A version that a better one replaced is no worse for that. By the ledger of actions and the audit trail:
    what came before the trail, or was erased, is unknown.
    """
    action = case.action
    for other in case.others:
        moved = other.action == "rollback" and other.executed_at is not None
        if moved and (other.alias, other.model_version) == (action.alias, action.target_version):
            return f"rollback {other.id} took the alias from version {other.model_version}"
    ended = _last_tenure_end(case.moves, action.target_version)
    if ended is None:
        return ""
    bad = case.sources.bad_verdicts(action.model, action.target_version, ended)
    if bad:
        return (
            f"version {action.target_version} was degraded when it lost the alias: {listed(bad, MAX_SHOWN)}"
        )
    return ""


def target_health(case: Case) -> str:
    """Refuse a version that is degraded by its latest evaluation, or, for a rollback, that has drifted.

    A version that is not monitored any more, or has no reference, is not known to be bad. One that cannot be
    evaluated at the moment is.
    """
    target, version = case.target, case.action.target_version
    if target is None or target.findings is None:
        return ""
    if reason := why_inconclusive(target, case.now, case.evaluation_interval):
        return reason
    bad = degradations(target.findings)
    drifted = drifted_columns(target.findings) if case.action.action == "rollback" else []
    bad += [f"column {name!r} has drifted" for name in drifted]
    return f"version {version}: {listed(bad, MAX_SHOWN)}" if bad else ""


def target_blocked(case: Case) -> str:
    """Refuse a version that is tagged `monitoring.blocked=true`."""
    version = case.action.target_version
    try:
        tags = case.sources.version_tags(case.action.model, version)
    except MissingError as error:
        return f"version {version} cannot be read: {error}"
    if tags.get(BLOCKED_TAG, "").strip().lower() == "true":
        return f"version {version} has the tag {BLOCKED_TAG}=true"
    return ""


def target_loads(case: Case) -> str:
    """Refuse a version whose files are gone: MLflow calls it READY all the same."""
    reason = case.sources.why_not_loaded(case.action.model, case.action.target_version)
    return f"version {case.action.target_version} cannot be loaded: {reason}" if reason else ""


def _last_tenure_end(moves: Sequence[AliasMove], version: str) -> float | None:
    """Time at which a version last lost the alias, None if it never had it."""
    ended = None
    for before, after in pairwise(move for move in moves if move.version):
        if version == before.version != after.version:
            ended = after.since
    return ended

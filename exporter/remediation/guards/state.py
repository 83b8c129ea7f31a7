"""Guards on the configuration, on holds, and on the state of the model."""

from __future__ import annotations

from exporter.config.remediation import full_match
from exporter.remediation.action import MOVES
from exporter.remediation.case import Case
from exporter.remediation.evidence import judge


def mode(case: Case) -> str:
    """Refuse what the configuration now in force does not allow."""
    action, policy = case.action, case.policy
    if policy is None:
        return f"the configuration has no policy {action.policy!r} any more"
    if (policy.action, policy.alias) != (action.action, action.alias):
        return f"policy {policy.name!r} is for another action now: {policy.action} of {policy.alias!r}"
    if not full_match(policy.model, action.model):
        return f"policy {policy.name!r} is not for model {action.model!r} any more"
    if case.mode == "off":
        return "remediation is off" if case.config.mode == "off" else f"policy {policy.name!r} is off"
    if case.mode == "dry_run" and action.mode != "dry_run":
        return "it is in dry run now"
    return ""


def hold(case: Case) -> str:
    """Refuse while a person, or an action `freeze`, holds the model, the alias or the policy."""
    action = case.action
    holds = case.sources.holds(action.model, action.alias, action.policy)
    if not holds:
        return ""
    return f"it is on hold: {holds[0].reason}; lift it with `mlflow-exporter remediation resume`"


def visible(case: Case) -> str:
    """Refuse if MLflow's answer lacks the model or a version: that is no proof that it was deleted.

    Without permission on it a model vanishes from MLflow's search.
    """
    action, hint = case.action, "deleted, or this user may not read it"
    if case.known is None:
        return f"MLflow does not list model {action.model!r}: {hint}"
    for version in filter(None, (action.model_version, action.target_version)):
        if version not in case.known:
            return f"MLflow does not list version {version}: {hint}"
    if action.action in MOVES and case.tenure is None:
        return f"MLflow does not list the alias {action.alias!r}: {hint}"
    return ""


def evidence(case: Case) -> str:
    """Refuse unless the exporter's own evaluation finds bad what the alert says, and did so just now.

    An alert that nobody else can confirm may be forged. No data, an old evaluation, or too few rows for a
    verdict prove nothing.
    """
    if case.watched is None:
        return f"version {case.action.model_version} is not monitored"
    found = judge(case.watched, case.labels, case.now, case.evaluation_interval)
    return "" if found.bad else found.reason

"""Guards on the alias: who holds it, since when, and where one step back leads."""

from __future__ import annotations

from exporter.registry.client_errors import MissingError
from exporter.remediation.case import Case


def alias(case: Case) -> str:
    """Refuse unless the alias points in MLflow, now, to the version that the action is to replace.

    A rollback replaces the version that the alert is about. A promotion replaces the holder of the tenure for
    which it was planned.
    """
    action, tenure = case.action, case.tenure
    try:
        holder = case.sources.alias_version(action.model, action.alias)
    except MissingError as error:  # no proof of a deletion either
        return f"the alias {action.alias!r} leads to no version: {error}"
    if not holder:
        return f"the alias {action.alias!r} points to no version"
    if action.action == "rollback" and holder != action.model_version:
        return f"version {holder} holds the alias {action.alias!r}, not {action.model_version}"
    if holder == action.target_version:
        return f"version {holder} holds the alias {action.alias!r} already"
    if tenure is None or (tenure.version, tenure.number) != (holder, action.tenure):
        return f"the alias {action.alias!r} was moved since this was planned"
    return ""


def tenure(case: Case) -> str:
    """Refuse a rollback later than `within` after the version got the alias.

    A version that did well for long is not made better by going back: the world has changed.
    """
    if case.policy is None or case.tenure is None:
        return ""
    held = case.now - case.tenure.since
    if held <= case.policy.within:
        return ""
    longest = _days(case.policy.within)
    return f"version {case.tenure.version} has had the alias for {_days(held)}, at most {longest}"


def one_step(case: Case) -> str:
    """Refuse a rollback to any version but the one before, or to one that is newer.

    A holder that is older than the version before it came from a rollback: its successor was given up.
    """
    action, current = case.action, case.tenure
    if current is None or not current.previous or not action.target_version:
        return f"the history of the alias {action.alias!r} has no version before this one"
    if action.target_version != current.previous:
        return f"version {action.target_version} is not the one before, which is {current.previous}"
    if _number(action.target_version) > _number(current.version):
        return f"version {current.previous} is newer: somebody has gone back from it"
    return ""


def cascade(case: Case) -> str:
    """Refuse a rollback if a rollback has just made the version the holder: two steps need a person."""
    action, current = case.action, case.tenure
    if current is None:
        return ""
    for other in case.others:
        if (
            other.action == "rollback"
            and other.alias == action.alias
            and other.executed_at is not None
            and other.target_version == current.version
            and current.number <= other.tenure + 1
        ):
            return f"version {current.version} holds the alias by the rollback {other.id}"
    return ""


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else 0


def _days(seconds: float) -> str:
    return f"{seconds / 86400:.3g} days"

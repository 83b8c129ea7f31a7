"""Verifies that a moved alias helped, by the target's own predictions after the move.

An alias that moved is no traffic that moved, since consumers load a model at their own time. So the target
has to get predictions after the move, and most of the rows that the verdict rests on have to be such. The
verdict is on what the alert said, of the target. All of this is in the store, so a restart changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from exporter.fleet import Version
from exporter.remediation.action import Action
from exporter.remediation.evidence import Judgement
from exporter.settings import Window
from exporter.storage.action_states import State

PATIENCE = 3.0  # times the time after which the effect is verified, at most, until it counts as unknown
NEW_SHARE = 0.5  # of the rows of a window that are from after the move


# Verdict on a version by the labels of an alert, at a time.
Judge = Callable[[Version, Mapping[str, str], float], Judgement]


@dataclass(frozen=True)
class Verification:
    """Result of one look; `state` is None while nothing can be said yet, for the `reason`."""

    state: State | None
    reason: str
    evidence: Mapping[str, Any]


def plan_verification(
    moved_at: float, after_seconds: float, maturation_seconds: float, windows: tuple[Window, ...]
) -> dict[str, float]:
    """Times of a verification, to be stored with the action, in seconds since the epoch.

    Args:
        moved_at: time of the move.
        after_seconds: `verify.after` of the policy.
        maturation_seconds: time that labels of the model take.
        windows: of the evaluation. No verdict rests on less than the shortest.
    """
    after = max(after_seconds, windows[0].seconds)
    return {
        "moved_at": moved_at,
        "verify_at": moved_at + after,
        "verify_until": moved_at + PATIENCE * after + maturation_seconds,
    }


def verify(action: Action, version: Version | None, judge: Judge, now: float) -> Verification:
    """Judge the target of a move.

    Args:
        action: in state VERIFYING, with the times of `plan_verification` in its data.
        version: the target, None if it is not monitored.
        judge: see `Judge`.
        now: seconds since the epoch.
    """
    moved_at, verify_at, until = (
        float(action.data[name]) for name in ("moved_at", "verify_at", "verify_until")
    )
    # The alert of a promotion says something good: any bad verdict counts.
    labels = {} if action.action == "promote" else action.labels
    evidence = gather(version, moved_at, now, labels.get("window", ""))
    if now < verify_at:
        return Verification(None, f"it is verified from {shown(verify_at)} on", evidence)
    why = _why_not_yet(version, evidence, verify_at)
    if not why and version is not None:
        judgement = judge(version, labels, now)
        if judgement.bad is not None:
            state = State.NOT_RECOVERED if judgement.bad else State.RECOVERED
            return Verification(state, _explain(action, labels, judgement), evidence)
        why = judgement.reason
    if now < until:
        return Verification(None, why, evidence)
    return Verification(State.NOT_RECOVERED, f"inconclusive: {why}", evidence)


def gather(version: Version | None, moved_at: float, now: float, window: str = "") -> dict[str, Any]:
    """Evidence on a version, for people and for the audit trail.

    Args:
        version: None if it is not monitored.
        moved_at: time of the move, in seconds since the epoch.
        now: likewise.
        window: name of the window that the alert is about; else the shortest counts.

    Returns:
        `new_rows` after the move, and of the window its name and `window_rows`; `last_prediction` and
        `evaluated_at` in seconds since the epoch. What is unknown is None.
    """
    found: dict[str, Any] = {
        "new_rows": 0,
        "window": None,
        "window_rows": None,
        "last_prediction": None,
        "evaluated_at": None,
        "reference_digest": None,
    }
    if version is None:
        return found
    found["last_prediction"] = version.last_prediction
    if (counts := version.counts) is not None:
        blocks = counts.timeline.snapshot(now).blocks()
        # Of the block in which the alias moved it is not known which rows came after.
        found["new_rows"] = sum(block.rows for start, _, block in blocks if start >= moved_at)
        found["reference_digest"] = counts.reference.digest
    if (evaluation := version.evaluation) is not None:
        judged = next((w for w in evaluation.windows if w.window.name == window), evaluation.windows[0])
        found |= {
            "window": judged.window.name,
            "window_rows": judged.rows,
            "evaluated_at": evaluation.at,
        }
    return found


def _explain(action: Action, labels: Mapping[str, str], judgement: Judgement) -> str:
    target = f"version {action.target_version}"
    if action.action == "promote":  # its alert says nothing bad
        return f"a verdict on {target} is bad" if judgement.bad else f"no verdict on {target} is bad"
    name = labels.get("alertname", "the alert")
    return (
        f"{name} is true of {target} too: {judgement.reason}"
        if judgement.bad
        else f"{name} is not true of {target}"
    )


def _why_not_yet(version: Version | None, evidence: Mapping[str, Any], verify_at: float) -> str:
    """Reason why a verdict on the target would say nothing about the time since the move, empty if none."""
    if version is None:
        return "the version is not monitored"
    if not evidence["new_rows"]:
        return "the version got no predictions since the alias moved"
    if evidence["evaluated_at"] is None or evidence["evaluated_at"] < verify_at:
        return "it was not evaluated since"
    if evidence["new_rows"] < NEW_SHARE * evidence["window_rows"]:
        return f"most rows of the window {evidence['window']} are from before the alias moved"
    return ""


def shown(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")

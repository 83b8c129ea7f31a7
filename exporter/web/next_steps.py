"""Next steps of a person about a version: links and commands. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.fleet import Fleet, Version
from exporter.formats.addresses import version_path
from exporter.remediation.action import Action
from exporter.storage.action_states import State
from exporter.storage.reports import ReportState, StoredReport
from exporter.storage.schema import AliasMove
from exporter.views.reasons import Reason

MAX_ACTIONS = 3  # that wait for a person
# Alerts about what the model answers. A rollback does not help against drift of what it is asked.
OUTPUT_ALERTS = {
    "ModelQualityDegraded",
    "ModelEstimatedQualityDegraded",
    "ModelSegmentQualityDegraded",
    "ModelPredictionDrift",
    "ModelPredictionChanged",
}


@dataclass(frozen=True)
class Step:
    """Something to do.

    `link` is a path from the root, `command` is for a shell; they are empty for none. `until` is a time with
    which the text ends, in seconds since the epoch.
    """

    text: str
    link: str = ""
    command: str = ""
    until: float | None = None


def next_steps(
    version: Version,
    fleet: Fleet,
    reasons: Sequence[Reason],
    actions: Sequence[Action],
    reports: Sequence[StoredReport],
    window: str,
) -> tuple[Step, ...]:
    """Steps in the order in which they are worth doing; none if nothing is bad.

    Args:
        version: that is shown.
        fleet: with the history of its aliases.
        reasons: why it is in a bad state.
        actions: of remediation about it.
        reports: about it, the newest first.
        window: name of the window that is shown.
    """
    waiting = [each for each in actions if each.state in (State.AWAITING_APPROVAL, State.INTERRUPTED)]
    steps = [_decide(action) for action in waiting[:MAX_ACTIONS]]
    if not reasons:
        return tuple(steps)
    alerts = {reason.runbook for reason in reasons}
    done = next((each for each in reports if each.state is ReportState.DONE), None)
    if done is not None:
        link = f"{version_path(*version.names)}/reports/{done.id}"
        steps.append(
            Step(f"See the full picture: the report of the {done.window} until", link, until=done.end)
        )
    else:
        steps.append(
            Step("Have the full picture: a report of this window", command=report_command(version, window))
        )
    for alias in version.aliases if OUTPUT_ALERTS & alerts else ():
        before = previous_holder(fleet.history(version.model, alias))
        if before:
            names = (version.model, alias, before)
            move = ", ".join(json.dumps(name, ensure_ascii=False) for name in names)
            script = f"import mlflow; mlflow.MlflowClient().set_registered_model_alias({move})"
            steps.append(
                Step(
                    f"Roll back: give {alias} to version {before} again, which had it before",
                    command=shlex.join(("python", "-c", script)),
                )
            )
    if any(alert.endswith(("Drift", "Drifted", "Changed")) for alert in alerts):
        rebaseline = ("rebaseline", version.model, version.version, "--live", "28d", "--reason", "...")
        steps.append(
            Step(
                "Accept it, if this is normal from now on: make recent traffic the reference",
                command=_command(*rebaseline),
            )
        )
    return tuple(steps)


def previous_holder(moves: Sequence[AliasMove]) -> str:
    """Version that had an alias before its present one; empty if none did."""
    held = [move.version for move in moves if move.version]
    return next((version for version in reversed(held) if version != held[-1]), "")


def report_command(version: Version, window: str) -> str:
    """Command that asks for a report of a window."""
    return _command("report", *version.names, "--window", window)


def _decide(action: Action) -> Step:
    target = f" of {action.alias} to version {action.target_version}" if action.target_version else ""
    return Step(
        f"Decide: the {action.action}{target} by policy {action.policy} waits for a person",
        command=_command("remediation", "approve", action.id[:12], "--reason", "..."),
    )


def _command(*parts: str) -> str:
    return shlex.join(("mlflow-exporter", *parts))

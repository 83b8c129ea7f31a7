"""Requests to targets, and their outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["accepted", "refused", "unknown", "unreachable"]
RunState = Literal["running", "succeeded", "failed", "missing", "unanswered", "untold"]


@dataclass(frozen=True)
class Job:
    """A run that an action asks for.

    Attributes:
        action_id: of the action, 40 hexadecimal digits.
        values: by name of placeholder, for the body's template.
        planned_at: time at which the action was planned; its run is no older. Seconds since the epoch.
    """

    action_id: str
    values: Mapping[str, str]
    planned_at: float

    @property
    def name(self) -> str:
        """Name of the run where it has one: 56 characters, valid in Kubernetes."""
        return f"mlflow-exporter-{self.action_id}"


@dataclass(frozen=True)
class Dispatch:
    """Outcome of asking for a run.

    Attributes:
        outcome: accepted; refused: no run was started, and the same would be refused again; unknown: a run
            may have been started; unreachable: no run was started.
        run: the target's own name of the run; empty if it gives none.
        url: page of the run, for people.
        reason: why it was not accepted.
        repeatable: the same may be asked again, as a repeated dispatch, without a second run.
    """

    outcome: Outcome
    run: str = ""
    url: str = ""
    reason: str = ""
    repeatable: bool = False


@dataclass(frozen=True)
class Progress:
    """State of a run.

    Attributes:
        state: running; succeeded; failed; missing: the target has no such run; unanswered: no usable answer;
            untold: it never tells.
        detail: the target's own word for it, or why there is no answer.
        url: page of the run.
    """

    state: RunState
    detail: str = ""
    url: str = ""

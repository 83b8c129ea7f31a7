"""Actions that a target carries out: a retraining, from its request to the version that it registers.

One id leads from the alert to the new version: the target's run has it, and the training job puts it into the
tag `monitoring.action_id` of the version that it registers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from exporter.config.body_template import LABEL_PREFIX
from exporter.errors import RegistryError
from exporter.formats.texts import first_line, utc_text
from exporter.registry.registry import Registry
from exporter.remediation.action import ACTION_TAG, Action
from exporter.remediation.targets import Job, Progress, Targets

MAX_MISSING_SECONDS = 600.0  # until a run that was accepted, and is not there, counts as lost
MAX_REGISTRATION_SECONDS = 3600.0  # from the end of a run to the version that it registers

JobStatus = Literal["accepted", "refused", "unknown", "unreachable", "running", "succeeded", "failed"]


@dataclass(frozen=True)
class JobOutcome:
    """Outcome of a dispatch, or state of a run.

    Attributes:
        status: accepted, refused, unknown and unreachable as in `Dispatch`; running; succeeded: the run ended
            well and its version is registered; failed: it did not, or was lost.
        reason: for people.
        data: to be kept with the action.
        repeatable: the same dispatch may be made again without a second run.
    """

    status: JobStatus
    reason: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    repeatable: bool = False


class Jobs:
    """Runs of the actions. Methods block, and are called from one thread.

    Args:
        targets: returns the targets now configured.
        registry: MLflow.
        clock: seconds since the epoch.
        follow_seconds: between two looks at a run.
        rest_seconds: for which a target that did not answer is left alone: a look may take 20 seconds, in
            which the engine does nothing else.
    """

    def __init__(
        self,
        targets: Callable[[], Targets],
        registry: Registry,
        clock: Callable[[], float],
        *,
        follow_seconds: float = 5.0,
        rest_seconds: float = 60.0,
    ) -> None:
        self._follow_seconds = follow_seconds
        self._rest_seconds = rest_seconds
        self._targets = targets
        self._registry = registry
        self._clock = clock
        # Times since which a run is missing, or has ended without its version, by action and state. A restart
        # forgets them, and waits anew.
        self._since: dict[tuple[str, str], float] = {}
        self._next_look: dict[str, float] = {}  # by action
        self._rests_until: dict[str, float] = {}  # by target

    def dispatch(self, action: Action, target: str, repeated: bool) -> JobOutcome:
        """Ask a target to carry out an action.

        Args:
            action: whose id names the run.
            target: name of the target.
            repeated: an earlier attempt may have asked.
        """
        result = self._targets().dispatch(target, job_of(action), repeated)
        run = {"target": target, "id": result.run, "url": result.url}
        data = {"run": run} if result.outcome == "accepted" else {}
        return JobOutcome(result.outcome, result.reason, data, result.repeatable)

    def follow(self, action: Action, challenger_alias: str = "") -> JobOutcome:
        """State of the run of an action that was accepted.

        Args:
            action: with the data of its dispatch.
            challenger_alias: given to the new version; empty for none.

        Raises:
            RegistryError: MLflow could not be asked.
        """
        run = action.data.get("run", {})
        targets, target = self._targets(), str(run.get("target", ""))
        timeout = targets.timeout_seconds(target)
        now = self._clock()
        if now < self._rests_until.get(target, now):
            progress = Progress("unanswered", f"{target} did not answer a moment ago")
        elif now < self._next_look.get(action.id, now):
            return JobOutcome("running")
        else:
            progress = targets.follow(target, job_of(action), str(run.get("id", "")))
            self._next_look[action.id] = self._clock() + self._follow_seconds
            if progress.state == "unanswered":
                self._rests_until[target] = self._clock() + self._rest_seconds
        outcome = self._judge(action, progress, timeout, challenger_alias)
        if outcome.status != "running":
            self._next_look.pop(action.id, None)
            for state in ("missing", "succeeded"):
                self._since.pop((action.id, state), None)
        return outcome

    def _judge(self, action: Action, progress: Progress, timeout: float, challenger_alias: str) -> JobOutcome:
        now = self._clock()
        ran = now - (action.updated_at if action.executed_at is None else action.executed_at)
        said = f"{progress.state} {progress.detail}".strip()
        if progress.state == "failed":
            return JobOutcome("failed", f"the run ended as {progress.detail}")
        if progress.state != "missing":
            self._since.pop((action.id, "missing"), None)
        if progress.state not in ("running", "unanswered") or ran > timeout:
            version = self._registry.tagged_version(action.model, ACTION_TAG, action.id)
            if version:
                return self._succeed(action, version, challenger_alias)
        if progress.state in ("missing", "succeeded"):
            waited = now - self._since.setdefault((action.id, progress.state), now)
            if progress.state == "succeeded" and waited > MAX_REGISTRATION_SECONDS:
                return JobOutcome("failed", f"the run ended, and no version has the tag {ACTION_TAG}")
            if progress.state == "missing" and waited > MAX_MISSING_SECONDS:
                return JobOutcome("failed", "the target accepted the run and has lost it")
        elif ran > timeout:
            return JobOutcome("failed", f"not ended after {ran / 3600:.1f} hours; last: {said}")
        return JobOutcome("running", said)

    def _succeed(self, action: Action, version: str, challenger_alias: str) -> JobOutcome:
        data: dict[str, Any] = {"challenger": version}
        if challenger_alias:
            try:
                before = self._registry.read_alias(action.model, challenger_alias).version
                self._registry.set_alias(action.model, challenger_alias, version)
            except RegistryError as error:
                data["challenger_alias_problem"] = first_line(error)
            else:
                data |= {"challenger_alias": challenger_alias, "challenger_before": before}
        return JobOutcome("succeeded", f"version {version} is registered", data)


def job_of(action: Action) -> Job:
    """Return what a target is asked for by an action."""
    labels, starts_at = action.labels, action.alert.get("starts_at")
    values = {
        "action_id": action.id,
        "policy": action.policy,
        "alertname": labels.get("alertname", ""),
        "severity": labels.get("severity", ""),
        "starts_at": "" if starts_at is None else utc_text(starts_at),
        "model": action.model,
        "model_version": action.model_version,
        "alias": action.alias,
        **{f"{LABEL_PREFIX}{name}": value for name, value in labels.items()},
    }
    return Job(action.id, values, action.created_at)

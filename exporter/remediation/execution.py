"""Carries out actions that were claimed, each by its kind."""

from __future__ import annotations

from collections.abc import Callable

from exporter.config.remediation import Policy
from exporter.errors import RegistryError
from exporter.registry.client_errors import MissingError
from exporter.remediation.action import MOVES, Action
from exporter.remediation.alias_move import AliasMover, Outcome, attempt_move
from exporter.remediation.parts import Parts
from exporter.storage.action_states import State

DELAYS = (0.0, 1.0, 2.0, 4.0, 8.0)  # seconds before each try of a call to MLflow
MAX_ATTEMPTS = 5  # claims of one action


class Executor:
    """Carries out claimed actions. Calls block, for at most about the time of a lease.

    Args:
        parts: of the exporter.
        may_act: False once an action's lease is about to end, or another process may lead.
        wait: sleeps for some seconds, or until the process stops.
    """

    def __init__(
        self, parts: Parts, may_act: Callable[[Action], bool], wait: Callable[[float], None]
    ) -> None:
        self._parts = parts
        self._may_act = may_act
        self._wait = wait

    def execute(self, action: Action, policy: Policy, *, repeated: bool) -> Outcome:
        """Carry out an action.

        Args:
            action: claimed.
            policy: of the action.
            repeated: an earlier attempt may have done so already, and nobody has looked since.

        Returns:
            APPLIED, CONFLICT, FAILED or INTERRUPTED; EXECUTING if it has to be tried again after the lease.
        """
        if not self._may_act(action):
            return Outcome(State.EXECUTING, "this process cannot be certain that it leads")
        if action.action in MOVES:
            mover = AliasMover(self._parts.registry, action, lambda: self._may_act(action))
            return attempt_move(mover, DELAYS, self._wait)
        if action.action == "tag":
            return self._tag(action, policy)
        if action.action == "freeze":
            return self._freeze(action)
        return self._dispatch(action, policy, repeated=repeated)

    def inspect(self, action: Action) -> Outcome:
        """Find out, without doing anything, how an attempt ended that was broken off long ago.

        Raises:
            RegistryError: MLflow did not answer as it should.
        """
        if action.action in MOVES:
            return AliasMover(self._parts.registry, action, lambda: False).inspect()
        return Outcome(State.INTERRUPTED, "it was broken off, and may have taken effect")

    def _tag(self, action: Action, policy: Policy) -> Outcome:
        assert policy.tag is not None  # checked with the configuration
        name, value = policy.tag.name, policy.tag.value
        last = ""
        for delay in DELAYS:
            self._wait(delay)
            try:
                self._parts.registry.set_version_tag(action.model, action.model_version, name, value)
            except MissingError as error:
                return Outcome(State.FAILED, f"version {action.model_version} is gone: {error}")
            except RegistryError as error:
                last = str(error)
            else:
                return Outcome(State.APPLIED, f"the version has the tag {name}", {"tag": {name: value}})
        return Outcome(State.FAILED, last)

    def _freeze(self, action: Action) -> Outcome:
        alertname = action.labels.get("alertname", "an alert")
        reason = f"frozen by policy {action.policy} for {alertname}"
        new = self._parts.holds.place(action.actor, action.model, reason=reason, action_id=action.id)
        return Outcome(State.APPLIED, "the model is held" if new else "the model was held already")

    def _dispatch(self, action: Action, policy: Policy, *, repeated: bool) -> Outcome:
        result = self._parts.runs.dispatch(action, policy.target or "", repeated)
        if result.status == "accepted":
            return Outcome(State.APPLIED, result.reason or "the target has accepted it", result.data)
        if result.status == "refused":
            return Outcome(State.FAILED, result.reason, result.data)
        if result.repeatable and action.attempt < MAX_ATTEMPTS:
            return Outcome(State.EXECUTING, result.reason, result.data)
        ended = State.FAILED if result.status == "unreachable" else State.INTERRUPTED
        return Outcome(ended, result.reason, result.data)

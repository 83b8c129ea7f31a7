"""Follows actions that took effect: until the move is seen, traffic has moved, or a run has ended."""

from __future__ import annotations

from exporter.fleet import Version
from exporter.remediation.action import MOVES, Action
from exporter.remediation.alias_move import expected_version
from exporter.remediation.objections import Objections
from exporter.remediation.parts import Parts
from exporter.remediation.transitions import Transitions
from exporter.remediation.verification import plan_verification, shown, verify
from exporter.settings import Window
from exporter.storage.action_states import State


class FollowUp:
    """Follows applied actions to their ends.

    Args:
        parts: of the exporter.
        transitions: of the actions.
        objections: of people who move an alias back.
        windows: of the evaluation.
    """

    def __init__(
        self, parts: Parts, transitions: Transitions, objections: Objections, windows: tuple[Window, ...]
    ) -> None:
        self._parts = parts
        self._transitions = transitions
        self._objections = objections
        self._windows = windows

    def follow(self, action: Action) -> None:
        """Take an applied action to its verification or its end.

        Raises:
            RegistryError: MLflow did not answer; to be tried again.
        """
        if action.action in MOVES:
            self._await_move(action)
        elif action.action == "retrain":
            result = self._parts.runs.follow(action, self._parts.policy(action).challenger_alias or "")
            if result.status in ("succeeded", "failed"):
                state = State.RECOVERED if result.status == "succeeded" else State.NOT_RECOVERED
                self._transitions.advance(action, state, result.reason, data=result.data)
        else:
            reason = "it is done; there is nothing to verify"
            self._transitions.advance(action, State.RECOVERED, reason)

    def verify(self, action: Action) -> None:
        """Take an action that is being verified to its end, as soon as there is a verdict.

        Raises:
            RegistryError: MLflow did not answer; to be tried again.
        """
        tenure = self._parts.tenure(action)
        if tenure is not None and tenure.version != action.target_version:
            self._give_way(action, tenure.version, moved_back=self._objections.moved_back(action))
            return
        result = verify(action, self._target(action), self._parts.judge, self._parts.clock())
        if result.state is not None:
            data = {"evidence": dict(result.evidence)}
            self._transitions.advance(action, result.state, result.reason, data=data)

    def _await_move(self, action: Action) -> None:
        tenure = self._parts.tenure(action)
        if tenure is not None and tenure.version == action.target_version:
            self._begin_verification(action)
            return
        found = self._parts.registry.read_alias(action.model, action.alias)
        if found.version == action.target_version:
            self._parts.poll()
        else:
            # Taken away before the discovery saw the move, so the history does not show it.
            self._give_way(action, found.version, moved_back=found.version == expected_version(action))

    def _begin_verification(self, action: Action) -> None:
        target = self._target(action)
        times = plan_verification(
            action.executed_at or action.updated_at,
            self._parts.policy(action).verify.after,
            target.facts.config.maturation if target is not None else 0.0,
            self._windows,
        )
        reason = f"the move was seen; its effect is judged from {shown(times['verify_at'])} on"
        self._transitions.advance(action, State.VERIFYING, reason, data=times)

    def _give_way(self, action: Action, version: str, *, moved_back: bool) -> None:
        if moved_back:
            self._objections.hold(action)
        reason = f"the alias was moved to version {version}" if version else "the alias was removed"
        self._transitions.advance(action, State.SUPERSEDED, f"{reason} by somebody else")

    def _target(self, action: Action) -> Version | None:
        return self._parts.fleet.versions.get((action.model, action.target_version))

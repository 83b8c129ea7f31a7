"""Moves an alias once: whichever attempt finds it moved by the action takes that as its own success.

MLflow has no compare-and-set: a move by somebody else between our read and our write, some tenths of a
second, is overwritten. The tag with the action's id is set first, so that after a crash an alias that points
to the target can be told from one that a person moved there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.errors import RegistryError
from exporter.registry.client_errors import MissingError
from exporter.registry.models import AliasState
from exporter.registry.registry import Registry
from exporter.remediation.action import ACTION_TAG, Action
from exporter.storage.action_states import State


@dataclass(frozen=True)
class Outcome:
    """State that an attempt leads to, with its reason for people and the data to keep."""

    state: State
    reason: str
    data: Mapping[str, Any] = field(default_factory=dict)


class AliasMover:
    """One attempt of an action to move its alias; `asked` is True once MLflow was asked to move it.

    Args:
        registry: MLflow.
        action: a rollback or a promotion that was claimed.
        may_act: False once the lease is over.
    """

    def __init__(self, registry: Registry, action: Action, may_act: Callable[[], bool]) -> None:
        self._registry = registry
        self._action = action
        self._may_act = may_act
        self._expected = expected_version(action)
        self.asked = False

    def move(self) -> Outcome:
        """Move the alias from the version expected to the target. It may be called again after an error.

        Returns:
            APPLIED, CONFLICT if somebody else was first, FAILED, or EXECUTING if the lease is over.

        Raises:
            RegistryError: MLflow did not answer as it should.
        """
        action = self._action
        try:
            found = self._read()
            tagged = self._is_tagged()  # after the alias, which a replica sets after the tag
            if (outcome := self._judge(found, ours=tagged)) is not None:
                return outcome
            if not tagged:
                self._registry.set_model_tag(action.model, ACTION_TAG, action.id)
                # From here on it may have been another replica with the same action.
                if (outcome := self._judge(self._read(), ours=True)) is not None:
                    return outcome
        except MissingError as error:
            return Outcome(State.FAILED, f"the model is gone: {error}")
        if not self._may_act():
            return Outcome(State.EXECUTING, "MLflow was too slow for the lease")
        try:
            self.asked = True
            self._registry.set_alias(action.model, action.alias, action.target_version)
        except MissingError as error:
            return Outcome(State.FAILED, f"version {action.target_version} is gone: {error}")
        return self._confirm()

    def inspect(self) -> Outcome:
        """Find out, without moving anything, how an attempt ended that was broken off.

        Returns:
            APPLIED, CONFLICT, FAILED, or INTERRUPTED if the alias is where it was.

        Raises:
            RegistryError: MLflow did not answer as it should.
        """
        try:
            outcome = self._judge(self._read(), ours=self._is_tagged())
        except MissingError as error:
            return Outcome(State.FAILED, f"the model is gone: {error}")
        unmoved = "it was broken off, and the alias was not moved, or was moved back since"
        return outcome or Outcome(State.INTERRUPTED, unmoved, self._data(self._expected))

    def _is_tagged(self) -> bool:
        return self._registry.model_tags(self._action.model).get(ACTION_TAG) == self._action.id

    def _read(self) -> AliasState:
        return self._registry.read_alias(self._action.model, self._action.alias)

    def _judge(self, found: AliasState, *, ours: bool) -> Outcome | None:
        """Outcome if the alias need not or must not be moved, None if it is where it is expected."""
        target = self._action.target_version
        if found.version == target and ours:
            if found.dangling:
                return self._mend()
            return Outcome(State.APPLIED, f"the alias points to version {target}", self._data(target))
        if found.version == self._expected and not found.dangling:
            return None
        return self._conflict(found)

    def _confirm(self) -> Outcome:
        """Read back, by loading the version, where the alias points now."""
        target, found = self._action.target_version, self._read()
        if found.version != target:
            return self._conflict(found)
        if found.dangling:
            return self._mend()
        return Outcome(State.APPLIED, f"the alias points to version {target}", self._data(target))

    def _mend(self) -> Outcome:
        """Have the alias point to the earlier version again, as that of the target was deleted meanwhile."""
        action, back = self._action, self._expected
        gone = f"version {action.target_version} was deleted while the alias was set to it"
        try:
            if not back:
                raise MissingError("the alias pointed to no version before")
            self._registry.set_alias(action.model, action.alias, back)
            found = self._read()
        except MissingError as error:
            return Outcome(State.FAILED, f"{gone}, and it dangles: {error}", {"dangling": True})
        if found != AliasState(back):
            return Outcome(State.FAILED, f"{gone}, and it points to version {found.version} now")
        mended = f"{gone}; it points to version {back} again"
        return Outcome(State.FAILED, mended, {**self._data(back), "mended": True})

    def _conflict(self, found: AliasState) -> Outcome:
        holder = f"version {found.version}" if found.version else "no version"
        lost = ", which is gone" if found.dangling else ""
        expected = f"version {self._expected}" if self._expected else "none"
        reason = f"the alias points to {holder}{lost}, not to {expected}: somebody else moved it"
        return Outcome(State.CONFLICT, reason, {"expected": self._expected, "found": found.version})

    def _data(self, after: str) -> dict[str, Any]:
        return {"alias_before": self._expected, "alias_after": after}


def expected_version(action: Action) -> str:
    """The version that the alias has to point to when an action moves it."""
    return str(action.data.get("holder", action.model_version))


def attempt_move(mover: AliasMover, delays: tuple[float, ...], wait: Callable[[float], None]) -> Outcome:
    """Try to move an alias until MLflow answers.

    Args:
        mover: of the attempt.
        delays: seconds before each try.
        wait: sleeps.

    Returns:
        As `AliasMover.move`; where MLflow never answered FAILED, or INTERRUPTED if the alias may have moved.
    """
    last = ""
    for delay in delays:
        wait(delay)
        try:
            return mover.move()
        except RegistryError as error:
            last = str(error)
    if mover.asked:
        return Outcome(State.INTERRUPTED, f"the alias may have been moved: {last}")
    return Outcome(State.FAILED, last)

"""Decisions of people: they approve or reject an action, and lift a hold."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from exporter.errors import ConflictError, UnknownActionError
from exporter.exposition.remediation import RemediationTelemetry
from exporter.remediation.action import REJECTED, Action
from exporter.remediation.holds import Holds
from exporter.remediation.ledger import Ledger
from exporter.storage.action_states import State

MIN_ID = 8  # digits, as in the log
# States in which an approval has led to nothing.
_IN_VAIN = (State.REFUSED, State.EXPIRED, State.SUPERSEDED)


class Approvals:
    """Decisions of people, named by their tokens. Methods may be called from any thread, and more than once.

    Args:
        ledger: the actions.
        holds: the holds.
        telemetry: counts rejections.
        wake: has the engine look at the actions now, which asks the guards again.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        ledger: Ledger,
        holds: Holds,
        telemetry: RemediationTelemetry,
        wake: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._holds = holds
        self._telemetry = telemetry
        self._wake = wake
        self._clock = clock

    def find(self, action_id: str) -> Action:
        """Return an action by its id, or by the first eight digits of it or more.

        Raises:
            UnknownActionError: there is none, or more than one.
        """
        found = self._ledger.starting_with(action_id) if len(action_id) >= MIN_ID else []
        if len(found) != 1:
            least = f"; at least {MIN_ID} digits are needed" if len(action_id) < MIN_ID else ""
            raise UnknownActionError(
                f"{'two actions begin with' if found else 'there is no action'} {action_id}{least}"
            )
        return found[0]

    def approve(self, action_id: str, actor: str, reason: str) -> Action:
        """Approve an action that waits for approval or was interrupted; one that was approved stays so.

        Raises:
            UnknownActionError: there is no such action.
            ConflictError: it cannot be approved, or not any more.
        """
        action = self.find(action_id)
        if action.approved_by and action.state not in _IN_VAIN:
            return action
        until = action.data.get("approve_until", inf)
        if action.state is State.AWAITING_APPROVAL and self._clock() >= until:
            raise ConflictError(
                "it was not approved in time; the next repetition of its alert plans it again"
            )
        approved = self._ledger.approve(action, actor, reason)
        if approved is None:
            latest = self.find(action.id)
            if latest.approved_by and latest.state not in _IN_VAIN:  # somebody else was faster
                return latest
            raise ConflictError(_why_not(latest))
        self._wake()
        return approved

    def reject(self, action_id: str, actor: str, reason: str) -> Action:
        """Refuse an action for good; one that was rejected stays so.

        Raises:
            UnknownActionError: there is no such action.
            ConflictError: it cannot be rejected, or not any more.
        """
        action = self.find(action_id)
        rejected = self._ledger.reject(action, actor, reason)
        if rejected is None:
            latest = self.find(action.id)
            if latest.guard == REJECTED:
                return latest
            raise ConflictError(_why_not(latest))
        self._telemetry.count_end(rejected.action, rejected.state)
        self._telemetry.count_refused(REJECTED)
        return rejected

    def resume(self, actor: str, model: str, alias: str, policy: str, reason: str) -> int:
        """Lift holds on a model, and return their number.

        Args:
            actor: who lifts them.
            model: the model.
            alias: only holds that name this alias; empty for all.
            policy: only holds that name this policy; empty for all.
            reason: for people.

        Raises:
            ConflictError: there is no such hold.
        """
        lifted = self._holds.lift(actor, model, alias, policy, reason=reason)
        if not lifted:
            raise ConflictError(f"no hold on model {model!r} is in force that this names")
        self._wake()
        return lifted


def _why_not(action: Action) -> str:
    approved = f"it was approved by {action.approved_by}, and " if action.approved_by else "it "
    return f"{approved}is {action.state}" + (f": {action.reason}" if action.reason else "")

"""Decides about actions that have not been carried out: guards, mode and approval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exporter.config.remediation import MODES, Mode
from exporter.formats.texts import first_line
from exporter.remediation.action import MOVES, Action
from exporter.remediation.alias_move import expected_version
from exporter.remediation.guards import GuardAnswer
from exporter.remediation.parts import Parts
from exporter.remediation.transitions import Transitions, as_data
from exporter.storage.action_states import State

PATIENCE_SECONDS = 600.0  # for which a decision waits for MLflow
AUTO_TAG = "monitoring.auto_rollback"
UNDECIDABLE = "registry"  # guard of what could not be decided, since MLflow did not answer
YES = ("true", "1", "yes", "on")


class Decisions:
    """Decides about planned actions and those that wait for approval."""

    def __init__(self, parts: Parts, transitions: Transitions) -> None:
        self._parts = parts
        self._transitions = transitions

    def decide(self, action: Action) -> bool:
        """True if a planned action is to be carried out now; else it is taken to where it belongs.

        Raises:
            RegistryError: MLflow did not answer; to be tried again.
        """
        refusals = self._ask_guards(action)
        if refusals is None:
            return False
        if action.mode == "dry_run":
            self._rehearse(action, refusals)
        elif refusals:
            self._transitions.refuse(action, refusals)
        elif why := self._why_not_at_once(action):
            data = {"approve_until": self._parts.clock() + self._parts.policy(action).approve_within}
            self._transitions.advance(action, State.AWAITING_APPROVAL, why, data=data)
        else:
            return True
        return False

    def check_approval(self, action: Action) -> bool:
        """True if an action was approved and passes the guards again; an approval that is late expires.

        Raises:
            RegistryError: MLflow did not answer; to be tried again.
        """
        if action.approved_by:
            refusals = self._ask_guards(action)
            if refusals:
                self._transitions.refuse(action, refusals)
            return refusals is not None and not refusals
        if self.has_moved_on(action):
            self._transitions.advance(action, State.SUPERSEDED, "the alias was moved meanwhile")
        elif self._parts.clock() >= float(action.data["approve_until"]):
            self._transitions.advance(action, State.EXPIRED, "it was not approved in time")
        return False

    def has_moved_on(self, action: Action) -> bool:
        """True if the alias was seen at another version than that which it is to be moved from."""
        tenure = self._parts.tenure(action)
        return action.action in MOVES and tenure is not None and tenure.version != expected_version(action)

    def _ask_guards(self, action: Action) -> Sequence[GuardAnswer] | None:
        """Refusals by the guards; None if they could not be asked for so long that the action was refused."""
        now = self._parts.clock()
        try:
            return self._parts.guards(action, now)
        except Exception as error:
            if now - action.updated_at < PATIENCE_SECONDS:
                raise
            reason = f"it could not be decided: {first_line(error)}"
            self._transitions.advance(action, State.REFUSED, reason, guard=UNDECIDABLE)
            return None

    def _rehearse(self, action: Action, refusals: Sequence[GuardAnswer]) -> None:
        would = describe(action)
        stops = "; ".join(f"{refusal.guard}: {refusal.reason}" for refusal in refusals)
        reason = f"would {would}, and would be refused ({stops})" if refusals else f"would {would}"
        data = {"would": would, "refusals": as_data(refusals)}
        self._transitions.advance(action, State.DRY_RUN, reason, data=data)

    def _why_not_at_once(self, action: Action) -> str:
        """Reason why an action needs approval, empty if it is carried out at once."""
        mode = self._mode(action)
        if mode != "auto":
            return f"the mode is {mode}"
        if action.attempt:
            return "an earlier attempt was interrupted"
        if action.action in MOVES and not is_tagged_auto(self._parts.registry.model_tags(action.model)):
            return f"{action.model} has no tag {AUTO_TAG}=true"
        return ""

    def _mode(self, action: Action) -> Mode:
        """Mode of an action: the more careful of those when it was planned and now."""
        config = self._parts.config()
        policy = config.find(action.policy)
        now: Mode = config.effective_mode(policy) if policy is not None else "off"
        return min(action.mode, now, key=MODES.index)


def is_tagged_auto(tags: Mapping[str, str]) -> bool:
    """True if the owner of a model with these tags has its aliases moved without a person."""
    return tags.get(AUTO_TAG, "").strip().lower() in YES


def describe(action: Action) -> str:
    """The action as the end of a sentence, such as `move the alias ...`."""
    move = f"move the alias {action.alias} of {action.model} from version {expected_version(action)}"
    return {
        "rollback": f"{move} back"
        + (f" to version {action.target_version}" if action.target_version else ""),
        "promote": f"{move} to version {action.target_version}",
        "retrain": f"ask for a retraining of {action.model}",
        "tag": f"tag version {action.model_version} of {action.model}",
        "notify": f"notify of version {action.model_version} of {action.model}",
        "freeze": f"hold all actions on {action.model}",
    }[action.action]

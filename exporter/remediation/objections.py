"""People who move an alias back after an action moved it: they win, and the policy is held."""

from __future__ import annotations

from exporter.remediation.action import ACTION_TAG, Action
from exporter.remediation.alias_move import expected_version
from exporter.remediation.parts import Parts

Aliases = dict[tuple[str, str], str]


class Objections:
    """Holds policies whose moves were taken back. One thread calls the methods."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._seen: Aliases | None = None  # at the last look

    def look(self) -> None:
        """Hold the policies of actions whose alias was moved back since; cheap while no alias moves.

        Raises:
            RegistryError: MLflow did not answer as it should; what is left is looked at the next time.
        """
        aliases = self._parts.fleet.current_aliases()
        if aliases == self._seen:
            return
        for action in self._parts.ledger.last_moves():
            if self.moved_back(action):
                self.hold(action)
        self._seen = aliases

    def moved_back(self, action: Action) -> bool:
        """True if the history shows that the alias left the target for the version it pointed to before."""
        tenure = self._parts.tenure(action)
        return (
            tenure is not None
            and tenure.number >= action.tenure + 2  # by number: clocks are set back
            and tenure.previous == action.target_version
            and tenure.version == expected_version(action)
        )

    def hold(self, action: Action) -> None:
        """Hold the policy of an action whose alias was moved back, unless another action did that.

        Raises:
            RegistryError: MLflow did not answer as it should.
        """
        assert action.executed_at is not None
        names = (action.model, action.alias, action.policy)
        if self._parts.holds.placed_since(action.executed_at, *names):
            return
        # Another exporter may have moved it by an action of its own, which leaves another id.
        if self._parts.registry.model_tags(action.model).get(ACTION_TAG) == action.id:
            back = expected_version(action)
            reason = f"the alias was moved back to version {back} after action {action.id[:8]} moved it"
            self._parts.holds.place("monitor", *names, reason=reason, action_id=action.id)

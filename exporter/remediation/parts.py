"""Parts of the exporter that remediation's engine works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from exporter.config.remediation import Policy, RemediationConfig
from exporter.fleet import Fleet
from exporter.registry.registry import Registry
from exporter.remediation.action import Action
from exporter.remediation.guards import GuardAnswer
from exporter.remediation.holds import Holds
from exporter.remediation.jobs import Jobs
from exporter.remediation.ledger import Ledger
from exporter.remediation.tenure import Tenure, current_tenure
from exporter.remediation.verification import Judge


@dataclass(frozen=True)
class Parts:
    """Parts of the exporter that the engine works with.

    Attributes:
        ledger: the actions.
        holds: the holds.
        registry: MLflow.
        fleet: the monitored versions and the history of aliases.
        runs: of orchestrators.
        guards: refusals of an action at a time, in order; may raise `RegistryError`.
        judge: verdict on a version by the labels of an alert.
        config: returns remediation's configuration in force.
        clock: seconds since the epoch.
        poll: has the registry polled soon.
        observe: is called after each step.
        leads: false while another process may lead, and act.
    """

    ledger: Ledger
    holds: Holds
    registry: Registry
    fleet: Fleet
    runs: Jobs
    guards: Callable[[Action, float], Sequence[GuardAnswer]]
    judge: Judge
    config: Callable[[], RemediationConfig]
    clock: Callable[[], float]
    poll: Callable[[], None] = lambda: None
    observe: Callable[[], None] = lambda: None
    leads: Callable[[], bool] = lambda: True

    def policy(self, action: Action) -> Policy:
        """Policy of an action; where the configuration has none of its name any more, the default values."""
        return self.config().find(action.policy) or Policy.model_construct()

    def tenure(self, action: Action) -> Tenure | None:
        """Current tenure of an action's alias as it was last seen, None if it points to no version."""
        return current_tenure(self.fleet.history(action.model, action.alias))

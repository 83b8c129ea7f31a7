"""Simulation: what policies would do about alerts as things are now, and which guard would stop it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from exporter.config.remediation import Mode, Policy, RemediationConfig, full_match
from exporter.errors import RegistryError
from exporter.fleet import Fleet
from exporter.remediation.action import MOVES, REJECTED, REOPENED, Action
from exporter.remediation.alerts import Alert
from exporter.remediation.case import Cases, Sources
from exporter.remediation.decision import AUTO_TAG, describe, is_tagged_auto
from exporter.remediation.guards import GuardAnswer, check_guards
from exporter.remediation.ledger import Ledger
from exporter.remediation.planning import Planner
from exporter.storage.store import Store

MAX_ALERTS = 200  # with different labels


@dataclass(frozen=True)
class Answer:
    """Answer of a policy to an alert.

    Attributes:
        policy: its name.
        mode: in force.
        action: that would be planned, None if none would.
        says: the answer in words.
        checks: of all guards that apply to the action.
    """

    policy: str
    mode: Mode
    action: Action | None
    says: str
    checks: tuple[GuardAnswer, ...] = ()


@dataclass(frozen=True)
class SimulatedAlert:
    """The answers of all policies about an alert that came `times` times."""

    alert: Alert
    times: int
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Simulation:
    """Alerts with the same status and labels are one; `omitted` is the number of those beyond the limit."""

    alerts: tuple[SimulatedAlert, ...]
    omitted: int


class Simulator:
    """Asks policies and guards what they would do. Methods may be called from any thread."""

    def __init__(self, store: Store, fleet: Fleet, ledger: Ledger, cases: Cases) -> None:
        self._store = store
        self._fleet = fleet
        self._ledger = ledger
        self._cases = cases

    def simulate(self, alerts: Iterable[Alert], config: RemediationConfig, now: float) -> Simulation:
        """Return what each policy would do about alerts, in the order in which they first come.

        Args:
            alerts: of Alertmanager.
            config: with the policies.
            now: seconds since the epoch.
        """
        distinct: dict[tuple[object, ...], tuple[Alert, int]] = {}
        for alert in alerts:
            key = (alert.status, *sorted(alert.labels.items()))
            distinct[key] = (alert, distinct[key][1] + 1 if key in distinct else 1)
        asked = list(distinct.values())[:MAX_ALERTS]
        plans = self._plan([alert for alert, _ in asked], config, now)
        sources = self._cases.sources()
        found = tuple(
            SimulatedAlert(
                alert,
                times,
                tuple(
                    self._answer(policy, config.effective_mode(policy), planned[policy.name], now, sources)
                    for policy in config.policies
                ),
            )
            for (alert, times), planned in zip(asked, plans, strict=True)
        )
        return Simulation(found, len(distinct) - len(asked))

    def _plan(
        self, alerts: Sequence[Alert], config: RemediationConfig, now: float
    ) -> list[dict[str, Action | str]]:
        """Return the action of each policy about each alert, or the reason why there is none."""
        plans = []
        with self._store.reading() as connection:
            planner = Planner(self._fleet, partial(self._ledger.newest_retraining, connection))
            for alert in alerts:
                found: dict[str, Action | str] = {
                    policy.name: f"does not match: {why_no_match(policy, alert)}"
                    for policy in config.policies
                }
                for plan in planner.plan(config, [alert], now):
                    found[plan.policy.name] = plan.action or plan.reason
                plans.append(found)
        return plans

    def _answer(
        self, policy: Policy, mode: Mode, planned: Action | str, now: float, sources: Sources
    ) -> Answer:
        if isinstance(planned, str):
            return Answer(policy.name, mode, None, planned)
        checks = tuple(check_guards(self._cases.of(planned, now, sources)))
        known = self._ledger.find(planned.id)
        says = _say(planned, known, checks) or self._say_mode(planned, mode, sources)
        return Answer(policy.name, mode, planned, says, checks)

    def _say_mode(self, action: Action, mode: Mode, sources: Sources) -> str:
        """Return what becomes of an action that no guard refuses."""
        would = describe(action)
        if mode == "dry_run":
            return f"would say that it would {would}"
        if mode == "approve":
            return f"would {would}, once it is approved"
        try:
            at_once = action.action not in MOVES or is_tagged_auto(sources.model_tags(action.model))
        except RegistryError as error:
            return f"would {would}, at once or after an approval: {error}"
        return f"would {would}" if at_once else f"would {would}, once it is approved: no tag {AUTO_TAG}=true"


def why_no_match(policy: Policy, alert: Alert) -> str:
    """Return why a policy does not select an alert."""
    for label, pattern in policy.match.items():
        value = alert.labels.get(label, "")
        if not full_match(pattern, value):
            return f"{label} is {value!r}, not {pattern}" if value else f"it has no label {label}"
    return "no policy acts on alerts about the exporter itself"


def _say(action: Action, known: Action | None, checks: Sequence[GuardAnswer]) -> str:
    """Return why an action is not carried out, empty if nothing stops it."""
    would = describe(action)
    if known is not None and (known.state not in REOPENED or known.guard == REJECTED):
        return f"its action {known.id[:8]}, to {would}, is there already: {known.state}"
    refusal = next((check for check in checks if check.reason and not check.unknown), None)
    if refusal is not None:
        return f"would {would}, and is refused by {refusal.guard}: {refusal.reason}"
    if any(check.unknown for check in checks):
        return f"would {would}, if the guards pass that ask MLflow"
    return ""

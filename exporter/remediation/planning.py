"""Plans of actions: what a policy makes of an alert."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.config.remediation import Mode, Policy, RemediationConfig
from exporter.fleet import Fleet
from exporter.remediation.action import Action
from exporter.remediation.alerts import Alert
from exporter.remediation.identity import move_id, next_number, retrain_id
from exporter.remediation.tenure import Tenure, current_tenure
from exporter.storage.action_states import State

MAX_ALERTS = 5000  # with different labels, of one delivery; they are judged while the store is locked

log = logging.getLogger(__name__)

# Finds the newest retraining of (policy, model, version, rehearsal).
FindNewest = Callable[[str, str, str, bool], Action | None]


@dataclass(frozen=True)
class Plan:
    """Answer of a policy to an alert: an action, or the reason why there is none."""

    policy: Policy
    alert: Alert
    action: Action | None
    reason: str = ""


class Planner:
    """Plans actions from the history of aliases, without storing anything.

    Args:
        fleet: the monitored versions.
        find_newest: finds the newest stored retraining of a policy, model and version.
    """

    def __init__(self, fleet: Fleet, find_newest: FindNewest) -> None:
        self._fleet = fleet
        self._find_newest = find_newest

    def plan(self, config: RemediationConfig, alerts: Sequence[Alert], now: float) -> list[Plan]:
        """Return what the policies that match make of alerts, in the order of the file.

        Of alerts that lead to the same action the first stands for all, and likewise of those that lead to
        none for the same reason. Of very many different ones those on monitored versions come first, and the
        last are left out.

        Args:
            config: the policies in force.
            alerts: of one delivery.
            now: time, in seconds since the epoch.
        """
        plans: dict[tuple[str, ...], Plan] = {}
        labels = {label for policy in config.policies for label in policy.match} | {"model", "model_version"}
        distinct = {
            (alert.status, *(alert.labels.get(label, "") for label in sorted(labels))): alert
            for alert in reversed(alerts)
        }
        judged = list(reversed(distinct.values()))
        if len(judged) > MAX_ALERTS:
            monitored = self._fleet.versions.keys()
            judged.sort(key=lambda alert: (alert.model, alert.model_version) not in monitored)
            log.warning("policies look at %d of %d different alerts of a delivery", MAX_ALERTS, len(judged))
            del judged[MAX_ALERTS:]
        for policy in config.policies:
            mode = config.effective_mode(policy)
            for alert in judged:
                if policy.selects(alert.labels):
                    plan = self._plan(policy, mode, alert, now)
                    key = plan.action.id if plan.action is not None else plan.reason
                    plans.setdefault((policy.name, key), plan)
        return list(plans.values())

    def _plan(self, policy: Policy, mode: Mode, alert: Alert, now: float) -> Plan:
        found = self._action(policy, mode, alert, now)
        return Plan(policy, alert, *((None, found) if isinstance(found, str) else (found, "")))

    def _action(self, policy: Policy, mode: Mode, alert: Alert, now: float) -> Action | str:
        """Return the action, or the reason why there is none."""
        model, version = alert.model, alert.model_version
        if alert.status == "resolved":
            return "the alert is resolved"
        if not model or not version:
            return f"the alert has no label {'model_version' if model else 'model'}"
        if not policy.matches(alert.labels):
            return f"the policy is not for the model {model}"
        if mode == "off":
            return "the policy is off"
        if (model, version) not in self._fleet.versions:
            return f"version {version} of {model} is not monitored"
        if policy.action == "retrain":
            return self._retraining(policy, mode, alert, now)
        tenure = current_tenure(self._fleet.history(model, policy.alias))
        if tenure is None:
            return f"{model} has no alias {policy.alias}"
        holds = tenure.version == version
        if policy.action == "promote" and holds:
            return f"version {version} of {model} is {policy.alias} already"
        if policy.action != "promote" and not holds:
            return f"version {version} of {model} is not {policy.alias}, version {tenure.version} is"
        return self._in_tenure(policy, mode, alert, tenure, now)

    def _in_tenure(self, policy: Policy, mode: Mode, alert: Alert, tenure: Tenure, now: float) -> Action:
        rehearsal = mode == "dry_run"
        place = (policy.name, policy.action, alert.model, policy.alias, tenure.number)
        targets = {"rollback": tenure.previous, "promote": alert.model_version}
        return _planned(
            policy,
            mode,
            alert,
            now,
            id=move_id(*place, rehearsal=rehearsal),
            target_version=targets.get(policy.action, ""),
            tenure=tenure.number,
            data={"holder": tenure.version} if policy.action in targets else {},
        )

    def _retraining(self, policy: Policy, mode: Mode, alert: Alert, now: float) -> Action:
        rehearsal = mode == "dry_run"
        subject = (policy.name, alert.model, alert.model_version)
        number = next_number(self._find_newest(*subject, rehearsal), policy.cooldown, now)
        return _planned(
            policy,
            mode,
            alert,
            now,
            id=retrain_id(*subject, number, rehearsal=rehearsal),
            target_version="",
            tenure=number,
            data={},
        )


def _planned(policy: Policy, mode: Mode, alert: Alert, now: float, **own: Any) -> Action:
    return Action(
        policy=policy.name,
        action=policy.action,
        model=alert.model,
        alias=policy.alias,
        model_version=alert.model_version,
        mode=mode,
        state=State.PLANNED,
        created_at=now,
        updated_at=now,
        alert={
            "labels": dict(alert.labels),
            "annotations": dict(alert.annotations),
            "starts_at": alert.starts_at,
        },
        **own,
    )

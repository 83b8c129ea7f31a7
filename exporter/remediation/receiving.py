"""Takes deliveries of Alertmanager: stores them, and plans actions, in one transaction."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from exporter.audit.record import Entry
from exporter.audit.trail import append
from exporter.config.remediation import RemediationConfig
from exporter.errors import StoreError, UnavailableError
from exporter.exposition.remediation import OTHER_SHARD, RemediationTelemetry
from exporter.fleet import Fleet
from exporter.remediation.alerts import Alert, Delivery
from exporter.remediation.ledger import Ledger, Planned
from exporter.remediation.planning import Plan, Planner
from exporter.storage.alerts import StoredAlert, StoredDelivery, add_delivery
from exporter.storage.store import Store

MAX_KEPT_ALERTS = 200  # of one delivery that are stored; those that matched a policy come first
MAX_ACTIONS = 200  # planned by one delivery; the others are planned when it is repeated
MAX_VERSIONS = 20  # that one delivery has audit records of
MAX_SHOWN = 20  # alerts and plans of one audit record


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedAction:
    """An action that a delivery led to, and whether it was new, planned again or known."""

    id: str
    policy: str
    outcome: Planned


@dataclass(frozen=True)
class Receipt:
    """Result of a delivery: its `actions`, and `reasons` why policies that matched have none."""

    alerts: int
    actions: tuple[PlannedAction, ...] = ()
    reasons: tuple[tuple[str, str], ...] = field(default=())


class Receiver:
    """Stores deliveries and plans actions. Any thread may call it.

    Args:
        store: of everything.
        fleet: the monitored versions.
        ledger: of the actions.
        config: returns the policies in force.
        telemetry: counts alerts.
        clock: time in seconds since the epoch.
        wake: wakes whoever carries out planned actions.
    """

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        ledger: Ledger,
        config: Callable[[], RemediationConfig],
        telemetry: RemediationTelemetry,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._ledger = ledger
        self._config = config
        self._telemetry = telemetry
        self._clock = clock
        self._wake = wake

    def receive(self, delivery: Delivery, actor: str) -> Receipt:
        """Store a delivery; when this returns, it and the actions that it leads to are on disk.

        Alerts on models of other shards are counted and ignored.

        Args:
            delivery: as it was read.
            actor: of the audit record.

        Raises:
            UnavailableError: the store failed, and nothing was stored: it has to be sent again.
        """
        delivered = len(delivery.alerts)
        alerts = tuple(
            alert for alert in delivery.alerts if not alert.model or self._fleet.shard.has(alert.model)
        )
        if others := delivered - len(alerts):
            # With an error Alertmanager would send them again for ever, to an exporter that never takes them.
            self._telemetry.count_alert(OTHER_SHARD, others)
            log.debug("%d of %d alerts are about models of other shards and are ignored", others, delivered)
            if not alerts:
                return Receipt(delivered)
        delivery = replace(delivery, alerts=alerts)
        try:
            with self._store.writing() as connection:
                receipt = self._store_all(connection, delivery, actor, self._clock())
        except StoreError as error:
            raise UnavailableError(str(error), retry_after_seconds=5) from error
        for status, count in Counter(alert.status for alert in delivery.alerts).items():
            self._telemetry.count_alert(status, count)
        if any(action.outcome != "known" for action in receipt.actions):
            self._wake()
        return replace(receipt, alerts=delivered)

    def _store_all(self, connection: sa.Connection, delivery: Delivery, actor: str, now: float) -> Receipt:
        planner = Planner(self._fleet, partial(self._ledger.newest_retraining, connection))
        plans = planner.plan(self._config(), delivery.alerts, now)
        kept = _kept(delivery.alerts, [plan.alert for plan in plans])
        add_delivery(
            connection,
            StoredDelivery(
                at=now,
                actor=actor,
                receiver=delivery.receiver,
                group_key=delivery.group_key,
                alerts=len(delivery.alerts),
                truncated=delivery.truncated,
            ),
            [StoredAlert(at=now, **vars(alert)) for alert in kept],
        )
        append(connection, _entries(delivery, plans, actor), now)
        actions = [
            PlannedAction(plan.action.id, plan.policy.name, outcome)
            for plan, outcome in self._plan_all(connection, plans)
            if plan.action is not None
        ]
        reasons = [(plan.policy.name, plan.reason) for plan in plans if plan.reason]
        return Receipt(len(delivery.alerts), tuple(actions), tuple(reasons[:MAX_SHOWN]))

    def _plan_all(self, connection: sa.Connection, plans: Sequence[Plan]) -> list[tuple[Plan, Planned]]:
        found: list[tuple[Plan, Planned]] = []
        changed = 0
        for plan in plans:
            if plan.action is not None and changed < MAX_ACTIONS:
                outcome = self._ledger.plan(connection, plan.action)
                changed += outcome != "known"
                found.append((plan, outcome))
        return found


def _kept(alerts: Sequence[Alert], matched: Sequence[Alert]) -> list[Alert]:
    """Return the alerts to be stored: those that matched a policy first, then the first of the others."""
    chosen = {id(alert) for alert in matched[:MAX_KEPT_ALERTS]}
    for alert in alerts:
        if len(chosen) >= MAX_KEPT_ALERTS:
            break
        chosen.add(id(alert))
    return [alert for alert in alerts if id(alert) in chosen]


def _entries(delivery: Delivery, plans: Sequence[Plan], actor: str) -> list[Entry]:
    """Return an audit entry for each version that a delivery is about, up to a limit, planned ones first."""

    def version(alert: Alert) -> tuple[str, str]:
        return alert.model, alert.model_version

    groups = {names: list(found) for names, found in groupby(sorted(delivery.alerts, key=version), version)}
    planned: dict[tuple[str, str], list[Plan]] = defaultdict(list)
    for plan in plans:
        planned[version(plan.alert)].append(plan)
    shown = sorted(groups, key=lambda names: names not in planned)[:MAX_VERSIONS] or [("", "")]
    entries = []
    for names in shown:
        alerts = groups.get(names, [])
        own = planned.get(names, [])
        data: dict[str, Any] = {
            "receiver": delivery.receiver,
            "group_key": delivery.group_key,
            "alerts": [_shown(alert) for alert in alerts[:MAX_SHOWN]],
            "plans": [_shown_plan(plan) for plan in own[:MAX_SHOWN]],
        }
        left_out = {
            "omitted": len(alerts) - MAX_SHOWN,
            "other_versions": len(groups) - MAX_VERSIONS,
            "truncated": delivery.truncated,
        }
        data |= {name: count for name, count in left_out.items() if count > 0}
        entries.append(Entry("alert_received", actor, *names, data=data))
    return entries


def _shown(alert: Alert) -> dict[str, Any]:
    names = ("severity", "column", "metric", "check", "segment", "role", "alias")
    said = {name: alert.labels[name] for name in names if alert.labels.get(name)}
    return {"alertname": alert.name, "status": alert.status, "starts_at": alert.starts_at, **said}


def _shown_plan(plan: Plan) -> dict[str, Any]:
    if plan.action is None:
        return {"policy": plan.policy.name, "reason": plan.reason}
    return {"policy": plan.policy.name, "action": plan.action.action, "action_id": plan.action.id}

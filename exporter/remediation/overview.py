"""Actions, deliveries and policies, summed up for `/metrics`."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from exporter.config.delivered_alerts import delivered_alerts
from exporter.config.remediation import Breaker, RemediationConfig
from exporter.exposition.remediation import LedgerView, PolicyView, RemediationTelemetry
from exporter.remediation.guards.limits import FAILURES, open_breakers
from exporter.remediation.ledger import Ledger
from exporter.settings import DAY_SECONDS
from exporter.storage.action_states import PENDING, State
from exporter.storage.schema import alert_deliveries, remediations
from exporter.storage.store import Store

SHOWN_SECONDS = 7 * DAY_SECONDS  # that ends are shown
MAX_CHANGES = 1000  # series


class Overview:
    """Shows remediation on `/metrics`; `refresh` is called when something may have changed."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        config: Callable[[], RemediationConfig],
        telemetry: RemediationTelemetry,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._config = config
        self._telemetry = telemetry
        self._clock = clock
        self._viewed: RemediationConfig | None = None

    def refresh(self) -> None:
        """Read what is shown.

        Raises:
            StoreError: the store cannot be read.
        """
        now, config = self._clock(), self._config()
        if config is not self._viewed:
            self._telemetry.policies = view_policies(config)
            self._viewed = config
        self._telemetry.ledger = read_ledger(self._store, self._ledger, now)
        self._telemetry.open_breakers = find_open_breakers(self._ledger, config.breaker, now)


def view_policies(config: RemediationConfig) -> tuple[PolicyView, ...]:
    """Effective modes of the policies, and the delivered alerts that they match."""
    return tuple(
        PolicyView(config.effective_mode(policy), delivered_alerts(policy)) for policy in config.policies
    )


def find_open_breakers(ledger: Ledger, rules: Breaker, now: float) -> frozenset[str]:
    """Models whose breaker is open at `now` (seconds since the epoch)."""
    recent = ledger.recent(now - rules.reset_after)
    failed = {action.model for action in recent if action.state in FAILURES}
    return frozenset().union(*(open_breakers(ledger.recent(0, model), rules, now) for model in failed))


def read_ledger(store: Store, ledger: Ledger, now: float) -> LedgerView:
    """Pending actions, newest changes and last delivery of alerts at `now` (seconds since the epoch).

    Raises:
        StoreError: the store cannot be read.
    """
    pending = ledger.pending()
    columns = remediations.c
    newest = sa.func.max(columns.updated_at)
    changes = (
        sa.select(columns.action, columns.model, columns.state, columns.guard, newest)
        .where(sa.or_(columns.updated_at >= now - SHOWN_SECONDS, columns.state.in_(PENDING)))
        .group_by(columns.action, columns.model, columns.state, columns.guard)
        .order_by(newest.desc())
        .limit(MAX_CHANGES)
    )
    with store.reading() as connection:
        rows = connection.execute(changes).all()
        last_received = connection.scalar(sa.select(sa.func.max(alert_deliveries.c.at)))
    changed: dict[tuple[str, str, str], float] = {}
    for action, model, state, _, at in rows:  # the newest first
        changed.setdefault((action, model, state), float(at))
    return LedgerView(
        pending={(each.action, each.state.value): each.count for each in pending},
        oldest_pending=min((each.oldest for each in pending), default=None),
        changed=changed,
        refused={
            (action, guard, model): float(at)
            for action, model, state, guard, at in rows
            if state == State.REFUSED and guard
        },
        last_received=last_received,
    )

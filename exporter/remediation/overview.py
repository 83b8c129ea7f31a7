"""Actions and deliveries in the store, summed up for `/metrics`."""

from __future__ import annotations

import sqlalchemy as sa

from exporter.exposition.remediation import LedgerView
from exporter.remediation.action import PENDING
from exporter.remediation.ledger import Ledger
from exporter.storage.schema import alert_deliveries, remediations
from exporter.storage.store import Store

SHOWN_SECONDS = 7 * 86400  # that ends are shown
MAX_CHANGES = 1000  # series


def read_overview(store: Store, ledger: Ledger, now: float) -> LedgerView:
    """Pending actions, newest changes and last delivery of alerts at `now` (seconds since the epoch).

    Raises:
        StoreError: the store cannot be read.
    """
    pending = ledger.pending()
    columns = remediations.c
    newest = sa.func.max(columns.updated_at)
    changes = (
        sa.select(columns.action, columns.model, columns.state, newest)
        .where(sa.or_(columns.updated_at >= now - SHOWN_SECONDS, columns.state.in_(PENDING)))
        .group_by(columns.action, columns.model, columns.state)
        .order_by(newest.desc())
        .limit(MAX_CHANGES)
    )
    with store.reading() as connection:
        changed = {
            (action, model, state): float(at) for action, model, state, at in connection.execute(changes)
        }
        last_received = connection.scalar(sa.select(sa.func.max(alert_deliveries.c.at)))
    return LedgerView(
        pending={(each.action, each.state.value): each.count for each in pending},
        oldest_pending=min((each.oldest for each in pending), default=None),
        changed=changed,
        last_received=last_received,
    )

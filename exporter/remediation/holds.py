"""Holds: models, aliases and policies for which nothing is done until a person says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from exporter.audit.record import Entry
from exporter.audit.trail import append
from exporter.formats.texts import storable
from exporter.storage.schema import remediation_holds
from exporter.storage.store import Store

MAX_REASON = 500  # characters


@dataclass(frozen=True)
class Hold:
    """A hold on a model, or on one of its aliases and one policy.

    `alias` and `policy` are empty if every one is held. `since` and `lifted_at` are in seconds since the
    epoch; `lifted_at` is None while the hold is in force.
    """

    id: int
    model: str
    alias: str
    policy: str
    reason: str
    since: float
    lifted_at: float | None
    lifted_by: str


class Holds:
    """Holds in the store. Methods may be called from any thread, and raise `StoreError`."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    def active(self, model: str, alias: str = "", policy: str = "") -> list[Hold]:
        """Holds in force that stop an action on an alias by a policy; without them all of the model's."""
        columns = remediation_holds.c
        query = sa.select(remediation_holds).where(columns.model == model, columns.lifted_at.is_(None))
        if alias:
            query = query.where(columns.alias.in_((alias, "")))
        if policy:
            query = query.where(columns.policy.in_((policy, "")))
        return self._select(query.order_by(columns.id))

    def search(self, limit: int, *, active_only: bool = False) -> list[Hold]:
        """Holds of all models, the last placed first."""
        columns = remediation_holds.c
        query = sa.select(remediation_holds).order_by(columns.id.desc()).limit(limit)
        return self._select(query.where(columns.lifted_at.is_(None)) if active_only else query)

    def place(
        self, actor: str, model: str, alias: str = "", policy: str = "", *, reason: str, action_id: str = ""
    ) -> bool:
        """Place a hold.

        Args:
            actor: of the audit record.
            model: the model.
            alias: empty for all of the model's.
            policy: empty for all.
            reason: for people.
            action_id: action that led to the hold.

        Returns:
            False if the same is held already.
        """
        columns, now = remediation_holds.c, self._clock()
        same = {"model": model, "alias": alias, "policy": policy}
        held = sa.select(columns.id).filter_by(**same).where(columns.lifted_at.is_(None))
        reason = storable(reason)[:MAX_REASON]
        with self._store.writing() as connection:
            if connection.execute(held.limit(1)).first() is not None:
                return False
            connection.execute(remediation_holds.insert(), {**same, "reason": reason, "since": now})
            data = {"alias": alias, "policy": policy, "reason": reason, "held": True}
            entry = Entry("hold", actor, model, subject=policy, action_id=action_id, data=data)
            append(connection, [entry], now)
        return True

    def lift(self, actor: str, model: str, alias: str = "", policy: str = "", *, reason: str = "") -> int:
        """Lift holds on a model; with `alias` or `policy` those only that name them.

        Returns:
            The number of holds lifted.
        """
        columns, now = remediation_holds.c, self._clock()
        chosen = [columns.model == model, columns.lifted_at.is_(None)]
        chosen += [columns[name] == value for name, value in (("alias", alias), ("policy", policy)) if value]
        with self._store.writing() as connection:
            held = connection.execute(sa.select(remediation_holds).where(*chosen)).all()
            lifted = sa.update(remediation_holds).where(columns.id.in_([row.id for row in held]))
            connection.execute(lifted.values(lifted_at=now, lifted_by=actor))
            entries = [
                Entry(
                    *("hold", actor, model),
                    subject=row.policy,
                    data={
                        "alias": row.alias,
                        "policy": row.policy,
                        "reason": row.reason,
                        "held": False,
                        **({"lifted_because": storable(reason)[:MAX_REASON]} if reason else {}),
                    },
                )
                for row in held
            ]
            append(connection, entries, now)
        return len(held)

    def placed_since(self, time: float, model: str, alias: str, policy: str) -> bool:
        """True if this was held at a time or later, even if the hold was lifted since."""
        columns = remediation_holds.c
        query = sa.select(columns.id).filter_by(model=model, alias=alias, policy=policy)
        with self._store.reading() as connection:
            ended = sa.or_(columns.since >= time, columns.lifted_at.is_(None), columns.lifted_at >= time)
            return connection.execute(query.where(ended).limit(1)).first() is not None

    def prune(self, before: float) -> int:
        """Delete holds that were lifted before a time.

        Returns:
            The number of holds deleted.
        """
        with self._store.writing() as connection:
            lifted = sa.delete(remediation_holds).where(remediation_holds.c.lifted_at < before)
            return connection.execute(lifted).rowcount

    def _select(self, query: sa.Select[tuple[object, ...]]) -> list[Hold]:
        with self._store.reading() as connection:
            return [Hold(**row._mapping) for row in connection.execute(query)]

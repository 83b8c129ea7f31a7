"""Stored actions of remediation, each of whose changes is one conditional update with its audit record.

A change names the state and the attempt that it was decided on. Where another process or thread was faster it
changes nothing, so of several that want to carry out an action one does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import sqlalchemy as sa

from exporter.audit.record import Entry, Kind
from exporter.audit.trail import append
from exporter.errors import decoding
from exporter.formats.texts import storable
from exporter.remediation.action import MOVES, REJECTED, REOPENED, TRANSITIONS, Action
from exporter.storage.action_states import ENDED, PENDING, State
from exporter.storage.schema import audit_records, remediations
from exporter.storage.store import Store

MAX_REASON = 500  # characters
MAX_OPEN = 1000  # actions that one step of the engine looks at
MAX_RECENT = 10_000
MAX_STEPS = 1000  # records of one action
WAITING = (State.AWAITING_APPROVAL, State.INTERRUPTED)  # for a person

Planned = Literal["planned", "reopened", "known"]


@dataclass(frozen=True)
class ActionFilter:
    """Conditions of a search; empty ones hold for all actions."""

    model: str = ""
    policy: str = ""
    action: str = ""
    states: tuple[State, ...] = ()


@dataclass(frozen=True)
class Pending:
    """Number of pending actions of one kind in one state, and the time at which the oldest was planned."""

    action: str
    state: State
    count: int
    oldest: float


@dataclass(frozen=True)
class Step:
    """Audit record of an action; `data` is empty once it was erased."""

    seq: int
    at: float
    kind: str
    actor: str
    data: Mapping[str, Any]


class Ledger:
    """Actions in the store. Methods may be called from any thread, and raise `StoreError`."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    # -- writing --------------------------------------------------------------------------------------------

    def plan(self, connection: sa.Connection, action: Action) -> Planned:
        """Store a planned action, or plan one again that was refused or has expired.

        What a person rejected stays so, as does an action in any other state.

        Args:
            connection: within the transaction that stores the alert.
            action: in state PLANNED.
        """
        assert action.state is State.PLANNED
        known = connection.execute(
            sa.select(remediations).where(remediations.c.id == action.id).with_for_update()
        ).first()
        values = _encode(action)
        if known is None:
            connection.execute(remediations.insert(), values)
            self._record(connection, action, action.actor, "", {})
            return "planned"
        before = _decode(known)
        if before.state not in REOPENED or before.guard == REJECTED:
            return "known"
        # The attempt goes on counting: a process that still acts on an earlier one must not succeed.
        again = replace(action, attempt=before.attempt, created_at=before.created_at)
        connection.execute(
            sa.update(remediations).where(remediations.c.id == action.id).values(_encode(again))
        )
        self._record(connection, again, again.actor, before.state, {})
        return "reopened"

    def claim(self, action: Action, owner: str, lease_seconds: float, actor: str) -> Action | None:
        """Start to execute an action, or take it over once the lease of its last attempt is over.

        Returns:
            The action with a new attempt; None if it was changed meanwhile, or is being executed.
        """
        now = self._clock()
        free = sa.or_(
            remediations.c.state != State.EXECUTING,
            remediations.c.lease_until.is_(None),
            remediations.c.lease_until < now,
        )
        claimed = replace(
            action,
            state=State.EXECUTING,
            attempt=action.attempt + 1,
            lease_owner=owner,
            lease_until=now + lease_seconds,
            guard="",
            reason="",
        )
        return self._change(action, claimed, actor, {"owner": owner}, free)

    def advance(
        self,
        action: Action,
        state: State,
        actor: str,
        *,
        reason: str = "",
        guard: str = "",
        data: Mapping[str, Any] | None = None,
        executed_at: float | None = None,
    ) -> Action | None:
        """Take an action to another state.

        Args:
            action: as it was read.
            state: the next.
            actor: of the audit record.
            reason: of the state, for people.
            guard: that refused it.
            data: added to the action's own; also in the audit record.
            executed_at: time at which the action took effect, if it did now.

        Returns:
            The changed action; None if it was changed meanwhile.

        Raises:
            ValueError: the state does not follow on the present one.
        """
        changed = replace(
            action,
            state=state,
            reason=reason,
            guard=guard,
            data={**action.data, **(data or {})},
            approved_by="" if state is State.INTERRUPTED else action.approved_by,
            executed_at=action.executed_at if executed_at is None else executed_at,
        )
        return self._change(action, changed, actor, data or {})

    def approve(self, action: Action, actor: str, reason: str = "") -> Action | None:
        """Store the approval of an action that waits for one or was interrupted; the engine acts on it.

        Returns:
            The changed action; None if it was changed meanwhile, is approved already, or is in another state.
        """
        if action.state not in (State.AWAITING_APPROVAL, State.INTERRUPTED) or action.approved_by:
            return None
        approved = replace(action, state=State.AWAITING_APPROVAL, approved_by=actor)
        approved = replace(approved, reason=f"approved: {reason}" if reason else "approved")
        return self._change(action, approved, actor, {}, kind="approval")

    def reject(self, action: Action, actor: str, reason: str) -> Action | None:
        """Refuse an action for good that waits for approval or was interrupted.

        Returns:
            As `approve`.
        """
        if action.state not in (State.AWAITING_APPROVAL, State.INTERRUPTED) or action.approved_by:
            return None
        rejected = replace(action, state=State.REFUSED, guard=REJECTED, reason=reason)
        return self._change(action, rejected, actor, {}, kind="approval")

    def prune(self, before: float) -> int:
        """Delete actions that ended before a time; their audit records stay.

        Returns:
            The number of actions deleted.
        """
        ended = sa.and_(remediations.c.state.in_(ENDED), remediations.c.updated_at < before)
        with self._store.writing() as connection:
            return connection.execute(sa.delete(remediations).where(ended)).rowcount

    def _change(
        self,
        action: Action,
        changed: Action,
        actor: str,
        data: Mapping[str, Any],
        *conditions: sa.ColumnElement[bool],
        kind: Kind = "remediation",
    ) -> Action | None:
        if changed.state not in TRANSITIONS[action.state]:
            raise ValueError(f"{changed.state} does not follow on {action.state}")
        changed = replace(changed, updated_at=self._clock(), reason=storable(changed.reason)[:MAX_REASON])
        unchanged = (
            remediations.c.id == action.id,
            remediations.c.state == action.state,
            remediations.c.attempt == action.attempt,
            remediations.c.approved_by == action.approved_by,
        )
        update = sa.update(remediations).where(*unchanged, *conditions).values(_encode(changed))
        with self._store.writing() as connection:
            if connection.execute(update).rowcount != 1:
                return None
            self._record(connection, changed, actor, action.state, data, kind)
        return changed

    def _record(
        self,
        connection: sa.Connection,
        action: Action,
        actor: str,
        before: str,
        data: Mapping[str, Any],
        kind: Kind = "remediation",
    ) -> None:
        said = {
            "policy": action.policy,
            "action": action.action,
            "alias": action.alias,
            "target_version": action.target_version,
            "mode": action.mode,
            "attempt": action.attempt,
            "before": before,
            "state": action.state,
            "guard": action.guard,
            "reason": action.reason,
            "approved_by": action.approved_by,
        }
        shown = {name: value for name, value in said.items() if value != ""}
        entry = Entry(
            kind=kind,
            actor=actor,
            model=action.model,
            model_version=action.model_version,
            subject=action.policy,
            action_id=action.id,
            data={**data, **shown},
        )
        append(connection, [entry], action.updated_at)

    @staticmethod
    def newest_retraining(
        connection: sa.Connection, policy: str, model: str, version: str, rehearsal: bool
    ) -> Action | None:
        """The last retraining of a policy and version, among dry runs or among all others."""
        columns = remediations.c
        query = (
            sa.select(remediations)
            .where(columns.action == "retrain", columns.policy == policy)
            .where(columns.model == model, columns.model_version == version)
            .where((columns.mode == "dry_run") == rehearsal)
            .order_by(columns.tenure.desc())
            .limit(1)
        )
        found = connection.execute(query).first()
        return None if found is None else _decode(found)

    # -- reading --------------------------------------------------------------------------------------------

    def find(self, action_id: str) -> Action | None:
        """The action with an id, None if there is none."""
        found = self._select(sa.select(remediations).where(remediations.c.id == action_id))
        return found[0] if found else None

    def starting_with(self, prefix: str) -> list[Action]:
        """Two of the actions at most whose ids begin with a prefix."""
        chosen = remediations.c.id.startswith(prefix, autoescape=True)
        return self._select(sa.select(remediations).where(chosen).order_by(remediations.c.id).limit(2))

    def search(self, wanted: ActionFilter, limit: int, after: Action | None = None) -> list[Action]:
        """A page of actions, the last planned first.

        Args:
            wanted: conditions.
            limit: the most there are on a page.
            after: the last action of the page before.
        """
        columns = remediations.c
        query = sa.select(remediations).order_by(columns.created_at.desc(), columns.id).limit(limit)
        for name in ("model", "policy", "action"):
            if value := getattr(wanted, name):
                query = query.where(columns[name] == value)
        if wanted.states:
            query = query.where(columns.state.in_(wanted.states))
        if after is not None:
            same = sa.and_(columns.created_at == after.created_at, columns.id > after.id)
            query = query.where(sa.or_(columns.created_at < after.created_at, same))
        return self._select(query)

    def open(self) -> list[Action]:
        """Actions in states that are no ends, those first that were not changed for longest.

        Those that wait for a person come last: however many they are, they keep no other from being seen.
        """
        columns = remediations.c
        waits = sa.and_(columns.state.in_(WAITING), columns.approved_by == "")
        query = sa.select(remediations).where(columns.state.in_(PENDING))
        order = (sa.case((waits, 1), else_=0), columns.updated_at, columns.id)
        return self._select(query.order_by(*order).limit(MAX_OPEN))

    def recent(self, since: float, model: str = "") -> list[Action]:
        """Actions changed since a time, of a model or of all, the last changed first."""
        columns = remediations.c
        query = sa.select(remediations).where(columns.updated_at >= since)
        if model:
            query = query.where(columns.model == model)
        return self._select(query.order_by(columns.updated_at.desc(), columns.id).limit(MAX_RECENT))

    def last_moves(self) -> list[Action]:
        """The last action on each alias that moved it."""
        columns = remediations.c
        moved = sa.and_(columns.action.in_(MOVES), columns.executed_at.is_not(None))
        last = (
            sa.select(columns.model, columns.alias, sa.func.max(columns.executed_at).label("at"))
            .where(moved)
            .group_by(columns.model, columns.alias)
            .subquery()
        )
        same = sa.and_(
            columns.model == last.c.model, columns.alias == last.c.alias, columns.executed_at == last.c.at
        )
        query = sa.select(remediations).join(last, same).where(columns.action.in_(MOVES))
        return self._select(query.order_by(columns.model, columns.alias))

    def pending(self) -> list[Pending]:
        """Numbers of actions in states that are no ends, by kind and state."""
        columns = remediations.c
        query = (
            sa.select(columns.action, columns.state, sa.func.count(), sa.func.min(columns.created_at))
            .where(columns.state.in_(PENDING))
            .group_by(columns.action, columns.state)
            .order_by(columns.action, columns.state)
        )
        with self._store.reading() as connection:
            rows = connection.execute(query).all()
        return [
            Pending(action, State(state), int(count), float(oldest)) for action, state, count, oldest in rows
        ]

    def history(self, action_id: str) -> list[Step]:
        """Audit records of an action, in order."""
        columns = audit_records.c
        query = (
            sa.select(columns.seq, columns.at, columns.kind, columns.actor, columns.body)
            .where(columns.action_id == action_id)
            .order_by(columns.seq)
            .limit(MAX_STEPS)
        )
        with self._store.reading() as connection, decoding("an audit record"):
            return [
                Step(seq, at, kind, actor, {} if body is None else json.loads(bytes(body))["data"])
                for seq, at, kind, actor, body in connection.execute(query)
            ]

    def _select(self, query: sa.Select[Any]) -> list[Action]:
        with self._store.reading() as connection:
            return [_decode(row) for row in connection.execute(query)]


def _encode(action: Action) -> dict[str, Any]:
    return {**vars(action), "alert": _json(action.alert), "data": _json(action.data)}


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False, allow_nan=False, sort_keys=True)


def _decode(row: sa.Row[Any]) -> Action:
    with decoding("a remediation"):
        own = {**row._mapping, "state": State(row.state)}
        return Action(**{**own, "alert": json.loads(row.alert), "data": json.loads(row.data)})

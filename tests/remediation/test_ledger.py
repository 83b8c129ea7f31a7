from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from typing import cast

import pytest
import sqlalchemy as sa

from exporter.remediation import ledger as ledger_module
from exporter.remediation.action import REJECTED
from exporter.remediation.ledger import ActionFilter, Ledger, Pending
from exporter.storage.action_states import State
from exporter.storage.store import Store
from tests.support.actions import ACTION, plan, stored, take
from tests.support.fakes import TIMEOUT_SECONDS, Clock
from tests.support.rig import NOON

S = State


def test_an_action_is_planned_once(store: Store, ledger: Ledger) -> None:
    assert [plan(store, ledger) for _ in range(3)] == ["planned", "known", "known"]
    assert ledger.open() == [ACTION]
    assert len(ledger.history(ACTION.id)) == 1


def test_actions_that_wait_for_a_person_do_not_hide_others(
    store: Store, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "MAX_OPEN", 2)
    waiting = [replace(ACTION, id=number * 40) for number in "123"]
    for action in waiting:
        plan(store, ledger, action)
        take(ledger, S.AWAITING_APPROVAL, action=action)
    plan(store, ledger, replace(ACTION, updated_at=NOON + 60))
    assert [action.id for action in ledger.open()] == [ACTION.id, waiting[0].id]
    ledger.approve(stored(ledger, waiting[2]), "ada")
    assert {action.id for action in ledger.open()} == {ACTION.id, waiting[2].id}


def test_a_plan_is_part_of_its_transaction(store: Store, ledger: Ledger) -> None:
    with suppress(RuntimeError), store.writing() as connection:
        ledger.plan(connection, ACTION)
        raise RuntimeError
    assert ledger.find(ACTION.id) is None
    assert ledger.history(ACTION.id) == []


@pytest.mark.parametrize("end", [S.REFUSED, S.EXPIRED])
def test_a_later_alert_reopens_what_was_refused_or_expired(
    store: Store, ledger: Ledger, clock: Clock, end: State
) -> None:
    plan(store, ledger)
    take(ledger, S.AWAITING_APPROVAL, end, guard="evidence")
    clock.advance(60)
    again = replace(ACTION, created_at=clock.now, updated_at=clock.now, target_version="1")
    assert plan(store, ledger, again) == "reopened"
    assert stored(ledger) == replace(again, created_at=NOON)
    assert [step.data["state"] for step in ledger.history(ACTION.id)] == [
        *("planned", "awaiting_approval", end, "planned")
    ]


@pytest.mark.parametrize("states", [(), (S.DRY_RUN,), (S.EXECUTING,), (S.EXECUTING, S.CONFLICT)])
def test_a_later_alert_leaves_other_states_alone(
    store: Store, ledger: Ledger, states: tuple[State, ...]
) -> None:
    plan(store, ledger)
    left = take(ledger, *states)
    assert plan(store, ledger) == "known"
    assert stored(ledger) == left


def test_what_a_person_rejected_is_not_planned_again(store: Store, ledger: Ledger) -> None:
    plan(store, ledger)
    rejected = ledger.reject(take(ledger, S.AWAITING_APPROVAL), "ada", "it is a holiday")
    assert rejected is not None
    assert (rejected.state, rejected.guard, rejected.reason) == (S.REFUSED, REJECTED, "it is a holiday")
    assert plan(store, ledger) == "known"


def test_of_two_that_claim_an_action_one_gets_it(store: Store, ledger: Ledger, clock: Clock) -> None:
    plan(store, ledger)
    found = stored(ledger)
    claimed = ledger.claim(found, "one", 60, "remediation/p")
    assert claimed is not None
    assert (claimed.state, claimed.attempt, claimed.lease_owner) == (S.EXECUTING, 1, "one")
    assert claimed.lease_until == clock.now + 60
    assert ledger.claim(found, "two", 60, "remediation/p") is None
    assert ledger.claim(claimed, "two", 60, "remediation/p") is None
    assert stored(ledger) == claimed


def test_an_attempt_is_taken_over_once_its_lease_is_over(store: Store, ledger: Ledger, clock: Clock) -> None:
    plan(store, ledger)
    first = take(ledger, S.EXECUTING)
    clock.advance(61)
    second = ledger.claim(first, "two", 60, "remediation/p")
    assert second is not None
    assert second.attempt == 2
    # The first is still at it, and must not write the outcome of the second.
    assert ledger.advance(first, S.FAILED, "remediation/p") is None
    assert stored(ledger) == second


def test_of_two_changes_one_takes_place_and_is_recorded(store: Store, ledger: Ledger) -> None:
    plan(store, ledger)
    found = stored(ledger)
    assert ledger.advance(found, S.AWAITING_APPROVAL, "remediation/p", reason="approve") is not None
    assert ledger.advance(found, S.REFUSED, "remediation/p", guard="evidence") is None
    steps = ledger.history(ACTION.id)
    assert [(step.data.get("before"), step.data["state"]) for step in steps] == [
        *((None, "planned"), ("planned", "awaiting_approval"))
    ]


def test_a_state_follows_only_on_those_before_it(store: Store, ledger: Ledger) -> None:
    plan(store, ledger)
    with pytest.raises(ValueError, match="recovered does not follow on planned"):
        ledger.advance(stored(ledger), S.RECOVERED, "remediation/p")
    with pytest.raises(ValueError, match="executing does not follow on dry_run"):
        ledger.claim(take(ledger, S.DRY_RUN), "one", 60, "remediation/p")


def test_data_adds_up_and_is_recorded(store: Store, ledger: Ledger, clock: Clock) -> None:
    plan(store, ledger)
    take(ledger, S.EXECUTING)
    applied = take(ledger, S.APPLIED, data={"before": "3", "after": "2"}, executed_at=clock.now)
    ended = ledger.advance(applied, S.VERIFYING, "remediation/p", data={"rows": 7})
    assert ended is not None
    assert ended.data == {"before": "3", "after": "2", "rows": 7}
    assert ended.executed_at == clock.now
    last, applied_step = ledger.history(ACTION.id)[:-3:-1]
    assert last.data["rows"] == 7
    assert (applied_step.data["after"], applied_step.data["state"]) == ("2", "applied")


def test_an_approval_is_stored_once_with_its_name(store: Store, ledger: Ledger) -> None:
    plan(store, ledger)
    waiting = take(ledger, S.AWAITING_APPROVAL)
    approved = ledger.approve(waiting, "ada")
    assert approved is not None
    assert (approved.state, approved.approved_by) == (S.AWAITING_APPROVAL, "ada")
    assert ledger.approve(waiting, "bob") is None
    assert ledger.approve(approved, "bob") is None
    assert ledger.reject(approved, "bob", "no") is None
    # It expires for who has not seen the approval.
    assert ledger.advance(waiting, S.EXPIRED, "remediation/p") is None
    assert [(step.kind, step.actor) for step in ledger.history(ACTION.id)][-1] == ("approval", "ada")


def test_an_interrupted_action_may_be_approved(store: Store, ledger: Ledger) -> None:
    plan(store, ledger)
    interrupted = take(ledger, S.EXECUTING, S.INTERRUPTED)
    approved = ledger.approve(interrupted, "ada")
    assert approved is not None
    assert approved.state is S.AWAITING_APPROVAL
    claimed = ledger.claim(approved, "one", 60, "ada")
    assert claimed is not None
    assert claimed.attempt == 2


def test_a_planned_action_cannot_be_approved(store: Store, ledger: Ledger) -> None:
    plan(store, ledger)
    assert ledger.approve(stored(ledger), "ada") is None
    assert ledger.reject(stored(ledger), "ada", "no") is None


def test_pages_of_actions(store: Store, ledger: Ledger) -> None:
    for i in range(5):
        plan(store, ledger, replace(ACTION, id=f"{i:040}", created_at=NOON + i // 2))
    pages, last = [], None
    while page := ledger.search(ActionFilter(), 2, last):
        pages.append([action.id[-1] for action in page])
        last = page[-1]
    assert pages == [["4", "2"], ["3", "0"], ["1"]]


def test_actions_by_their_fields(store: Store, ledger: Ledger) -> None:
    plan(store, ledger)
    other = replace(ACTION, id="b" * 40, model="churn", policy="p", action="retrain", created_at=NOON + 60)
    plan(store, ledger, other)
    take(ledger, S.DRY_RUN)
    for wanted, found in (
        (ActionFilter(model="churn"), ["b"]),
        (ActionFilter(policy="champion-rollback"), ["a"]),
        (ActionFilter(action="retrain"), ["b"]),
        (ActionFilter(states=(S.DRY_RUN, S.FAILED)), ["a"]),
        (ActionFilter(model="churn", states=(S.DRY_RUN,)), []),
    ):
        assert [action.id[0] for action in ledger.search(wanted, 10)] == found


def test_pending_actions_are_counted_with_the_oldest(store: Store, ledger: Ledger) -> None:
    plan(store, ledger)
    plan(store, ledger, replace(ACTION, id="b" * 40, created_at=NOON - 60))
    plan(store, ledger, replace(ACTION, id="c" * 40, action="retrain"))
    plan(store, ledger, replace(ACTION, id="d" * 40))
    take(ledger, S.DRY_RUN, action=replace(ACTION, id="d" * 40))
    assert ledger.pending() == [
        Pending("retrain", S.PLANNED, 1, NOON),
        Pending("rollback", S.PLANNED, 2, NOON - 60),
    ]


def test_recent_actions_are_those_changed_since(store: Store, ledger: Ledger, clock: Clock) -> None:
    plan(store, ledger)
    other = replace(ACTION, id="b" * 40, model="churn")
    plan(store, ledger, other)
    clock.advance(3600)
    take(ledger, S.DRY_RUN, action=other)
    assert [action.id for action in ledger.recent(NOON + 1)] == [other.id]
    assert [action.id for action in ledger.recent(NOON, "fraud")] == [ACTION.id]


def test_actions_that_ended_long_ago_are_deleted(store: Store, ledger: Ledger, clock: Clock) -> None:
    plan(store, ledger)
    plan(store, ledger, replace(ACTION, id="b" * 40))
    take(ledger, S.DRY_RUN)
    clock.advance(3600)
    assert ledger.prune(clock.now) == 1
    assert [action.id[0] for action in ledger.search(ActionFilter(), 10)] == ["b"]
    assert len(ledger.history(ACTION.id)) == 2


class Shared:
    """A store without the lock that keeps other processes out."""

    def __init__(self, uri: str) -> None:
        self._engine = sa.create_engine(sa.make_url(uri).set(drivername="postgresql+psycopg"))
        self.reading, self.writing = self._engine.connect, self._engine.begin
        self.close = self._engine.dispose


@pytest.mark.needs("initdb", "pg_ctl")
def test_of_processes_that_share_a_database_one_claims_an_action(
    postgres_uri: str, open_store: Callable[[str], Store], clock: Clock
) -> None:
    store = open_store(postgres_uri)
    with ExitStack() as opened, ThreadPoolExecutor(4) as threads:
        sharing = [opened.enter_context(closing(Shared(postgres_uri))) for _ in range(4)]
        ledgers = [Ledger(cast("Store", each), clock) for each in sharing]
        for number in range(10):
            action = replace(ACTION, id=f"{number:040}")
            plan(store, ledgers[0], action)
            claims = [
                threads.submit(ledger.claim, action, str(owner), 60, "remediation/p")
                for owner, ledger in enumerate(ledgers)
            ]
            (claimed,) = [found for claim in claims if (found := claim.result(TIMEOUT_SECONDS)) is not None]
            assert stored(ledgers[0], action) == claimed
            assert [step.data["state"] for step in ledgers[0].history(action.id)] == ["planned", "executing"]

"""People approve and reject actions, and lift holds; whatever they repeat happens once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from exporter.errors import ConflictError, UnknownActionError
from exporter.exposition.remediation import RemediationTelemetry
from exporter.remediation.action import REJECTED
from exporter.remediation.approvals import Approvals
from exporter.remediation.holds import Holds
from exporter.remediation.ledger import Ledger
from exporter.storage.action_states import State
from exporter.storage.store import Store
from tests.support.actions import ACTION, plan, stored, take
from tests.support.fakes import Clock
from tests.support.trail import bodies

S = State


class Desk:
    """Approvals with a stored action, which waits for one."""

    def __init__(self, store: Store, ledger: Ledger, holds: Holds, clock: Clock) -> None:
        self.store, self.ledger, self.holds, self.clock = store, ledger, holds, clock
        self.counters, self.woken = CollectorRegistry(), 0
        telemetry = RemediationTelemetry(self.counters, clock)
        self.approvals = Approvals(ledger, holds, telemetry, self._wake, clock)
        plan(store, ledger)
        take(ledger, S.AWAITING_APPROVAL, data={"approve_until": clock() + 3600})

    def _wake(self) -> None:
        self.woken += 1

    def steps(self) -> list[tuple[str, str]]:
        """Actor and reason of each audit record of the action, after it was planned and waited."""
        return [(step.actor, step.data.get("reason", "")) for step in self.ledger.history(ACTION.id)[2:]]


@pytest.fixture
def desk(store: Store, ledger: Ledger, holds: Holds, clock: Clock) -> Desk:
    return Desk(store, ledger, holds, clock)


def test_an_approval_is_stored_with_its_reason_and_wakes_the_engine(desk: Desk) -> None:
    approved = desk.approvals.approve(ACTION.id, "ada", "the dashboard shows it")
    assert approved == stored(desk.ledger)
    assert (approved.state, approved.approved_by) == (S.AWAITING_APPROVAL, "ada")
    assert desk.steps() == [("ada", "approved: the dashboard shows it")]
    assert desk.woken == 1


def test_a_second_approval_changes_nothing(desk: Desk) -> None:
    approved = desk.approvals.approve(ACTION.id, "ada", "yes")
    assert desk.approvals.approve(ACTION.id, "grace", "yes") == approved
    done = take(desk.ledger, S.EXECUTING, S.APPLIED)
    assert desk.approvals.approve(ACTION.id, "ada", "yes") == done
    assert len([who for who, _ in desk.steps() if who in ("ada", "grace")]) == 1
    assert desk.woken == 1


def test_an_approval_that_leads_to_a_refusal_is_in_vain(desk: Desk) -> None:
    desk.approvals.approve(ACTION.id, "ada", "yes")
    take(desk.ledger, S.REFUSED, guard="evidence", reason="it recovered")
    with pytest.raises(ConflictError, match="it was approved by ada, and is refused: it recovered"):
        desk.approvals.approve(ACTION.id, "ada", "yes")


def test_an_approval_has_to_come_in_time(desk: Desk) -> None:
    desk.clock.advance(3600)
    with pytest.raises(ConflictError, match="it was not approved in time"):
        desk.approvals.approve(ACTION.id, "ada", "yes")
    assert stored(desk.ledger).approved_by == ""


def test_an_interrupted_action_can_be_approved(desk: Desk) -> None:
    take(desk.ledger, S.EXECUTING, S.INTERRUPTED, reason="the process ended")
    approved = desk.approvals.approve(ACTION.id, "ada", "nobody has moved it")
    assert (approved.state, approved.approved_by) == (S.AWAITING_APPROVAL, "ada")


@pytest.mark.parametrize("states", [(S.EXECUTING,), (S.EXECUTING, S.CONFLICT), (S.EXPIRED,)])
def test_in_other_states_nothing_is_approved_or_rejected(desk: Desk, states: tuple[State, ...]) -> None:
    take(desk.ledger, *states)
    for decide in (desk.approvals.approve, desk.approvals.reject):
        with pytest.raises(ConflictError, match=f"it is {states[-1]}"):
            decide(ACTION.id, "ada", "why not")


def test_a_rejection_is_for_good_and_counted_once(desk: Desk) -> None:
    rejected = desk.approvals.reject(ACTION.id, "ada", "a known holiday")
    assert (rejected.state, rejected.guard, rejected.reason) == (S.REFUSED, REJECTED, "a known holiday")
    assert desk.approvals.reject(ACTION.id, "ada", "again") == rejected
    assert desk.steps() == [("ada", "a known holiday")]
    assert plan(desk.store, desk.ledger) == "known"
    labels = {"action": "rollback", "outcome": "refused"}
    assert desk.counters.get_sample_value("mlflow_exporter_remediations_total", labels) == 1
    with pytest.raises(ConflictError, match="it is refused: a known holiday"):
        desk.approvals.approve(ACTION.id, "ada", "after all")


def test_of_an_approval_and_a_rejection_the_first_counts(desk: Desk) -> None:
    desk.approvals.approve(ACTION.id, "ada", "yes")
    with pytest.raises(ConflictError, match="it was approved by ada, and is awaiting_approval"):
        desk.approvals.reject(ACTION.id, "grace", "no")


def test_an_id_may_be_shortened_while_it_is_clear(desk: Desk) -> None:
    assert desk.approvals.find("a" * 8).id == ACTION.id
    for unknown in ("b" * 40, "a" * 7 + "%", "a" * 7):
        with pytest.raises(UnknownActionError, match="there is no action"):
            desk.approvals.find(unknown)
    plan(desk.store, desk.ledger, replace(ACTION, id="a" * 39 + "b"))
    with pytest.raises(UnknownActionError, match="two actions begin with aaaaaaaa"):
        desk.approvals.find("a" * 8)
    assert desk.approvals.find(ACTION.id).id == ACTION.id


def test_holds_are_lifted_by_what_they_name(desk: Desk) -> None:
    desk.holds.place("monitor", "fraud", "champion", "rollback", reason="ada moved it back")
    desk.holds.place("monitor", "fraud", reason="freeze")
    assert desk.approvals.resume("ada", "fraud", "", "rollback", "version 4 is mended") == 1
    assert [hold.reason for hold in desk.holds.active("fraud")] == ["freeze"]
    assert desk.approvals.resume("ada", "fraud", "", "", "all is well") == 1
    with pytest.raises(ConflictError, match="no hold on model 'fraud' is in force"):
        desk.approvals.resume("ada", "fraud", "", "", "all is well")
    lifted = bodies(desk.store)[-1]
    assert (lifted["actor"], lifted["data"]["lifted_because"]) == ("ada", "all is well")

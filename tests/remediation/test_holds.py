from __future__ import annotations

from exporter.remediation.holds import Holds
from tests.support.fakes import Clock


def test_a_hold_stops_the_policy_on_the_alias_and_no_other(holds: Holds) -> None:
    assert holds.place("monitor", "fraud", "champion", "p", reason="a person moved it back")
    assert [hold.reason for hold in holds.active("fraud", "champion", "p")] == ["a person moved it back"]
    assert holds.active("fraud", "champion", "q") == []
    assert holds.active("fraud", "shadow", "p") == []
    assert holds.active("churn", "champion", "p") == []
    assert len(holds.active("fraud")) == 1


def test_a_hold_on_a_model_stops_all(holds: Holds) -> None:
    holds.place("remediation/p", "fraud", reason="frozen")
    assert holds.active("fraud", "champion", "p")
    assert holds.active("fraud", "shadow", "q")


def test_the_same_is_held_once(holds: Holds) -> None:
    assert holds.place("monitor", "fraud", "champion", "p", reason="one")
    assert not holds.place("monitor", "fraud", "champion", "p", reason="two")
    assert [hold.reason for hold in holds.search(10)] == ["one"]


def test_a_lifted_hold_stops_nothing_and_may_be_placed_again(holds: Holds, clock: Clock) -> None:
    holds.place("monitor", "fraud", "champion", "p", reason="one")
    holds.place("monitor", "fraud", "champion", "q", reason="two")
    assert holds.lift("ada", "fraud", policy="p") == 1
    assert [hold.policy for hold in holds.active("fraud")] == ["q"]
    assert [(hold.lifted_by, hold.lifted_at) for hold in holds.search(10)] == [("", None), ("ada", clock.now)]
    assert holds.place("monitor", "fraud", "champion", "p", reason="three")
    assert holds.lift("ada", "fraud") == 2
    assert holds.search(10, active_only=True) == []
    assert holds.lift("ada", "fraud") == 0


def test_holds_that_were_lifted_long_ago_are_deleted(holds: Holds, clock: Clock) -> None:
    holds.place("monitor", "fraud", reason="one")
    holds.lift("ada", "fraud")
    holds.place("monitor", "churn", reason="two")
    clock.advance(60)
    assert holds.prune(clock.now) == 1
    assert [hold.model for hold in holds.search(10)] == ["churn"]

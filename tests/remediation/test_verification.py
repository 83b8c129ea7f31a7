"""Verification on a version with real rows and evaluations; the verdict on it is a test's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from exporter.fleet import Version
from exporter.remediation.action import Action
from exporter.remediation.evidence import Judgement
from exporter.remediation.verification import Verification, plan_verification, verify
from exporter.settings import Settings
from exporter.storage.action_states import State
from tests.support.actions import ACTION
from tests.support.rig import NOON, Rig, make_rows

HOUR = 3600.0
AFTER = 6 * HOUR
GOOD = Judgement(False)


def moved(at: float = NOON, maturation: float = 0.0, **labels: str) -> Action:
    """An action that moved the alias at a time."""
    times = plan_verification(at, AFTER, maturation, Settings().windows)
    alert = {"labels": {"alertname": "ModelQualityDegraded", **labels}}
    return replace(ACTION, state=State.VERIFYING, data=times, alert=alert)


def look(rig: Rig, action: Action, judged: Judgement = GOOD) -> Verification:
    """Verify version 1 now."""

    def judge(version: Version, labels: Mapping[str, str], now: float) -> Judgement:
        assert labels == ({} if action.action == "promote" else action.alert["labels"])
        return judged

    return verify(action, rig.version(), judge, rig.clock.now)


def send(rig: Rig, rows: int, hours_later: float = 0.0) -> None:
    """Send rows some hours later, and evaluate."""
    rig.clock.advance(hours_later * HOUR)
    if rows:
        rig.post_rows(make_rows(rows))
    rig.evaluate()


def test_a_target_with_new_rows_and_a_good_verdict_has_recovered(rig: Rig) -> None:
    send(rig, 50, hours_later=6)
    found = look(rig, moved())
    assert found.state is State.RECOVERED
    assert found.reason == "ModelQualityDegraded is not true of version 2"
    assert (found.evidence["new_rows"], found.evidence["evaluated_at"]) == (50, NOON + AFTER)
    assert found.evidence["reference_digest"] == rig.version().counts.reference.digest  # type: ignore[union-attr]


def test_a_target_of_which_the_alert_is_true_has_not_recovered(rig: Rig) -> None:
    send(rig, 50, hours_later=6)
    found = look(rig, moved(), Judgement(True, "its recall is degraded"))
    assert found.state is State.NOT_RECOVERED
    assert found.reason == "ModelQualityDegraded is true of version 2 too: its recall is degraded"


def test_after_a_promotion_any_bad_verdict_counts_since_its_alert_said_something_good(rig: Rig) -> None:
    send(rig, 50, hours_later=6)
    asked = []

    def judge(version: Version, labels: Mapping[str, str], now: float) -> Judgement:
        asked.append(labels)
        return GOOD

    promotion = replace(moved(alertname="ModelChallengerBetter"), action="promote")
    found = verify(promotion, rig.version(), judge, rig.clock.now)
    assert (found.state, found.reason) == (State.RECOVERED, "no verdict on version 2 is bad")
    assert asked == [{}]


@pytest.mark.parametrize(
    ("bad", "state", "reason"),
    [
        (False, State.RECOVERED, "no verdict on version 2 is bad"),
        (True, State.NOT_RECOVERED, "a verdict on version 2 is bad"),
    ],
)
def test_a_promoted_version_has_to_do_well_itself(rig: Rig, bad: bool, state: State, reason: str) -> None:
    send(rig, 50, hours_later=6)
    found = look(rig, replace(moved(), action="promote"), Judgement(bad))
    assert (found.state, found.reason) == (state, reason)


def test_nothing_is_verified_before_its_time(rig: Rig) -> None:
    send(rig, 50, hours_later=5.9)
    assert look(rig, moved()).state is None
    assert look(rig, moved(), Judgement(True)).state is None


def test_a_target_without_new_rows_is_waited_for_and_inconclusive_then(rig: Rig) -> None:
    send(rig, 50)
    action = moved(rig.clock.now + 1)
    send(rig, 0, hours_later=17.9)
    found = look(rig, action)
    assert (found.state, found.reason) == (None, "the version got no predictions since the alias moved")
    send(rig, 0, hours_later=0.2)
    found = look(rig, action)
    assert found.state is State.NOT_RECOVERED
    assert found.reason == "inconclusive: the version got no predictions since the alias moved"
    assert found.evidence["last_prediction"] == NOON


def test_a_window_of_mostly_earlier_rows_says_nothing(rig: Rig) -> None:
    send(rig, 100)
    action = moved(rig.clock.now + 1)
    send(rig, 50, hours_later=6.1)
    found = look(rig, replace(action, alert=moved(window="24h").alert))
    assert found.state is None
    assert found.reason == "most rows of the window 24h are from before the alias moved"
    # Those of the last hour alone are all new.
    assert look(rig, action).state is State.RECOVERED


def test_an_evaluation_from_before_its_time_says_nothing(rig: Rig) -> None:
    send(rig, 50, hours_later=1)
    rig.clock.advance(AFTER)
    assert look(rig, moved()).reason == "it was not evaluated since"


def test_without_a_verdict_it_is_waited_for_as_long_as_labels_take(rig: Rig) -> None:
    send(rig, 50, hours_later=18)
    undecided = Judgement(None, "20 labels, 200 are needed")
    found = look(rig, moved(maturation=HOUR), undecided)
    assert (found.state, found.reason) == (None, "20 labels, 200 are needed")
    found = look(rig, moved(), undecided)
    assert (found.state, found.reason) == (State.NOT_RECOVERED, "inconclusive: 20 labels, 200 are needed")


def test_a_target_that_is_not_monitored_is_inconclusive(rig: Rig) -> None:
    for hours, state in ((6.0, None), (18.0, State.NOT_RECOVERED)):
        found = verify(moved(), None, lambda *_: GOOD, NOON + hours * HOUR)
        assert found.state is state
        assert "not monitored" in found.reason


@pytest.mark.parametrize(("after", "expected"), [(60.0, HOUR), (7200.0, 7200.0)])
def test_a_verification_takes_at_least_the_shortest_window(after: float, expected: float) -> None:
    times = plan_verification(NOON, after, 0.0, Settings().windows)
    assert times["verify_at"] == NOON + expected
    assert times["verify_until"] == NOON + 3 * expected

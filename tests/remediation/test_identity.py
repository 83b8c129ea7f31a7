"""Identities of actions."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from exporter.remediation.action import REJECTED
from exporter.remediation.identity import move_id, next_number, retrain_id
from exporter.storage.action_states import PENDING, State
from tests.support.actions import ACTION

DAY = 86400.0


def test_an_id_has_forty_digits_and_says_nothing_else() -> None:
    found = move_id("champion-rollback", "rollback", "fraud", "champion", 2, rehearsal=False)
    # The ids of actions that are stored: they may not change from one release to the next.
    assert found == "45a46fb9cafdd07f86c13687aae8ed14c4f509a1"
    assert re.fullmatch("[0-9a-f]{40}", found)


def test_all_that_makes_an_incident_is_in_the_id() -> None:
    ids = {
        move_id("a", "rollback", "fraud", "champion", 2, rehearsal=False),
        move_id("b", "rollback", "fraud", "champion", 2, rehearsal=False),
        move_id("a", "freeze", "fraud", "champion", 2, rehearsal=False),
        move_id("a", "rollback", "fraud2", "champion", 2, rehearsal=False),
        move_id("a", "rollback", "fraud", "champion2", 2, rehearsal=False),
        move_id("a", "rollback", "fraud", "champion", 3, rehearsal=False),
        move_id("a", "rollback", "fraud", "champion", 2, rehearsal=True),
        retrain_id("a", "fraud", "2", 1, rehearsal=False),
        retrain_id("a", "fraud", "2", 2, rehearsal=False),
        retrain_id("a", "fraud", "3", 1, rehearsal=False),
        retrain_id("a", "fraud", "2", 1, rehearsal=True),
    }
    assert len(ids) == 11


def test_the_first_retraining_is_number_one() -> None:
    assert next_number(None, DAY, 0.0) == 1


@pytest.mark.parametrize("state", list(State))
def test_the_next_number_is_due_after_the_end_and_the_cool_down(state: State) -> None:
    newest = replace(ACTION, action="retrain", tenure=4, state=state, updated_at=1000.0)
    open_again = state in PENDING or state in (State.REFUSED, State.EXPIRED)
    assert next_number(newest, DAY, 1000.0 + DAY - 1) == 4
    assert next_number(newest, DAY, 1000.0 + DAY) == (4 if open_again else 5)


def test_a_retraining_that_a_person_rejected_may_be_asked_for_again_later() -> None:
    newest = replace(ACTION, tenure=4, state=State.REFUSED, guard=REJECTED, updated_at=1000.0)
    assert next_number(newest, DAY, 1000.0 + DAY - 1) == 4
    assert next_number(newest, DAY, 1000.0 + DAY) == 5

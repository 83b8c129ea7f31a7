"""Policies and guards say what they would do about alerts, and nothing happens."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.remediation.alerts import Alert
from exporter.remediation.simulate import MAX_ALERTS, Answer, Simulation, Simulator
from exporter.storage.action_states import State
from exporter.storage.schema import remediations
from tests.support.actions import plan, take
from tests.support.cases import POLICY, make_config
from tests.support.monitored import DOWN
from tests.support.unanswering import World

LABELS = {"alertname": "ModelErrorRateHigh", "model": "fraud", "model_version": "2", "severity": "critical"}
WOULD = "would move the alias champion of fraud from version 2 back to version 1"


def alert(status: Any = "firing", **labels: str) -> Alert:
    return Alert(status, {name: value for name, value in {**LABELS, **labels}.items() if value}, {})


class Desk:
    """The champion of `fraud` does not answer; one policy rolls it back."""

    def __init__(self, unanswered: World) -> None:
        self.unanswered, service = unanswered, unanswered.rig.service
        self.simulator = Simulator(service.store, service.fleet, unanswered.ledger, unanswered.cases)
        unanswered.registry.tag("fraud", auto_rollback="true")

    def ask(self, *alerts: Alert, **section: Any) -> Simulation:
        self.unanswered.config = make_config(*section.pop("policies", (POLICY,)), **section)
        return self.simulator.simulate(alerts, self.unanswered.config, self.unanswered.rig.clock())

    def answer(self, *alerts: Alert, **section: Any) -> Answer:
        (found,) = self.ask(*(alerts or (alert(),)), **section).alerts
        (answer,) = found.answers
        return answer


@pytest.fixture
def desk(unanswered: World) -> Desk:
    return Desk(unanswered)


def test_the_action_is_told_with_the_guards_that_pass(desk: Desk) -> None:
    answer = desk.answer()
    assert answer.says == WOULD
    assert answer.action is not None
    assert (answer.action.target_version, answer.mode) == ("1", "auto")
    assert {check.guard for check in answer.checks} >= {"mode", "evidence", "target_loads"}
    assert all(not check.reason for check in answer.checks)


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("dry_run", f"would say that it {WOULD}"),
        ("approve", f"{WOULD}, once it is approved"),
        ("off", "the policy is off"),
    ],
)
def test_the_mode_says_what_becomes_of_it(desk: Desk, mode: str, says: str) -> None:
    assert desk.answer(mode=mode).says == says


def test_without_the_tag_of_the_owner_it_takes_an_approval(desk: Desk) -> None:
    desk.unanswered.registry.tag("fraud", auto_rollback="false")
    assert desk.answer().says == f"{WOULD}, once it is approved: no tag monitoring.auto_rollback=true"


def test_the_first_guard_that_refuses_is_told_and_all_others_too(desk: Desk) -> None:
    desk.unanswered.holds.place("ada", "fraud", reason="a holiday")
    desk.unanswered.registry.tag("fraud", "1", blocked="true")
    answer = desk.answer()
    assert answer.says.startswith(f"{WOULD}, and is refused by hold: it is on hold: a holiday")
    assert [check.guard for check in answer.checks if check.reason] == ["hold", "target_blocked"]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (
            {"alertname": "ModelFeatureDrift"},
            "does not match: alertname is 'ModelFeatureDrift', not ModelQualityDegraded|ModelErrorRateHigh",
        ),
        ({"alertname": ""}, "does not match: it has no label alertname"),
        ({"model": "churn"}, "the policy is not for the model churn"),
        ({"model_version": "1"}, "version 1 of fraud is not champion, version 2 is"),
        ({"status": "resolved"}, "the alert is resolved"),
    ],
)
def test_why_nothing_would_be_done_is_told(desk: Desk, labels: dict[str, str], says: str) -> None:
    answer = desk.answer(alert(**labels))
    assert (answer.says, answer.action, answer.checks) == (says, None, ())


def test_what_was_done_already_is_not_done_again(desk: Desk) -> None:
    action = desk.answer().action
    assert action is not None
    plan(desk.unanswered.rig.service.store, desk.unanswered.ledger, action)
    take(desk.unanswered.ledger, State.EXECUTING, State.CONFLICT, action=action)
    said = f"its action {action.id[:8]}, to {WOULD.removeprefix('would ')}, is there already: conflict"
    assert desk.answer().says == said


def test_while_mlflow_is_away_the_answer_says_so(desk: Desk) -> None:
    desk.unanswered.registry.failure = DOWN
    answer = desk.answer()
    assert answer.says == f"{WOULD}, if the guards pass that ask MLflow"
    unknown = [check.guard for check in answer.checks if check.unknown]
    assert unknown == ["alias", "target_blocked", "target_loads"]


def test_repeated_alerts_are_one_and_there_is_a_limit(desk: Desk) -> None:
    found = desk.ask(*[alert()] * 3, alert("resolved"), alert())
    assert [(each.alert.status, each.times) for each in found.alerts] == [("firing", 4), ("resolved", 1)]
    many = desk.ask(*(alert(alertname=f"Other{n}") for n in range(MAX_ALERTS + 7)))
    assert (len(many.alerts), many.omitted) == (MAX_ALERTS, 7)


def test_nothing_is_stored(desk: Desk) -> None:
    desk.answer()
    with desk.unanswered.rig.service.store.reading() as connection:
        assert connection.execute(remediations.select()).all() == []
    assert desk.unanswered.registry.alias_version("fraud", "champion") == "2"


def test_each_policy_answers(desk: Desk) -> None:
    other = {
        **POLICY,
        "name": "retrain",
        "action": "freeze",
        "match": {"alertname": ".*", "severity": "info"},
    }
    (found,) = desk.ask(alert(), policies=(POLICY, other)).alerts
    assert [answer.says for answer in found.answers] == [
        WOULD,
        "does not match: severity is 'critical', not info",
    ]

"""Actions that policies plan for alerts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.remediation import RemediationConfig
from exporter.remediation.action import Action
from exporter.remediation.planning import MAX_ALERTS, Plan, Planner
from exporter.storage.action_states import State
from tests.support.deliveries import make_fleet, read_alert
from tests.support.rig import NOON

DAY = 86400.0
POLICY: dict[str, Any] = {
    "name": "p",
    "match": {"alertname": "Model.*"},
    "model": "fraud",
    "action": "rollback",
}


def plan(
    *alerts: Any,
    moves: str = "2 3",
    newest: Action | None = None,
    mode: str = "auto",
    now: float = NOON,
    **policy: Any,
) -> list[Plan]:
    config = RemediationConfig.model_validate({"mode": mode, "policies": [{**POLICY, **policy}]})
    planner = Planner(make_fleet(moves=moves), lambda *_: newest)
    return planner.plan(config, alerts or (read_alert(),), now)


def action(*alerts: Any, **said: Any) -> Action:
    (found,) = plan(*alerts, **said)
    assert found.action is not None, found.reason
    return found.action


def reason(*alerts: Any, **said: Any) -> str:
    (found,) = plan(*alerts, **said)
    assert found.action is None
    return found.reason


def test_of_very_many_alerts_those_on_monitored_versions_are_judged() -> None:
    others = [read_alert(model=f"fraud-{number}") for number in range(MAX_ALERTS + 10)]
    found = plan(*others, read_alert(), model="fraud.*")
    assert found[0].action is not None
    assert len(found) == MAX_ALERTS


def test_a_rollback_goes_to_the_version_before() -> None:
    found = action(moves="1 2 3")
    assert (found.action, found.model, found.alias) == ("rollback", "fraud", "champion")
    assert (found.model_version, found.target_version, found.tenure) == ("3", "2", 3)
    assert (found.mode, found.state, found.data) == ("auto", State.PLANNED, {"holder": "3"})
    assert found.alert["labels"]["metric"] == "recall"
    assert (found.created_at, found.updated_at) == (NOON, NOON)


def test_a_promotion_goes_to_the_version_of_the_alert() -> None:
    found = action(read_alert(model_version="4"), action="promote")
    assert (found.model_version, found.target_version, found.data) == ("4", "4", {"holder": "3"})


@pytest.mark.parametrize("kind", ["freeze", "notify", "tag"])
def test_other_actions_concern_the_version_of_the_alert(kind: str) -> None:
    found = action(action=kind)
    assert (found.model_version, found.target_version, found.tenure) == ("3", "", 2)


def test_a_retraining_is_for_the_version_of_the_alert_whatever_its_alias() -> None:
    found = action(read_alert(model_version="2"), action="retrain")
    assert (found.model_version, found.tenure) == ("2", 1)


def test_a_retraining_is_numbered_on_after_the_cool_down() -> None:
    first = action(action="retrain", cooldown=3600)
    ended = replace(first, state=State.RECOVERED, updated_at=NOON)
    assert action(action="retrain", cooldown=3600, newest=ended, now=NOON + 60).id == first.id
    assert action(action="retrain", cooldown=3600, newest=ended, now=NOON + 3600).tenure == 2


@pytest.mark.parametrize(
    ("alerts", "said", "expected"),
    [
        ([read_alert("resolved")], {}, "the alert is resolved"),
        ([read_alert(model="")], {}, "the alert has no label model"),
        ([read_alert(model_version="")], {}, "the alert has no label model_version"),
        ([read_alert(model="credit")], {}, "the policy is not for the model credit"),
        ([read_alert(model_version="9")], {}, "version 9 of fraud is not monitored"),
        ([read_alert(model_version="2")], {}, "version 2 of fraud is not champion, version 3 is"),
        ([read_alert()], {"alias": "shadow"}, "fraud has no alias shadow"),
        ([read_alert()], {"moves": "2 3 -"}, "fraud has no alias champion"),
        ([read_alert()], {"mode": "off"}, "the policy is off"),
        ([read_alert()], {"action": "promote"}, "version 3 of fraud is champion already"),
    ],
)
def test_it_is_told_why_there_is_no_action(alerts: list[Any], said: dict[str, Any], expected: str) -> None:
    assert reason(*alerts, **said) == expected


def test_an_alert_of_no_policy_is_nothing() -> None:
    assert plan(read_alert(alertname="Watchdog")) == []
    assert plan(read_alert(alertname="MLflowExporterRemediationFailed"), match={"alertname": ".*"}) == []


def test_many_alerts_of_one_incident_are_one_action() -> None:
    columns = [
        read_alert(column=f"c{index}", severity=severity, alertname="ModelFeatureDrift")
        for index in range(20)
        for severity in ("warning", "critical")
    ]
    (found,) = plan(*columns)
    assert found.action is not None
    again = replace(columns[0], starts_at=NOON + 7200, fingerprint="another")
    assert action(again).id == found.action.id


def test_a_new_tenure_is_another_incident() -> None:
    assert len({action(moves=moves).id for moves in ("2 3", "2 3 4 3", "3")}) == 3
    # A clock that was set back, and a model that was not visible for a while, begin no tenure.
    assert len({action(moves=moves).id for moves in ("2 3", "2 3 3", "2 3 - 3")}) == 1


def test_a_rehearsal_does_not_use_up_the_action() -> None:
    assert len({action(mode=mode).id for mode in ("dry_run", "auto", "approve")}) == 2


def test_every_policy_that_matches_plans() -> None:
    config = RemediationConfig.model_validate(
        {"mode": "auto", "policies": [POLICY, {**POLICY, "name": "q", "action": "freeze"}]}
    )
    found = Planner(make_fleet(), lambda *_: None).plan(config, [read_alert()], NOON)
    assert [(each.policy.name, each.alert.name) for each in found] == [
        ("p", "ModelQualityDegraded"),
        ("q", "ModelQualityDegraded"),
    ]


ALERTS = st.builds(
    lambda severity, column, at, mark, status: replace(
        read_alert(status, alertname="ModelFeatureDrift", severity=severity, column=column),
        starts_at=at,
        fingerprint=mark,
    ),
    severity=st.sampled_from(["warning", "critical"]),
    column=st.sampled_from(["", "age", "amount"]),
    at=st.floats(NOON - DAY, NOON),
    mark=st.text("0123456789abcdef", min_size=16, max_size=16),
    status=st.sampled_from(["firing", "resolved"]),
)


@given(st.lists(st.lists(ALERTS, max_size=6), max_size=4), st.sampled_from(["rollback", "retrain", "freeze"]))
def test_however_an_incident_is_delivered_it_is_one_action(deliveries: list[list[Any]], kind: str) -> None:
    target = {"target": "ci"} if kind == "retrain" else {}
    plans = [each for alerts in deliveries if alerts for each in plan(*alerts, action=kind, **target)]
    ids = {each.action.id for each in plans if each.action is not None}
    fired = any(alert.status == "firing" for alerts in deliveries for alert in alerts)
    assert len(ids) == fired

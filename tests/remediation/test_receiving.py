"""Deliveries to stored alerts, records and planned actions, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from exporter.config.remediation import RemediationConfig
from exporter.errors import StoreError, UnavailableError
from exporter.exposition.telemetry import Telemetry
from exporter.fleet import Fleet
from exporter.remediation import receiving
from exporter.remediation.action import REJECTED
from exporter.remediation.alerts import read_webhook
from exporter.remediation.ledger import ActionFilter, Ledger
from exporter.remediation.receiving import MAX_KEPT_ALERTS, Receiver
from exporter.storage.action_states import State
from exporter.storage.alerts import load_alerts
from exporter.storage.schema import alert_deliveries, alerts
from exporter.storage.store import Store
from tests.support.deliveries import make_alert, make_body, make_fleet
from tests.support.fakes import Clock
from tests.support.rig import NOON
from tests.support.trail import bodies

ROLLBACK = {"name": "back", "match": {"alertname": "Model.*"}, "model": "fraud", "action": "rollback"}
FREEZE = {**ROLLBACK, "name": "hold", "action": "freeze"}


class Receiving:
    """A receiver with its surroundings; `woken` counts its calls of the engine."""

    def __init__(
        self, store: Store, clock: Clock, fleet: Fleet, *policies: dict[str, Any], mode: str
    ) -> None:
        self.store, self.clock, self.woken = store, clock, 0
        self.ledger = Ledger(store, clock)
        self.telemetry = Telemetry(clock)
        self.config = RemediationConfig.model_validate({"mode": mode, "policies": policies})
        self.receiver = Receiver(
            store, fleet, self.ledger, lambda: self.config, self.telemetry.remediation, clock, self._wake
        )

    def _wake(self) -> None:
        self.woken += 1

    def post(self, *posted: dict[str, Any], **own: Any) -> list[tuple[str, str]]:
        """Receive a delivery, and return policy and outcome of its actions."""
        receipt = self.receiver.receive(read_webhook(make_body(*posted, **own)), "alertmanager")
        return [(action.policy, action.outcome) for action in receipt.actions]

    def count(self, table: sa.Table) -> int:
        with self.store.reading() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


@pytest.fixture
def start(store: Store, clock: Clock) -> Callable[..., Receiving]:
    def start_one(*policies: dict[str, Any], fleet: Fleet | None = None, mode: str = "auto") -> Receiving:
        return Receiving(store, clock, fleet or make_fleet(), *(policies or (ROLLBACK,)), mode=mode)

    return start_one


def test_a_delivery_is_stored_with_its_action_and_record(start: Callable[..., Receiving]) -> None:
    here = start()
    assert here.post(make_alert(), make_alert("resolved", alertname="ModelErrorRateHigh")) == [
        ("back", "planned")
    ]

    with here.store.reading() as connection:
        second, first = load_alerts(connection, 10)
        (delivery,) = connection.execute(sa.select(alert_deliveries)).all()
    assert (first.status, first.labels["metric"], first.at) == ("firing", "recall", NOON)
    assert (second.status, second.labels["alertname"]) == ("resolved", "ModelErrorRateHigh")
    assert (delivery.actor, delivery.receiver, delivery.alerts) == ("alertmanager", "remediation", 2)
    (action,) = here.ledger.open()
    assert (action.state, action.model_version, action.target_version) == (State.PLANNED, "3", "2")
    received, planned = bodies(here.store)[-2:]
    assert (received["kind"], received["actor"], received["model_version"]) == (
        "alert_received",
        "alertmanager",
        "3",
    )
    assert received["data"]["plans"][0] == {"policy": "back", "action": "rollback", "action_id": action.id}
    assert (planned["kind"], planned["action_id"], planned["data"]["state"]) == (
        "remediation",
        action.id,
        "planned",
    )
    assert here.woken == 1


def test_repeated_and_reordered_deliveries_lead_to_one_action(start: Callable[..., Receiving]) -> None:
    here = start(ROLLBACK, FREEZE)
    columns = [make_alert(column=f"c{index}", alertname="ModelFeatureDrift") for index in range(20)]
    resolved = make_alert("resolved")
    assert here.post(resolved) == []
    assert here.post(*columns) == [("back", "planned"), ("hold", "planned")]
    assert here.post(*columns, make_alert(severity="warning")) == [("back", "known"), ("hold", "known")]
    assert here.post(make_alert(), resolved, truncatedAlerts=5) == [("back", "known"), ("hold", "known")]
    assert here.post(resolved) == []
    assert len(here.ledger.open()) == 2
    assert here.woken == 1


def test_twenty_deliveries_at_once_lead_to_one_action(start: Callable[..., Receiving]) -> None:
    here = start()
    with ThreadPoolExecutor(20) as threads:
        posted = [threads.submit(here.post, make_alert(column=f"c{index}")) for index in range(20)]
        outcomes = [outcome for each in posted for _, outcome in each.result()]
    assert sorted(outcomes) == ["known"] * 19 + ["planned"]
    assert here.count(alert_deliveries) == 20
    assert len(here.ledger.search(ActionFilter(), 10)) == 1


def test_twenty_retrainings_asked_for_at_once_are_one(start: Callable[..., Receiving]) -> None:
    retrain = {**ROLLBACK, "action": "retrain", "target": "airflow"}
    here = start(retrain)
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(lambda _: here.post(make_alert()), range(20)))
    assert [action.tenure for action in here.ledger.search(ActionFilter(), 10)] == [1]


def test_a_retraining_is_asked_for_again_after_its_end_and_the_cool_down(
    start: Callable[..., Receiving],
) -> None:
    here = start({**ROLLBACK, "action": "retrain", "target": "airflow", "cooldown": "24h"})
    assert here.post(make_alert()) == [("back", "planned")]
    (first,) = here.ledger.open()
    here.clock.advance(30 * 3600)
    assert here.post(make_alert()) == [("back", "known")]  # it is not over yet
    claimed = here.ledger.claim(first, "here", 60.0, "remediation/back")
    assert claimed
    assert here.ledger.advance(claimed, State.FAILED, "remediation/back", reason="no answer")
    assert here.post(make_alert()) == [("back", "known")]  # it cools down
    here.clock.advance(24 * 3600)
    assert here.post(make_alert()) == [("back", "planned")]
    assert sorted(action.tenure for action in here.ledger.search(ActionFilter(), 10)) == [1, 2]


def test_a_refusal_is_looked_at_again_by_a_later_delivery(start: Callable[..., Receiving]) -> None:
    here = start()
    here.post(make_alert())
    (planned,) = here.ledger.open()
    here.ledger.advance(planned, State.REFUSED, "remediation/back", guard="evidence", reason="no data")
    assert here.post(make_alert()) == [("back", "reopened")]
    (again,) = here.ledger.open()
    assert (again.id, again.state, again.guard) == (planned.id, State.PLANNED, "")
    assert here.woken == 2


def test_what_a_person_rejected_stays_rejected(start: Callable[..., Receiving]) -> None:
    here = start(mode="approve")
    here.post(make_alert())
    (planned,) = here.ledger.open()
    waiting = here.ledger.advance(planned, State.AWAITING_APPROVAL, "remediation/back")
    assert waiting
    here.ledger.reject(waiting, "grace", "we know")
    assert here.post(make_alert()) == [("back", "known")]
    assert here.ledger.open() == []
    (action,) = here.ledger.search(ActionFilter(), 10)
    assert (action.state, action.guard) == (State.REFUSED, REJECTED)


def test_an_alert_that_leads_to_nothing_is_stored_with_the_reason(start: Callable[..., Receiving]) -> None:
    here = start()
    receipt = here.receiver.receive(read_webhook(make_body(make_alert(model_version="2"))), "alertmanager")
    assert receipt.actions == ()
    assert receipt.reasons == (("back", "version 2 of fraud is not champion, version 3 is"),)
    assert bodies(here.store)[-1]["data"]["plans"] == [
        {"policy": "back", "reason": "version 2 of fraud is not champion, version 3 is"}
    ]
    assert here.post(make_alert(alertname="Watchdog", model="", model_version="")) == []
    assert here.count(alerts) == 2
    assert here.woken == 0


def test_ten_thousand_alerts_are_taken_within_bounds(start: Callable[..., Receiving]) -> None:
    here = start()
    others = [make_alert(alertname="Else", model=f"a{index}", column=f"c{index}") for index in range(10_000)]
    before = len(bodies(here.store))
    assert here.post(*others, make_alert()) == [("back", "planned")]
    assert here.count(alerts) == MAX_KEPT_ALERTS
    with here.store.reading() as connection:
        kept = load_alerts(connection, MAX_KEPT_ALERTS)
        (delivery,) = connection.execute(sa.select(alert_deliveries)).all()
    assert delivery.alerts == 10_001
    assert "fraud" in {alert.labels["model"] for alert in kept}  # what matched a policy is kept first
    records = bodies(here.store)[before:]
    assert len(records) == receiving.MAX_VERSIONS + 1
    assert records[0]["data"]["other_versions"] == 10_001 - receiving.MAX_VERSIONS
    assert records[0]["model"] == "fraud"


def test_actions_beyond_the_limit_are_planned_by_the_next_delivery(
    start: Callable[..., Receiving], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "MAX_ACTIONS", 2)
    here = start(*({**FREEZE, "name": f"p{index}"} for index in range(5)))
    assert here.post(make_alert()) == [("p0", "planned"), ("p1", "planned")]
    assert [outcome for _, outcome in here.post(make_alert())] == ["known", "known", "planned", "planned"]
    assert len(here.post(make_alert())) == 5


def test_nothing_is_kept_of_a_delivery_that_could_not_be_stored(
    start: Callable[..., Receiving], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = start()
    before = len(bodies(here.store))

    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(here.ledger, "plan", fail)
    with pytest.raises(UnavailableError, match="the disk is full"):
        here.post(make_alert())
    assert (here.count(alerts), here.count(alert_deliveries), len(bodies(here.store))) == (0, 0, before)
    assert here.woken == 0


def test_alerts_are_counted_by_status(start: Callable[..., Receiving]) -> None:
    here = start()
    here.post(make_alert(), make_alert(metric="auc"), make_alert("resolved"))
    counted = {
        sample.labels["status"]: sample.value
        for metric in here.telemetry.remediation._alerts.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }
    assert counted == {"firing": 2.0, "resolved": 1.0}

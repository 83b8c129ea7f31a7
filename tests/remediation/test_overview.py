from __future__ import annotations

from dataclasses import replace

from exporter.config.remediation import RemediationConfig
from exporter.exposition.remediation import LedgerView, PolicyView
from exporter.exposition.telemetry import Telemetry
from exporter.remediation.ledger import Ledger
from exporter.remediation.overview import Overview, read_ledger, view_policies
from exporter.storage.action_states import State
from exporter.storage.schema import alert_deliveries
from exporter.storage.store import Store
from tests.support.actions import ACTION, plan, take
from tests.support.fakes import Clock
from tests.support.rig import NOON

S = State


def test_nothing_is_pending_in_an_empty_store(store: Store, ledger: Ledger) -> None:
    assert read_ledger(store, ledger, NOON) == LedgerView()


def test_actions_are_summed_up_by_state_and_the_newest_of_a_model_counts(
    store: Store, ledger: Ledger, clock: Clock
) -> None:
    plan(store, ledger)
    take(ledger, S.AWAITING_APPROVAL)
    clock.advance(60)
    plan(store, ledger, replace(ACTION, id="b" * 40, created_at=clock.now, updated_at=clock.now))
    plan(
        store, ledger, replace(ACTION, id="c" * 40, model="churn", created_at=clock.now, updated_at=clock.now)
    )
    found = read_ledger(store, ledger, clock.now)
    assert found.pending == {("rollback", "awaiting_approval"): 1, ("rollback", "planned"): 2}
    assert found.oldest_pending == NOON
    assert found.changed == {
        ("rollback", ACTION.model, "awaiting_approval"): NOON,
        ("rollback", ACTION.model, "planned"): NOON + 60,
        ("rollback", "churn", "planned"): NOON + 60,
    }


def test_refusals_are_summed_up_by_the_guard_that_refused_last(
    store: Store, ledger: Ledger, clock: Clock
) -> None:
    for name, guard in (("a", "cooldown"), ("b", "hold"), ("c", "cooldown")):
        action = replace(ACTION, id=name * 40)
        plan(store, ledger, action)
        take(ledger, S.REFUSED, action=action, guard=guard)
        clock.advance(60)
    found = read_ledger(store, ledger, clock.now)
    assert found.refused == {
        ("rollback", "cooldown", ACTION.model): NOON + 120,
        ("rollback", "hold", ACTION.model): NOON + 60,
    }
    assert found.changed == {("rollback", ACTION.model, "refused"): NOON + 120}


def test_ends_are_forgotten_after_a_week_and_what_waits_is_not(
    store: Store, ledger: Ledger, clock: Clock
) -> None:
    plan(store, ledger)
    take(ledger, S.EXECUTING, S.FAILED)
    plan(store, ledger, replace(ACTION, id="b" * 40))
    clock.advance(7 * 86400)
    assert ("rollback", ACTION.model, "failed") in read_ledger(store, ledger, clock.now).changed
    clock.advance(1)
    assert read_ledger(store, ledger, clock.now).changed == {("rollback", ACTION.model, "planned"): NOON}


def test_the_last_delivery_is_remembered(store: Store, ledger: Ledger) -> None:
    with store.writing() as connection:
        for at in (NOON + 5, NOON):
            values = {"at": at, "actor": "", "receiver": "", "group_key": "", "alerts": 1, "truncated": 0}
            connection.execute(alert_deliveries.insert(), values)
    assert read_ledger(store, ledger, NOON).last_received == NOON + 5


CONFIG = RemediationConfig.model_validate(
    {
        "mode": "approve",
        "breaker": {"failures": 2, "reset_after": "1h"},
        "policies": [
            {
                "name": "rollback",
                "match": {"alertname": "Model(Quality|Error).*", "severity": "critical", "metric": "f1"},
                "model": "fraud",
                "action": "rollback",
                "mode": "auto",
            },
            {
                "name": "mine",
                "match": {"alertname": "Mine"},
                "model": ".*",
                "action": "freeze",
                "mode": "off",
            },
        ],
    }
)


def test_policies_are_shown_with_their_mode_and_the_alerts_that_they_wait_for() -> None:
    assert view_policies(CONFIG) == (
        PolicyView(
            "approve", frozenset({("ModelQualityDegraded", "critical"), ("ModelErrorRateHigh", "critical")})
        ),
        PolicyView("off", frozenset()),
    )


def test_metrics_follow_the_store_and_the_configuration(store: Store, ledger: Ledger, clock: Clock) -> None:
    config = RemediationConfig()
    telemetry = Telemetry(clock).remediation
    overview = Overview(store, ledger, lambda: config, telemetry, clock)
    overview.refresh()
    assert (telemetry.policies, telemetry.ledger) == ((), LedgerView())

    config = CONFIG
    plan(store, ledger)
    overview.refresh()
    assert telemetry.policies == view_policies(CONFIG)
    assert telemetry.ledger is not None
    assert telemetry.ledger.pending == {("rollback", "planned"): 1}


def test_a_breaker_is_open_from_the_last_of_some_failures_on_for_its_time(
    store: Store, ledger: Ledger, clock: Clock
) -> None:
    telemetry = Telemetry(clock).remediation
    overview = Overview(store, ledger, lambda: CONFIG, telemetry, clock)

    def fail(name: str, model: str) -> None:
        action = replace(ACTION, id=name * 40, model=model)
        plan(store, ledger, action)
        take(ledger, S.EXECUTING, S.FAILED, action=action)

    fail("b", "fraud")
    fail("c", "churn")
    clock.advance(86400)
    fail("d", "fraud")
    overview.refresh()
    assert telemetry.open_breakers == {"fraud"}
    clock.advance(3600)
    overview.refresh()
    assert telemetry.open_breakers == frozenset()

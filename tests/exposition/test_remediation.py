"""Metrics of remediation and audit."""

from __future__ import annotations

import pytest

from exporter.exposition.remediation import (
    OUTCOMES,
    REMEDIATION_CATALOG,
    CheckpointView,
    LedgerView,
    PolicyView,
)
from exporter.exposition.telemetry import Telemetry
from exporter.storage.action_states import PENDING, State
from tests.exposition.test_telemetry import lines

NOW = 1_800_000_000.0
PENDING_SECONDS = "mlflow_exporter_remediation_oldest_pending_seconds"


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(clock=lambda: NOW)


def test_the_labels_are_those_of_remediation() -> None:
    assert PENDING == ("planned", "awaiting_approval", "executing", "applied", "verifying", "interrupted")
    assert set(OUTCOMES) == set(State) - set(PENDING) | {State.INTERRUPTED}


def test_counters_start_at_zero(telemetry: Telemetry) -> None:
    telemetry.remediation.watch_guards(["cooldown"])
    found = lines(telemetry)
    assert found['mlflow_exporter_alerts_received_total{status="resolved"}'] == "0.0"
    assert found['mlflow_exporter_remediations_total{action="promote",outcome="failed"}'] == "0.0"
    assert found['mlflow_exporter_remediation_refused_total{guard="cooldown"}'] == "0.0"


def test_alerts_ends_and_refusals_are_counted(telemetry: Telemetry) -> None:
    telemetry.remediation.count_alert("firing")
    telemetry.remediation.count_alert("firing")
    telemetry.remediation.count_end("rollback", "refused")
    telemetry.remediation.count_refused("cooldown")
    found = lines(telemetry)
    assert found['mlflow_exporter_alerts_received_total{status="firing"}'] == "2.0"
    assert found['mlflow_exporter_remediations_total{action="rollback",outcome="refused"}'] == "1.0"
    assert found['mlflow_exporter_remediation_refused_total{guard="cooldown"}'] == "1.0"


def test_gauges_are_absent_until_they_are_known(telemetry: Telemetry) -> None:
    shown = {line.partition("{")[0] for line in lines(telemetry)}
    assert not shown & {metric.name for metric in REMEDIATION_CATALOG if metric.type == "gauge"}


def test_pending_actions_are_shown_with_the_age_of_the_oldest(telemetry: Telemetry) -> None:
    telemetry.remediation.ledger = LedgerView({("retrain", "verifying"): 2}, oldest_pending=NOW - 90)
    found = lines(telemetry)
    assert found['mlflow_exporter_remediation_pending{action="retrain",state="verifying"}'] == "2.0"
    assert found['mlflow_exporter_remediation_pending{action="retrain",state="interrupted"}'] == "0.0"
    assert found[PENDING_SECONDS] == "90.0"

    telemetry.remediation.ledger = LedgerView()
    found = lines(telemetry)
    assert found['mlflow_exporter_remediation_pending{action="retrain",state="verifying"}'] == "0.0"
    assert PENDING_SECONDS not in found


def test_a_policy_that_is_off_waits_for_no_alert(telemetry: Telemetry) -> None:
    worse, errors = ("ModelQualityDegraded", "critical"), ("ModelErrorRateHigh", "warning")
    telemetry.remediation.policies = (
        PolicyView("auto", frozenset({worse})),
        PolicyView("dry_run", frozenset({worse})),
        PolicyView("off", frozenset({worse, errors})),
    )
    found = lines(telemetry)
    assert found['mlflow_exporter_remediation_policies{mode="off"}'] == "1.0"
    assert found['mlflow_exporter_remediation_policies{mode="approve"}'] == "0.0"
    labels = '{alertname="ModelQualityDegraded",severity="critical"}'
    matching = {name: value for name, value in found.items() if "matching_policies" in name}
    assert matching == {f"mlflow_exporter_remediation_matching_policies{labels}": "2.0"}


def test_only_the_last_checkpoint_and_open_breakers_are_shown(telemetry: Telemetry) -> None:
    telemetry.remediation.open_breakers = frozenset({"fraud"})
    telemetry.remediation.checkpoint = CheckpointView(7, "aa", NOW - 3600)
    telemetry.remediation.checkpoint = CheckpointView(9, "bb", NOW)
    telemetry.remediation.open_breakers = frozenset({"churn"})
    found = {line for line in lines(telemetry) if "breaker" in line or "checkpoint_info" in line}
    assert found == {
        'mlflow_exporter_remediation_breaker_open{model="churn"}',
        'mlflow_exporter_audit_checkpoint_info{digest="bb",seq="9"}',
    }

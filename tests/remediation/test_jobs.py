"""Retraining as an action: from the request to the version that it registers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from exporter.errors import RegistryAuthError, RegistryError
from exporter.registry.models import AliasState
from exporter.remediation.action import ACTION_TAG, Action
from exporter.remediation.jobs import (
    MAX_MISSING_SECONDS,
    MAX_REGISTRATION_SECONDS,
    Jobs,
    job_of,
)
from exporter.remediation.targets import Dispatch, Job, Progress, Targets
from tests.support.actions import ACTION
from tests.support.fakes import Clock, FakeRegistry

RETRAIN = replace(
    ACTION,
    action="retrain",
    target_version="",
    executed_at=ACTION.created_at,
    alert={
        "labels": {"alertname": "ModelFeatureDrift", "severity": "warning", "column": "amount"},
        "starts_at": 1748865600.0,
    },
    data={"run": {"target": "airflow", "id": "r1", "url": "https://airflow/r1"}},
)


class ScriptedTargets(Targets):
    """Targets that answer as told."""

    def __init__(self, progress: Progress, sent: Dispatch | None = None) -> None:
        self.progress = progress
        self.sent = sent or Dispatch("accepted", "r1")
        self.asked: list[tuple[Any, ...]] = []

    def dispatch(self, name: str, job: Job, repeated: bool) -> Dispatch:
        self.asked.append((name, job.action_id, repeated))
        return self.sent

    def follow(self, name: str, job: Job, run: str) -> Progress:
        self.asked.append((name, job.action_id, run))
        return self.progress

    def timeout_seconds(self, name: str) -> float:
        return 6 * 3600.0


@pytest.fixture
def registry() -> FakeRegistry:
    found = FakeRegistry()
    for _ in range(3):
        found.register("fraud")
    return found


@pytest.fixture
def follow(registry: FakeRegistry, clock: Clock) -> Callable[..., tuple[str, str]]:
    """Follows an action whose target tells this progress; returns status and reason."""
    targets = ScriptedTargets(Progress("running"))
    jobs = Jobs(lambda: targets, registry, clock, follow_seconds=0, rest_seconds=0)

    def step(state: Any, after: float = 0.0, action: Action = RETRAIN) -> tuple[str, str]:
        clock.advance(after)
        targets.progress = Progress(state, "word")
        outcome = jobs.follow(action)
        return outcome.status, outcome.reason

    return step


def test_a_dispatch_keeps_the_run_with_the_action(registry: FakeRegistry, clock: Clock) -> None:
    targets = ScriptedTargets(Progress("running"), Dispatch("accepted", "r1", "https://airflow/r1"))
    outcome = Jobs(lambda: targets, registry, clock).dispatch(RETRAIN, "airflow", repeated=True)
    assert targets.asked == [("airflow", RETRAIN.id, True)]
    assert (outcome.status, outcome.data) == ("accepted", RETRAIN.data)


def test_an_unknown_outcome_keeps_no_run(registry: FakeRegistry, clock: Clock) -> None:
    targets = ScriptedTargets(Progress("running"), Dispatch("unknown", reason="no answer", repeatable=True))
    outcome = Jobs(lambda: targets, registry, clock).dispatch(RETRAIN, "airflow", repeated=False)
    assert (outcome.status, outcome.reason, outcome.data, outcome.repeatable) == (
        "unknown",
        "no answer",
        {},
        True,
    )


def test_the_version_that_the_run_registers_becomes_the_challenger(
    registry: FakeRegistry, clock: Clock
) -> None:
    targets = ScriptedTargets(Progress("running", "queued"))
    jobs = Jobs(lambda: targets, registry, clock, follow_seconds=0)
    assert jobs.follow(RETRAIN, "challenger").reason == "running queued"
    version = registry.register("fraud")
    registry.set_version_tag("fraud", version, ACTION_TAG, RETRAIN.id)
    assert jobs.follow(RETRAIN, "challenger").status == "running"  # its run has not ended
    targets.progress = Progress("succeeded")
    outcome = jobs.follow(RETRAIN, "challenger")
    assert (outcome.status, outcome.data) == (
        "succeeded",
        {"challenger": "4", "challenger_alias": "challenger", "challenger_before": ""},
    )
    assert registry.alias_version("fraud", "challenger") == "4"
    assert registry.poll().models["fraud"].aliases == {"challenger": "4"}


def test_the_challenger_before_is_kept_with_the_action(registry: FakeRegistry, clock: Clock) -> None:
    registry.set_alias("fraud", "challenger", "2")
    registry.set_version_tag("fraud", "3", ACTION_TAG, RETRAIN.id)
    jobs = Jobs(lambda: ScriptedTargets(Progress("succeeded")), registry, clock)
    assert jobs.follow(RETRAIN, "challenger").data["challenger_before"] == "2"
    assert registry.alias_version("fraud", "challenger") == "3"


def test_an_alias_that_mlflow_refuses_is_told_and_the_retraining_has_succeeded(
    registry: FakeRegistry, clock: Clock
) -> None:
    class WithoutPermission(FakeRegistry):
        def tagged_version(self, model: str, key: str, value: str) -> str:
            return "3"

        def read_alias(self, model: str, alias: str) -> AliasState:
            raise RegistryAuthError("403: permission denied")

    jobs = Jobs(lambda: ScriptedTargets(Progress("succeeded")), WithoutPermission(), clock)
    outcome = jobs.follow(RETRAIN, "challenger")
    assert (outcome.status, outcome.data["challenger_alias_problem"]) == (
        "succeeded",
        "403: permission denied",
    )


def test_no_alias_is_set_unless_the_policy_names_one(
    follow: Callable[..., tuple[str, str]], registry: FakeRegistry
) -> None:
    registry.set_version_tag("fraud", "3", ACTION_TAG, RETRAIN.id)
    assert follow("succeeded") == ("succeeded", "version 3 is registered")
    assert registry.poll().models == {}


def test_a_run_that_succeeds_without_a_version_has_an_hour_to_register_one(
    follow: Callable[..., tuple[str, str]], registry: FakeRegistry
) -> None:
    registry.set_version_tag("fraud", "3", ACTION_TAG, "b" * 40)  # of another action
    assert follow("succeeded")[0] == "running"
    assert follow("succeeded", MAX_REGISTRATION_SECONDS)[0] == "running"
    assert follow("succeeded", 1) == (
        "failed",
        "the run ended, and no version has the tag monitoring.action_id",
    )


def test_a_run_that_fails_is_told(follow: Callable[..., tuple[str, str]]) -> None:
    assert follow("failed") == ("failed", "the run ended as word")


def test_a_run_that_is_not_found_for_ten_minutes_is_lost(follow: Callable[..., tuple[str, str]]) -> None:
    assert follow("missing")[0] == "running"
    assert follow("running", MAX_MISSING_SECONDS)[0] == "running"  # found again
    assert follow("missing", 1)[0] == "running"
    assert follow("missing", MAX_MISSING_SECONDS)[0] == "running"
    assert follow("missing", 1) == ("failed", "the target accepted the run and has lost it")


def test_a_run_that_was_cleaned_up_after_it_registered_its_version_has_succeeded(
    follow: Callable[..., tuple[str, str]], registry: FakeRegistry
) -> None:
    registry.set_version_tag("fraud", "3", ACTION_TAG, RETRAIN.id)
    assert follow("missing")[0] == "succeeded"


@pytest.mark.parametrize("state", ["running", "unanswered", "untold"])
def test_a_run_that_does_not_end_in_time_is_lost(follow: Callable[..., tuple[str, str]], state: str) -> None:
    assert follow(state, 6 * 3600)[0] == "running"
    assert follow(state, 1) == ("failed", f"not ended after 6.0 hours; last: {state} word")


def test_a_target_that_tells_nothing_has_done_its_work_once_the_version_is_there(
    follow: Callable[..., tuple[str, str]], registry: FakeRegistry
) -> None:
    assert follow("untold")[0] == "running"
    registry.set_version_tag("fraud", "3", ACTION_TAG, RETRAIN.id)
    assert follow("untold")[0] == "succeeded"


def test_a_run_is_looked_at_every_few_seconds(registry: FakeRegistry, clock: Clock) -> None:
    targets = ScriptedTargets(Progress("running"))
    jobs = Jobs(lambda: targets, registry, clock)
    for _ in range(10):
        assert jobs.follow(RETRAIN).status == "running"
        clock.advance(1)
    assert len(targets.asked) == 2


def test_a_target_that_does_not_answer_is_left_alone_for_a_minute(
    registry: FakeRegistry, clock: Clock
) -> None:
    targets = ScriptedTargets(Progress("unanswered"))
    jobs = Jobs(lambda: targets, registry, clock)
    others = [replace(RETRAIN, id=f"{n:040x}") for n in range(20)]
    for _ in range(59):
        assert {jobs.follow(action).status for action in others} == {"running"}
        clock.advance(1)
    assert len(targets.asked) == 1
    clock.advance(1)
    targets.progress = Progress("failed", "FAILED")
    assert {jobs.follow(action).status for action in others} == {"failed"}


def test_mlflow_that_is_down_is_told_to_the_caller(
    follow: Callable[..., tuple[str, str]], registry: FakeRegistry
) -> None:
    registry.failure = RegistryError("down")
    with pytest.raises(RegistryError):
        follow("succeeded")


def test_a_job_has_the_values_of_the_action_and_its_alert() -> None:
    job = job_of(RETRAIN)
    assert (job.action_id, job.planned_at) == (RETRAIN.id, RETRAIN.created_at)
    assert job.values == {
        "action_id": RETRAIN.id,
        "policy": "champion-rollback",
        "alertname": "ModelFeatureDrift",
        "severity": "warning",
        "starts_at": "2025-06-02T12:00:00Z",
        "model": "fraud",
        "model_version": "3",
        "alias": "champion",
        "labels.alertname": "ModelFeatureDrift",
        "labels.severity": "warning",
        "labels.column": "amount",
    }

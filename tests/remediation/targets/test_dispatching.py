"""Dispatch over all kinds of targets: one run an action, whatever becomes of requests and answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import get_args

import pytest

from exporter.config.targets import GitHub
from exporter.remediation.targets import Targets
from exporter.remediation.targets.dispatching import BUDGET_SECONDS, KINDS
from exporter.remediation.targets.exchange import Answer
from exporter.remediation.targets.github import GitHubWorkflow
from exporter.remediation.targets.orchestrator import Run
from tests.remediation.targets.conftest import ACTION_ID, JOB
from tests.support.orchestrators import (
    AFTER,
    FAKES,
    TOKEN,
    Fake,
    FakeAirflow2,
    FakeDagster,
    FakeForgetfulWebhook,
    FakeGitHub,
    FakeGitHubRepository,
    FakeKubeflow,
    FakeMuteWebhook,
    FakeWebhook,
    Fault,
    OrchestratorServer,
    Reply,
    Request,
)

Make = Callable[..., Targets]
# Where the same request twice would give two runs.
WITHOUT_KEY = (
    FakeGitHub, FakeGitHubRepository, FakeKubeflow, FakeDagster, FakeForgetfulWebhook, FakeMuteWebhook,
)  # fmt: skip

every_kind = pytest.mark.parametrize("kind", FAKES, ids=lambda kind: kind.__name__)


def test_every_kind_of_orchestrator_has_a_fake() -> None:
    assert {fake.kind for fake in FAKES} == set(KINDS)


@every_kind
def test_a_run_is_started_followed_and_ends(
    targets: Make, shared_server: OrchestratorServer, kind: type[Fake]
) -> None:
    fake = kind()
    its = targets(fake)
    sent = its.dispatch("it", JOB, repeated=False)
    assert (sent.outcome, sent.reason, len(fake.runs)) == ("accepted", "", 1)
    (given,) = fake.runs.values()
    if kind is FakeDagster:
        assert given["mlflow-exporter/action_id"] == ACTION_ID
    else:
        assert given["action_id"] == ACTION_ID
        assert given["model"] == JOB.values["model"]
    told = kind is not FakeMuteWebhook
    assert its.follow("it", JOB, sent.run).state == ("running" if told else "untold")
    for well, state in ((True, "succeeded"), (False, "failed")):
        fake.end(well)
        assert its.follow("it", JOB, sent.run).state == (state if told else "untold")
    fake.forget()
    assert its.follow("it", JOB, sent.run).state == ("missing" if told else "untold")


@pytest.mark.parametrize("fault", AFTER)
@every_kind
def test_a_lost_answer_gives_one_run(
    targets: Make, shared_server: OrchestratorServer, kind: type[Fake], fault: Fault
) -> None:
    its = targets(fake := kind(), total_seconds=0.5 if fault in ("silent", "trickle") else 10)
    shared_server.faults.append(fault)
    sent = its.dispatch("it", JOB, repeated=False)
    assert len(fake.runs) == 1
    if kind is not FakeMuteWebhook or fault in ("page", "huge"):  # any body accepts there
        assert sent.outcome == "accepted"
    elif fault != "trickle":  # likewise: the status is enough
        assert (sent.outcome, sent.repeatable) == ("unknown", False)
        assert its.dispatch("it", JOB, repeated=True).outcome == "unknown"
        assert len(fake.runs) == 1


@every_kind
def test_an_action_that_is_dispatched_again_after_a_crash_has_one_run(
    targets: Make, shared_server: OrchestratorServer, kind: type[Fake]
) -> None:
    its = targets(fake := kind())
    first = its.dispatch("it", JOB, repeated=False)
    again = its.dispatch("it", JOB, repeated=True)
    assert len(fake.runs) == 1
    if kind is FakeMuteWebhook:
        assert (again.outcome, again.repeatable) == ("unknown", False)
    else:
        assert again.outcome == "accepted"
        assert again.run == (first.run or "900")


@every_kind
def test_a_crash_before_the_request_is_made_up_for_only_where_that_cannot_double(
    targets: Make, shared_server: OrchestratorServer, kind: type[Fake]
) -> None:
    its = targets(fake := kind())
    sent = its.dispatch("it", JOB, repeated=True)
    if kind in WITHOUT_KEY:
        assert (sent.outcome, sent.repeatable, len(fake.runs)) == ("unknown", False, 0)
    else:
        assert (sent.outcome, len(fake.runs)) == ("accepted", 1)


@every_kind
def test_a_target_that_is_overloaded_is_asked_again(
    targets: Make, shared_server: OrchestratorServer, kind: type[Fake]
) -> None:
    its = targets(fake := kind())
    shared_server.faults.extend(["busy", "busy"])
    assert its.dispatch("it", JOB, repeated=False).outcome == "accepted"
    assert len(fake.runs) == 1


@every_kind
def test_a_gateway_that_fails_is_asked_again_only_with_a_key(
    targets: Make, shared_server: OrchestratorServer, kind: type[Fake]
) -> None:
    its = targets(fake := kind())
    shared_server.faults.append("unavailable")
    sent = its.dispatch("it", JOB, repeated=False)
    if kind in WITHOUT_KEY:
        assert (sent.outcome, sent.repeatable, len(fake.runs)) == ("unknown", False, 0)
    else:
        assert (sent.outcome, len(fake.runs)) == ("accepted", 1)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("forbidden", 'it answers 403: {"detail": "*** may not"}'),
        ("redirect", "it answers 302, a redirect to /elsewhere"),
    ],
)
@every_kind
def test_what_a_target_refuses_is_not_sent_again_nor_elsewhere(
    targets: Make, shared_server: OrchestratorServer, kind: type[Fake], fault: Fault, reason: str
) -> None:
    its = targets(fake := kind())
    shared_server.faults.append(fault)
    sent = its.dispatch("it", JOB, repeated=False)
    if kind is FakeAirflow2:  # its secret is another
        reason = reason.replace("***", TOKEN)
    assert (sent.outcome, sent.reason) == ("refused", reason)
    assert (len(shared_server.starts), len(fake.runs), shared_server.elsewhere) == (1, 0, [])


@every_kind
def test_a_target_that_never_answers_ends_as_unknown_and_is_bounded(
    targets: Make, shared_server: OrchestratorServer, kind: type[Fake]
) -> None:
    its = targets(kind(), total_seconds=0.1)
    shared_server.is_down = True
    sent = its.dispatch("it", JOB, repeated=False)
    if kind is FakeMuteWebhook:
        assert (sent.outcome, sent.repeatable) == ("unknown", False)
    else:
        assert sent.repeatable
    assert its.follow("it", JOB, "900").state == ("untold" if kind is FakeMuteWebhook else "unanswered")
    assert len(shared_server.starts) <= 3


@pytest.mark.parametrize("kind", WITHOUT_KEY, ids=lambda kind: kind.__name__)
def test_a_run_that_cannot_be_looked_for_is_not_started_again(
    targets: Make, shared_server: OrchestratorServer, kind: type[Fake]
) -> None:
    class Blind(kind):  # type: ignore[misc, valid-type]
        """Finds no runs while a run was just started and the service is in trouble."""

        in_trouble = True

        def handle(self, request: Request) -> Reply:
            if self.runs and self.in_trouble and not self.is_start(request):
                return Reply(502, "<html>bad gateway</html>", "text/html")
            return super().handle(request)  # type: ignore[no-any-return]

    its = targets(fake := Blind())
    shared_server.faults.append("lost")
    sent = its.dispatch("it", JOB, repeated=False)
    assert (sent.outcome, len(shared_server.starts)) == ("unknown", 1)
    for _ in range(2):
        sent = its.dispatch("it", JOB, repeated=True)
        assert (sent.outcome, len(shared_server.starts)) == ("unknown", 1)
    assert sent.repeatable == (kind is not FakeMuteWebhook)
    fake.in_trouble = False
    assert its.dispatch("it", JOB, repeated=True).outcome == (
        "unknown" if kind is FakeMuteWebhook else "accepted"
    )
    assert len(fake.runs) == 1


@every_kind
def test_no_sequence_of_faults_and_crashes_starts_two_runs(
    targets: Make, shared_server: OrchestratorServer, kind: type[Fake]
) -> None:
    quick = [fault for fault in get_args(Fault) if fault not in ("silent", "trickle")]
    random = Random(kind.__name__)
    for _ in range(12):
        its = targets(fake := kind())
        shared_server.faults.extend(random.choices([*quick, None], k=6))
        shared_server.other_faults.extend(random.choices([*quick, *[None] * 8], k=12))
        for attempt in range(4):
            sent = its.dispatch("it", JOB, repeated=attempt > 0)
            if not sent.repeatable and random.random() < 0.7:  # else it crashed before this was stored
                break
        assert len(fake.runs) <= 1, list(shared_server.requests)
        if sent.outcome == "accepted" and not isinstance(fake, FakeWebhook):  # which takes any page for a yes
            assert len(fake.runs) == 1
        if sent.outcome in ("refused", "unreachable"):
            assert len(fake.runs) == 0


def test_a_conflict_of_airflow_2_that_is_no_run_of_ours_is_tried_again(
    targets: Make, shared_server: OrchestratorServer
) -> None:
    class SameDate(FakeAirflow2):
        """Refuses the first request, since another run has its logical date."""

        clashes = 1

        def handle(self, request: Request) -> Reply:
            if self.is_start(request) and self.clashes:
                self.clashes -= 1
                return Reply(409, {"detail": "DAGRun logical date already exists"})
            return super().handle(request)

    its = targets(fake := SameDate())
    assert its.dispatch("it", JOB, repeated=False).outcome == "accepted"
    assert list(fake.runs) == [JOB.name]
    assert len(shared_server.starts) == 2


def test_a_run_of_github_that_may_be_on_another_page_is_not_started_again(
    targets: Make, shared_server: OrchestratorServer
) -> None:
    its = targets(fake := FakeGitHub())
    for number in range(101):
        fake.start(f"1{number}", {"action_id": "another"}, "queued")
    sent = its.dispatch("it", JOB, repeated=False)
    assert (sent.outcome, sent.repeatable) == ("unreachable", True)
    assert "more runs than the 100" in sent.reason
    assert shared_server.starts == []


def test_github_names_the_run_where_it_can() -> None:
    config = GitHub(kind="github", repository="acme/fraud-model", workflow="retrain.yml")
    workflow = GitHubWorkflow(config)
    call = workflow.create(JOB, {"action_id": ACTION_ID})
    fake = FakeGitHub()
    headers = {key.lower(): value for key, value in call.headers.items()} | {"user-agent": "x"}
    path = call.url.removeprefix("https://api.github.com")
    reply = fake.handle(Request("POST", path, {}, headers, json.dumps(call.body).encode()))
    assert reply.status == 200
    run = workflow.created(JOB, Answer(200, json.dumps(reply.content).encode()))
    assert run == Run("900", "https://github.com/acme/fraud-model/actions/runs/900")


def test_no_request_is_begun_once_a_dispatch_takes_too_long(
    shared_server: OrchestratorServer, secrets: dict[str, str]
) -> None:
    passed = [0.0]

    def sleep(seconds: float) -> None:
        passed[0] += BUDGET_SECONDS

    shared_server.reset(fake := FakeGitHub())
    shared_server.faults.extend(["unavailable"] * 3)
    config = fake.config(shared_server.url, fake.secrets(**secrets))
    its = Targets({"it": config}, sleep=sleep, clock=lambda: passed[0])
    sent = its.dispatch("it", JOB, repeated=False)
    assert (sent.outcome, sent.repeatable) == ("unknown", True)
    assert [request.method for request in shared_server.requests] == ["GET", "POST", "GET", "GET"]

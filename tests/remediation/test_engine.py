from __future__ import annotations

from datetime import timedelta

import pytest

from exporter.errors import RegistryError, RegistryUnreachableError
from exporter.remediation.action import ACTION_TAG, Action
from exporter.remediation.guards import GuardAnswer
from exporter.remediation.jobs import JobOutcome
from exporter.storage.action_states import State
from exporter.storage.schema import AliasMove
from tests.support.actions import ACTION, plan, stored, take
from tests.support.engines import Bench
from tests.support.rig import eventually

S = State
HOUR = timedelta(hours=1).total_seconds()
DOWN = RegistryUnreachableError("MLflow cannot be reached")


def test_an_action_goes_from_planned_to_verifying_with_one_move(bench: Bench) -> None:
    bench.plan()
    assert bench.step().state is S.APPLIED
    assert bench.alias() == "2"
    assert bench.fake.model_tags("fraud")[ACTION_TAG] == ACTION.id
    assert bench.polls == 1
    bench.discover()
    verifying = bench.step()
    assert verifying.state is S.VERIFYING
    assert verifying.reason.startswith("the move was seen; its effect is judged from ")
    assert bench.states() == [S.PLANNED, S.EXECUTING, S.APPLIED, S.VERIFYING]
    assert (verifying.data["alias_before"], verifying.data["alias_after"]) == ("3", "2")


def test_a_process_that_cannot_be_certain_that_it_leads_does_nothing(bench: Bench) -> None:
    bench.plan()
    bench.leads = lambda: False
    assert bench.step().state is S.PLANNED
    bench.leads = lambda: True
    assert bench.step().state is S.APPLIED


def test_an_action_that_was_claimed_waits_where_the_process_may_not_lead_any_more(bench: Bench) -> None:
    bench.plan()
    answers = iter([True, False])  # the step begins, and then the process was stopped for a while
    bench.leads = lambda: next(answers)
    assert bench.step().state is S.EXECUTING
    assert bench.alias() == "3"
    assert ACTION_TAG not in bench.fake.model_tags("fraud")
    bench.leads = lambda: True
    bench.clock.advance(300)  # its own claim is over: whichever process leads goes on
    assert bench.step().state is S.APPLIED
    assert bench.alias() == "2"


def test_a_rehearsal_says_what_would_have_happened_and_does_nothing(bench: Bench) -> None:
    bench.plan(mode="dry_run")
    bench.refusals = [GuardAnswer("evidence", "it has recovered")]
    rehearsed = bench.step()
    assert rehearsed.state is S.DRY_RUN
    would = "move the alias champion of fraud from version 3 back to version 2"
    assert rehearsed.data == {
        "would": would,
        "refusals": [{"guard": "evidence", "reason": "it has recovered"}],
    }
    assert rehearsed.reason == f"would {would}, and would be refused (evidence: it has recovered)"
    assert bench.alias() == "3"
    assert ACTION_TAG not in bench.fake.model_tags("fraud")
    assert (bench.ended("dry_run"), bench.refused("evidence")) == (1.0, None)


def test_what_a_guard_refuses_is_not_done_and_is_counted(bench: Bench) -> None:
    bench.plan()
    bench.refusals = [GuardAnswer("cooldown", "an hour ago"), GuardAnswer("breaker", "open")]
    refused = bench.step()
    assert (refused.state, refused.guard, refused.reason) == (S.REFUSED, "cooldown", "an hour ago")
    assert [each["guard"] for each in refused.data["refusals"]] == ["cooldown", "breaker"]
    assert bench.alias() == "3"
    assert (bench.ended("refused"), bench.refused("cooldown")) == (1.0, 1.0)


def test_a_policy_on_approve_waits_for_a_person(bench: Bench) -> None:
    bench.set_policy("approve")
    bench.plan()
    waiting = bench.step(2)
    assert (waiting.state, waiting.reason) == (S.AWAITING_APPROVAL, "the mode is approve")
    assert bench.ledger.approve(waiting, "ada") is not None
    done = bench.step()
    assert (done.state, done.approved_by) == (S.APPLIED, "ada")
    assert bench.alias() == "2"


def test_the_guards_are_asked_again_at_approval(bench: Bench) -> None:
    bench.set_policy("approve")
    bench.plan()
    bench.ledger.approve(bench.step(), "ada")
    bench.refusals = [GuardAnswer("evidence", "it has recovered")]
    assert bench.step().state is S.REFUSED
    assert bench.alias() == "3"


def test_an_approval_that_nobody_gives_expires(bench: Bench) -> None:
    bench.set_policy("approve", approve_within=2 * HOUR)
    bench.plan()
    bench.step()
    bench.clock.advance(2 * HOUR - 1)
    assert bench.step().state is S.AWAITING_APPROVAL
    bench.clock.advance(1)
    assert bench.step().state is S.EXPIRED
    assert bench.ended("expired") == 1.0


def test_an_approval_is_not_needed_any_more_once_a_person_has_moved_the_alias(bench: Bench) -> None:
    bench.set_policy("approve")
    bench.plan()
    bench.step()
    bench.fake.set_alias("fraud", "champion", "1")
    bench.discover()
    assert bench.step().state is S.SUPERSEDED
    assert bench.alias() == "1"


@pytest.mark.parametrize("tag", ["", "false", "no"])
def test_auto_needs_the_tag_of_the_model_for_a_move(bench: Bench, tag: str) -> None:
    bench.fake.set_model_tag("fraud", "monitoring.auto_rollback", tag)
    bench.plan()
    waiting = bench.step()
    assert waiting.state is S.AWAITING_APPROVAL
    assert waiting.reason == "fraud has no tag monitoring.auto_rollback=true"
    assert bench.alias() == "3"


@pytest.mark.parametrize(("planned", "now"), [("approve", "auto"), ("auto", "approve"), ("auto", "dry_run")])
def test_the_more_careful_mode_of_then_and_now_is_in_force(bench: Bench, planned: str, now: str) -> None:
    bench.set_policy(now)
    bench.plan(mode=planned)
    assert bench.step().state is S.AWAITING_APPROVAL
    assert bench.alias() == "3"


def test_a_decision_waits_for_mlflow_for_a_while_and_is_refused_then(bench: Bench) -> None:
    bench.plan()
    bench.failure = DOWN
    assert bench.step().state is S.PLANNED
    bench.clock.advance(599)
    assert bench.step().state is S.PLANNED
    bench.clock.advance(1)
    refused = bench.step()
    assert (refused.state, refused.guard) == (S.REFUSED, "registry")
    assert "MLflow cannot be reached" in refused.reason


def test_a_decision_is_made_once_mlflow_answers(bench: Bench) -> None:
    bench.plan()
    bench.failure = DOWN
    bench.step()
    bench.failure = None
    assert bench.step().state is S.APPLIED


def test_an_approved_action_waits_for_mlflow_for_a_while_and_is_refused_then(bench: Bench) -> None:
    bench.set_policy("approve")
    bench.plan()
    bench.ledger.approve(bench.step(), "ada")
    bench.failure = DOWN
    assert bench.step().state is S.AWAITING_APPROVAL
    bench.clock.advance(600)
    assert bench.step().state is S.REFUSED


def test_one_action_that_fails_holds_up_no_other(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.plan(id="0" * 40, model="other", alert={})
    bench.plan()
    ask = bench._guards
    failing = {"0" * 40}

    def fail(action: object, now: float) -> list[GuardAnswer]:
        if getattr(action, "id", "") in failing:
            raise ZeroDivisionError
        return ask(action, now)  # type: ignore[arg-type]

    bench._guards = fail  # type: ignore[method-assign]
    bench.start()
    assert bench.step().state is S.APPLIED
    assert "failed and is tried again" in caplog.text


def test_while_mlflow_is_down_one_action_asks_it_and_the_others_wait(bench: Bench) -> None:
    for number in range(3):
        bench.plan(id=f"{number:040}")
    asked: list[str] = []

    def fail(action: object, now: float) -> list[GuardAnswer]:
        asked.append(getattr(action, "id", ""))
        raise DOWN

    bench._guards = fail  # type: ignore[method-assign]
    bench.start().step()
    assert asked == ["0" * 40]


# -- after a crash ------------------------------------------------------------------------------------------


def crash(bench: Bench, *, moved: bool, tagged: bool = True) -> None:
    """A process was killed while it moved the alias."""
    bench.plan()
    take(bench.ledger, S.EXECUTING)
    if tagged:
        bench.fake.set_model_tag("fraud", ACTION_TAG, ACTION.id)
    if moved:
        bench.fake.set_alias("fraud", "champion", "2")
    bench.start()


def test_nobody_acts_while_a_lease_lasts(bench: Bench) -> None:
    crash(bench, moved=False)
    bench.clock.advance(60)
    assert bench.step().state is S.EXECUTING
    assert bench.alias() == "3"


def test_a_move_that_was_made_before_the_crash_is_applied(bench: Bench) -> None:
    crash(bench, moved=True)
    bench.clock.advance(24 * HOUR)
    applied = bench.step()
    assert (applied.state, applied.attempt) == (S.APPLIED, 2)
    assert applied.executed_at == bench.clock.now


@pytest.mark.parametrize("tagged", [True, False])
def test_a_move_that_was_not_made_is_repeated_shortly_after_the_lease(bench: Bench, tagged: bool) -> None:
    crash(bench, moved=False, tagged=tagged)
    bench.clock.advance(60 + 300)
    assert bench.step().state is S.APPLIED
    assert bench.alias() == "2"


def test_a_move_that_was_not_made_needs_approval_later(bench: Bench) -> None:
    crash(bench, moved=False)
    bench.clock.advance(60 + 301)
    interrupted = bench.step(2)
    assert interrupted.state is S.INTERRUPTED
    assert bench.alias() == "3"
    assert bench.ledger.approve(interrupted, "ada") is not None
    assert bench.step().state is S.APPLIED
    assert bench.alias() == "2"
    assert (bench.ended("interrupted"), bench.ended("failed")) == (1.0, 0.0)


def test_an_interrupted_action_is_not_repeated_by_a_later_alert(bench: Bench) -> None:
    crash(bench, moved=False)
    bench.clock.advance(60 + 301)
    bench.ledger.approve(bench.step(), "ada")
    bench.refusals = [GuardAnswer("evidence", "it has recovered")]
    assert bench.step().state is S.REFUSED
    bench.refusals = []
    bench.plan()
    waiting = bench.step(2)
    assert (waiting.state, waiting.reason) == (S.AWAITING_APPROVAL, "an earlier attempt was interrupted")


def test_an_alias_elsewhere_after_a_crash_is_a_conflict(bench: Bench) -> None:
    crash(bench, moved=False)
    bench.fake.set_alias("fraud", "champion", "1")
    bench.clock.advance(24 * HOUR)
    conflict = bench.step()
    assert conflict.state is S.CONFLICT
    assert conflict.data == {"expected": "3", "found": "1"}
    assert bench.alias() == "1"


def test_an_alias_at_the_target_without_our_tag_is_a_conflict(bench: Bench) -> None:
    crash(bench, moved=True, tagged=False)
    bench.clock.advance(120)
    assert bench.step().state is S.CONFLICT


def test_an_action_that_crashes_its_process_again_and_again_is_given_up(bench: Bench) -> None:
    bench.plan()
    for _ in range(5):
        bench.clock.advance(61)
        take(bench.ledger, S.EXECUTING)
    bench.clock.advance(61)
    bench.start()
    assert bench.step().state is S.INTERRUPTED
    assert bench.alias() == "3"


def test_an_interrupted_move_that_turns_out_to_have_been_made_is_applied(bench: Bench) -> None:
    crash(bench, moved=False)
    bench.clock.advance(24 * HOUR)
    assert bench.step().state is S.INTERRUPTED
    bench.fake.set_alias("fraud", "champion", "2")
    bench.discover()
    assert bench.step(2).state is S.VERIFYING


def test_an_interrupted_action_expires_after_a_month(bench: Bench) -> None:
    crash(bench, moved=False)
    bench.clock.advance(24 * HOUR)
    bench.step()
    bench.clock.advance(30 * 24 * HOUR)
    assert bench.step().state is S.EXPIRED


# -- MLflow -------------------------------------------------------------------------------------------------


def fail_at(bench: Bench, name: str, *failures: Exception | None, after: bool = False) -> None:
    """Have calls of the registry fail in turn, if `after` once they were carried out; None succeeds."""
    call, left = getattr(bench.fake, name), list(failures)

    def act(*arguments: str) -> object:
        failure = left.pop(0) if left else None
        if failure is not None and not after:
            raise failure
        answer = call(*arguments)
        if failure is not None:
            raise failure
        return answer

    setattr(bench.fake, name, act)


@pytest.mark.parametrize("name", ["set_model_tag", "read_alias", "set_alias"])
@pytest.mark.parametrize("after", [False, True])
def test_a_call_that_mlflow_does_not_answer_is_repeated(bench: Bench, name: str, after: bool) -> None:
    bench.plan()
    fail_at(bench, name, DOWN, DOWN, after=after)
    assert bench.step().state is S.APPLIED
    assert bench.alias() == "2"


def test_mlflow_that_stays_down_before_the_move_fails_the_action(bench: Bench) -> None:
    bench.plan()
    fail_at(bench, "set_model_tag", *[DOWN] * 5)
    before = bench.clock.now
    failed = bench.step()
    assert (failed.state, failed.reason) == (S.FAILED, str(DOWN))
    assert bench.clock.now - before == 15.0
    assert bench.ended("failed") == 1.0


def test_mlflow_that_goes_down_with_the_move_leaves_it_to_a_person(bench: Bench) -> None:
    bench.plan()
    fail_at(bench, "set_alias", *[DOWN] * 5)
    interrupted = bench.step()
    assert interrupted.state is S.INTERRUPTED
    assert "may have been moved" in interrupted.reason


def test_a_slow_mlflow_does_not_move_the_alias_after_the_lease(bench: Bench) -> None:
    bench.plan()
    call = bench.fake.set_model_tag

    def be_slow(*arguments: str) -> None:
        bench.clock.advance(190)
        call(*arguments)

    bench.fake.set_model_tag = be_slow  # type: ignore[method-assign]
    assert bench.step().state is S.EXECUTING
    assert bench.alias() == "3"
    bench.clock.advance(60)
    assert bench.step().state is S.APPLIED
    assert stored(bench.ledger).attempt == 2


# -- other kinds --------------------------------------------------------------------------------------------


def test_a_tag_is_set_on_the_version_of_the_alert(bench: Bench) -> None:
    bench.set_policy(action="tag")
    bench.plan(action="tag", target_version="")
    assert bench.step(2).state is S.RECOVERED
    assert bench.fake.poll().models["fraud"].versions["3"].tags == {"bad": "true"}
    assert bench.ended("recovered", "tag") == 1.0


def test_a_freeze_holds_the_model_until_it_is_lifted(bench: Bench) -> None:
    bench.plan(action="freeze", target_version="")
    assert bench.step(2).state is S.RECOVERED
    (hold,) = bench.holds.active("fraud", "champion", "any")
    assert hold.reason == "frozen by policy champion-rollback for ModelQualityDegraded"


def test_no_move_waits_for_an_orchestrator(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.plan(id="00" * 20, action="retrain")
    bench.clock.advance(1)
    bench.plan()
    champions = []
    dispatch = bench.runs.dispatch

    def look(action: Action, target: str, repeated: bool) -> JobOutcome:
        champions.append(bench.fake.alias_version("fraud", "champion"))
        return dispatch(action, target, repeated)

    monkeypatch.setattr(bench.runs, "dispatch", look)
    bench.engine.step()
    assert champions == ["2"]


def test_a_retraining_is_followed_to_its_end(bench: Bench) -> None:
    bench.plan(action="retrain", target_version="")
    bench.runs.answer = JobOutcome("accepted", data={"run": {"id": "1"}})
    running = bench.step(2)
    assert (running.state, running.data) == (S.APPLIED, {"run": {"id": "1"}})
    assert bench.runs.asked == [(ACTION.id, "airflow", False)]
    bench.runs.state = JobOutcome("succeeded", "version 4 is registered", {"challenger": "4"})
    ended = bench.step()
    assert (ended.state, ended.data["challenger"]) == (S.RECOVERED, "4")


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (JobOutcome("refused", "no such dag"), S.FAILED),
        (JobOutcome("unknown", "timed out"), S.INTERRUPTED),
        (JobOutcome("unreachable", "refused"), S.FAILED),
        (JobOutcome("unknown", "timed out", repeatable=True), S.EXECUTING),
    ],
)
def test_a_dispatch_that_is_not_accepted(bench: Bench, answer: JobOutcome, state: State) -> None:
    bench.plan(action="retrain", target_version="")
    bench.runs.answer = answer
    assert bench.step().state is state


def test_a_dispatch_that_can_be_repeated_is_so_until_it_is_given_up(bench: Bench) -> None:
    bench.plan(action="retrain", target_version="")
    bench.runs.answer = JobOutcome("unknown", "timed out", repeatable=True)
    bench.step()
    for _ in range(4):
        bench.clock.advance(201)
        bench.step()
    assert stored(bench.ledger).state is S.INTERRUPTED
    assert [repeated for _, _, repeated in bench.runs.asked] == [False, True, True, True, True]


def test_a_dispatch_that_was_broken_off_long_ago_is_not_repeated(bench: Bench) -> None:
    bench.plan(action="retrain", target_version="")
    take(bench.ledger, S.EXECUTING)
    bench.clock.advance(24 * HOUR)
    interrupted = bench.step()
    assert interrupted.state is S.INTERRUPTED
    assert bench.runs.asked == []
    bench.ledger.approve(interrupted, "ada")
    bench.step()
    assert [repeated for _, _, repeated in bench.runs.asked] == [False]


# -- verification and people --------------------------------------------------------------------------------


def test_an_action_whose_target_never_got_traffic_has_not_recovered(bench: Bench) -> None:
    bench.move()
    bench.clock.advance(17 * HOUR)
    assert bench.step().state is S.VERIFYING
    bench.clock.advance(1 * HOUR)
    ended = bench.step()
    assert ended.state is S.NOT_RECOVERED
    assert ended.reason == "inconclusive: the version is not monitored"
    assert bench.ended("not_recovered") == 1.0


def test_a_move_that_is_not_seen_yet_waits_for_the_discovery(bench: Bench) -> None:
    bench.plan()
    bench.step()
    assert bench.step(2).state is S.APPLIED
    assert bench.polls == 3


def test_a_person_who_moves_it_back_holds_the_policy(bench: Bench) -> None:
    bench.move()
    bench.clock.advance(60)
    bench.fake.set_alias("fraud", "champion", "3")
    bench.discover()
    superseded = bench.step()
    assert superseded.state is S.SUPERSEDED
    (hold,) = bench.holds.active("fraud", "champion", ACTION.policy)
    assert "moved back to version 3" in hold.reason
    assert bench.holds.active("fraud", "champion", "another") == []


def test_a_person_who_moves_it_back_before_it_was_seen_holds_the_policy(bench: Bench) -> None:
    bench.plan()
    bench.step()
    bench.fake.set_alias("fraud", "champion", "3")
    bench.discover()
    assert bench.step().state is S.SUPERSEDED
    assert len(bench.holds.active("fraud")) == 1


def test_a_person_who_moves_it_back_after_the_end_holds_the_policy(bench: Bench) -> None:
    bench.move()
    bench.clock.advance(18 * HOUR)
    assert bench.step().state is S.NOT_RECOVERED
    bench.fake.set_alias("fraud", "champion", "3")
    bench.discover()
    bench.start().step()
    assert len(bench.holds.active("fraud", "champion", ACTION.policy)) == 1


def test_a_move_at_the_time_of_the_tenure_before_it_is_no_objection(bench: Bench) -> None:
    bench.fleet.record([AliasMove("fraud", "champion", "3", bench.clock.now + HOUR)])  # a clock ahead
    bench.plan()
    bench.step(2)
    bench.discover()
    assert bench.step().state is S.VERIFYING
    assert bench.holds.active("fraud") == []


def test_a_hold_that_was_lifted_is_not_placed_again(bench: Bench) -> None:
    test_a_person_who_moves_it_back_holds_the_policy(bench)
    bench.clock.advance(60)
    assert bench.holds.lift("ada", "fraud") == 1
    bench.start().step()
    assert bench.holds.active("fraud") == []


def test_a_person_who_moves_on_holds_nothing(bench: Bench) -> None:
    bench.move()
    bench.clock.advance(60)
    bench.fake.set_alias("fraud", "champion", "1")
    bench.discover()
    assert bench.step().state is S.SUPERSEDED
    assert bench.holds.active("fraud") == []


def test_another_exporters_action_that_moves_it_back_holds_nothing(bench: Bench) -> None:
    bench.move()
    bench.clock.advance(60)
    bench.fake.set_model_tag("fraud", ACTION_TAG, "b" * 40)
    bench.fake.set_alias("fraud", "champion", "3")
    bench.discover()
    assert bench.step().state is S.SUPERSEDED
    assert bench.holds.active("fraud") == []


def test_whether_it_was_moved_back_is_asked_again_while_mlflow_is_down(bench: Bench) -> None:
    bench.move()
    bench.clock.advance(60)
    bench.fake.set_alias("fraud", "champion", "3")
    bench.discover()
    bench.fake.failure = RegistryError("odd")
    assert bench.step().state is S.VERIFYING
    assert bench.holds.active("fraud") == []
    bench.fake.failure = None
    assert bench.step().state is S.SUPERSEDED
    assert len(bench.holds.active("fraud")) == 1


def test_two_engines_on_one_store_move_once(bench: Bench) -> None:
    bench.plan()
    other = Bench(bench.store, bench.clock, bench.fake)
    moves: list[str] = []
    call = bench.fake.set_alias

    def move(model: str, alias: str, version: str) -> None:
        moves.append(version)
        other.engine.step()  # while the first is at it
        call(model, alias, version)

    bench.fake.set_alias = move  # type: ignore[method-assign]
    assert bench.step().state is S.APPLIED
    assert moves == ["2"]


def test_the_engine_acts_when_it_is_woken(bench: Bench) -> None:
    bench.engine.start()
    bench.plan()
    bench.engine.wake()
    eventually(lambda: stored(bench.ledger).state is S.APPLIED)
    assert bench.engine.alive()
    bench.engine.stop()
    assert not bench.engine.alive()


def test_what_ended_long_ago_is_deleted(bench: Bench) -> None:
    plan(bench.store, bench.ledger)
    take(bench.ledger, S.DRY_RUN)
    bench.clock.advance(401 * 24 * HOUR)
    bench.engine.step()
    assert bench.ledger.find(ACTION.id) is None

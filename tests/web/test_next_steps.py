"""Steps that the page of a version offers a person."""

from __future__ import annotations

import shlex
from dataclasses import replace

from exporter.fleet import Fleet, Version
from exporter.remediation.action import Action
from exporter.settings import Settings
from exporter.storage.action_states import State
from exporter.storage.reports import ReportState, StoredReport
from exporter.storage.schema import AliasMove, StoredVersion
from exporter.views.reasons import Reason
from exporter.web.next_steps import Step, next_steps, previous_holder
from tests.support.actions import ACTION
from tests.support.cases import MOVES
from tests.support.rig import NOON

DRIFT = Reason("1 of 3 features drifted: age (24h)", NOON, "ModelFeatureDrift")
QUALITY = Reason("quality is degraded", NOON, "ModelQualityDegraded")
REPORT = StoredReport("ab" * 16, 1, "fraud", "3", "24h", NOON - 86400, NOON, "verdict", NOON)


def steps(
    *reasons: Reason,
    actions: tuple[Action, ...] = (),
    reports: tuple[StoredReport, ...] = (),
    model: str = "fraud",
) -> list[Step]:
    fleet = Fleet(Settings())
    fleet.record(replace(move, model=model) for move in MOVES)
    version = Version(StoredVersion(1, model, "3", 0, None, "", 0))
    version.aliases = ("champion",)
    return list(next_steps(version, fleet, reasons, actions, reports, "24h"))


def commands(found: list[Step]) -> list[str]:
    return [step.command for step in found if step.command]


def test_nothing_is_to_be_done_about_a_good_version() -> None:
    assert steps() == []


def test_drift_of_inputs_asks_for_a_report_and_may_be_accepted_but_not_rolled_back() -> None:
    assert commands(steps(DRIFT)) == [
        "mlflow-exporter report fraud 3 --window 24h",
        "mlflow-exporter rebaseline fraud 3 --live 28d --reason ...",
    ]


def test_degraded_quality_may_be_rolled_back_to_the_version_that_had_the_alias() -> None:
    assert commands(steps(QUALITY)) == [
        "mlflow-exporter report fraud 3 --window 24h",
        "python -c 'import mlflow; "
        'mlflow.MlflowClient().set_registered_model_alias("fraud", "champion", "2")\'',
    ]


def test_a_report_that_is_done_is_linked_instead() -> None:
    done = replace(REPORT, state=ReportState.DONE)
    first, *_ = steps(DRIFT, reports=(REPORT, done))
    assert (first.link, first.command) == (f"models/fraud/versions/3/reports/{'ab' * 16}", "")
    assert (first.text, first.until) == ("See the full picture: the report of the 24h until", NOON)


def test_an_action_that_waits_for_a_person_comes_first() -> None:
    waiting = replace(ACTION, state=State.AWAITING_APPROVAL)
    first, *_ = steps(QUALITY, actions=(waiting,))
    assert first.text.startswith("Decide: the rollback of champion to version 2 by policy champion-rollback")
    assert first.command == f"mlflow-exporter remediation approve {'a' * 12} --reason ..."
    assert steps(actions=(replace(ACTION, state=State.RECOVERED),)) == []


def test_commands_take_any_name() -> None:
    model = 'a\'; rm -rf "$HOME" \N{SNOWMAN}\n'
    report, rollback = commands(steps(QUALITY, model=model))
    assert shlex.split(report)[2] == model
    script = shlex.split(rollback)[2]
    found = {}
    exec(  # it is what a person would run
        script.replace("import mlflow; mlflow.MlflowClient().set_registered_model_alias", "found['is'] = "),
        {"found": found},
    )
    assert found["is"] == (model, "champion", "2")


def test_the_previous_holder_of_an_alias_is_another_version() -> None:
    moves = [AliasMove("fraud", "champion", version, NOON) for version in ("1", "2", "", "2")]
    assert previous_holder(moves) == "1"
    assert previous_holder(moves[:1]) == ""
    assert previous_holder([]) == ""

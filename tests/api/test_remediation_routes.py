"""Remediation over HTTP and from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from exporter.cli import main
from exporter.remediation.action import Action
from exporter.storage.action_states import State
from exporter.storage.schema import remediation_holds, remediations
from tests.support.actions import ACTION, stored
from tests.support.api_server import Server, assert_problem
from tests.support.fakes import FakeRegistry
from tests.support.rig import eventually
from tests.support.trail import bodies

Serve = Callable[..., Server]
S = State
PATH = "/v1/remediations"
CONFIG = """
remediation:
  mode: approve
  policies:
    - name: champion-rollback
      match: {alertname: ModelQualityDegraded}
      model: fraud.*
      action: rollback
"""
ADA = "ada-secret-0123456"
OTHER = "other-secret-012345"
WHY = {"reason": "the dashboard shows it"}


class Desk:
    """A running exporter with tokens and a policy, and requests to it by `ada`, who may approve."""

    def __init__(self, serve: Serve, directory: Path) -> None:
        config, self.tokens = directory / "exporter.yml", directory / "tokens"
        config.write_text(CONFIG)
        self.tokens.write_text(f"ada: {ADA} approve\nprometheus: {OTHER} alerts\n")
        self.tokens.chmod(0o600)
        single = directory / "token"
        single.write_text("single-secret-01234\n")
        settings = {"api_tokens_file": str(self.tokens), "api_token_file": str(single)}
        registry = FakeRegistry()
        registry.register("fraud", alias="champion")
        self.server = serve(registry, config=str(config), **settings)
        self.service = self.server.service
        eventually(lambda: self.service.fleet.known)
        self._numbers = count(1)
        self.ada = {"Authorization": f"Bearer {ADA}"}

    def get(self, path: str = "", **query: Any) -> httpx.Response:
        return self.server.client.get(f"{PATH}{path}", params=query, headers=self.ada)

    def post(
        self, path: str, body: object = WHY, token: str = "ada-secret-0123456", **query: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.server.client.post(f"{PATH}{path}", json=body, headers=headers, params=query)

    def plan(self, state: State, **values: Any) -> Action:
        """Store an action in a state, in one transaction: the engine steps meanwhile."""
        number = next(self._numbers)
        now = self.service.clock() + number
        fields = {"id": f"{number:08x}{'a' * 32}", "created_at": now, "updated_at": now}
        data = {"approve_until": now + 3600}
        action = replace(ACTION, **{**fields, "data": data, **values})
        with self.service.store.writing() as connection:
            self.service.remediation.ledger.plan(connection, action)
            chosen = sa.update(remediations).where(remediations.c.id == action.id)
            connection.execute(chosen.values(state=state))
        return replace(action, state=state)


@pytest.fixture(scope="module")
def shared_desk(serve_module: Serve, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(serve_module, tmp_path_factory.mktemp("desk"))


@pytest.fixture
def desk(shared_desk: Desk) -> Desk:
    """The exporter of all tests of this module, without actions and holds."""
    with shared_desk.service.store.writing() as connection:
        for table in (remediations, remediation_holds):
            connection.execute(sa.delete(table))
    return shared_desk


def ids(answer: httpx.Response) -> list[str]:
    return [found["id"] for found in answer.json()["remediations"]]


def test_actions_are_listed_newest_first_in_pages(desk: Desk) -> None:
    planned = [desk.plan(S.EXPIRED) for _ in range(5)]
    newest = [action.id for action in reversed(planned)]
    assert ids(desk.get()) == newest
    first = desk.get(limit=2)
    assert ids(first) == newest[:2]
    second = desk.get(limit=2, after=first.json()["next"])
    assert ids(second) == newest[2:4]
    last = desk.get(limit=2, after=second.json()["next"])
    assert (ids(last), last.json()["next"]) == (newest[4:], None)


def test_actions_are_chosen_by_state_model_and_policy(desk: Desk) -> None:
    waits = desk.plan(S.AWAITING_APPROVAL)
    done = desk.plan(S.DRY_RUN, policy="other", model="churn", action="notify")
    assert ids(desk.get(state="pending")) == [waits.id]
    assert ids(desk.get(state="ended")) == [done.id]
    assert ids(desk.get(state="awaiting_approval, dry_run")) == [done.id, waits.id]
    assert ids(desk.get(model="churn")) == ids(desk.get(policy="other")) == [done.id]
    assert ids(desk.get(action="notify")) == [done.id]
    assert_problem(desk.get(state="done"), 422, "Malformed", "'done' is no state", "query.state")
    assert_problem(desk.get(after="f" * 40), 404, "Unknown action", "there is no action ffff")
    assert desk.get(modle="churn").status_code == 422


def test_an_action_is_shown_with_its_alert_and_its_history(desk: Desk) -> None:
    action = desk.plan(S.AWAITING_APPROVAL)
    found = desk.get(f"/{action.id[:12]}").json()
    assert found["id"] == action.id
    assert found["intent"] == "move the alias champion of fraud from version 3 back to version 2"
    assert found["alert"] == {"labels": {"alertname": "ModelQualityDegraded"}}
    assert found["approve_until"].endswith("Z")
    (step,) = found["history"]
    assert (step["kind"], step["actor"]) == ("remediation", "remediation/champion-rollback")
    assert step["data"]["state"] == "planned"
    assert_problem(desk.get("/ffffffff"), 404, "Unknown action", "there is no action ffffffff")


def test_an_approval_has_the_guards_asked_again(desk: Desk) -> None:
    action = desk.plan(S.AWAITING_APPROVAL)
    answer = desk.post(f"/{action.id}/approve")
    assert (answer.status_code, answer.json()["approved_by"]) == (200, "ada")
    # MLflow has no version 3, so that they refuse.
    eventually(lambda: stored(desk.service.remediation.ledger, action).state is S.REFUSED)
    found = desk.get(f"/{action.id}").json()
    assert (found["guard"], found["state"]) == ("visible", "refused")
    actors = [(step["kind"], step["actor"]) for step in found["history"]]
    assert ("approval", "ada") in actors
    again = desk.post(f"/{action.id}/approve")
    assert_problem(again, 409, "Conflict", "it was approved by ada, and is refused: MLflow does not list")


def test_a_rejection_is_for_good(desk: Desk) -> None:
    action = desk.plan(S.AWAITING_APPROVAL)
    answer = desk.post(f"/{action.id}/reject")
    assert (answer.json()["state"], answer.json()["guard"]) == ("refused", "rejected")
    assert desk.post(f"/{action.id}/reject").json() == answer.json()
    assert_problem(
        desk.post(f"/{action.id}/approve"), 409, "Conflict", "it is refused: the dashboard shows it"
    )


@pytest.mark.parametrize(
    ("token", "status", "detail"),
    [
        ("", 401, "send `Authorization"),
        ("guessed", 401, "send `Authorization"),
        (OTHER, 403, "lacks the scope `approve`"),
        ("single-secret-01234", 403, "this needs a token with a name"),
    ],
)
def test_only_a_person_with_the_scope_decides(desk: Desk, token: str, status: int, detail: str) -> None:
    action = desk.plan(S.AWAITING_APPROVAL)
    for path in (f"/{action.id}/approve", f"/{action.id}/reject", "/resume"):
        answer = desk.post(path, {**WHY, "model": "fraud"} if path == "/resume" else WHY, token)
        assert answer.status_code == status
        assert detail in answer.json()["detail"]
    assert stored(desk.service.remediation.ledger, action) == action


@pytest.mark.parametrize(
    ("body", "where"),
    [({}, "reason"), ({"reason": " "}, "reason"), ({**WHY, "by": "ada"}, "by"), ([], ""), ("x" * 600, "")],
)
def test_a_decision_needs_a_reason_and_nothing_else(desk: Desk, body: object, where: str) -> None:
    action = desk.plan(S.AWAITING_APPROVAL)
    answer = desk.post(f"/{action.id}/approve", body)
    assert (answer.status_code, answer.json().get("where", "")) == (422, where)
    assert stored(desk.service.remediation.ledger, action) == action


def test_holds_are_listed_and_lifted(desk: Desk) -> None:
    desk.service.remediation.holds.place(
        "monitor", "fraud", "champion", "champion-rollback", reason="moved back"
    )
    (hold,) = desk.get("/holds").json()["holds"]
    assert (hold["model"], hold["alias"], hold["reason"]) == ("fraud", "champion", "moved back")
    answer = desk.post("/resume", {"model": "fraud", "policy": "champion-rollback", **WHY})
    assert answer.json() == {"lifted": 1}
    assert desk.get("/holds").json()["holds"] == []
    (lifted,) = desk.get("/holds", lifted=True).json()["holds"]
    assert lifted["lifted_by"] == "ada"
    assert_problem(
        desk.post("/resume", {"model": "fraud", **WHY}), 409, "Conflict", "no hold on model 'fraud'"
    )


# -- simulation ---------------------------------------------------------------------------------------------

V1 = {"alertname": "ModelQualityDegraded", "model": "fraud", "model_version": "1"}
NOT_JUDGED = (
    "would move the alias champion of fraud from version 1 back, and is refused by evidence: "
    "version 1 is not judged: no reference"
)


def webhook(*labels: dict[str, str]) -> dict[str, Any]:
    return {
        "version": "4",
        "alerts": [{"status": "firing", "labels": each, "fingerprint": "f1"} for each in labels],
    }


def says(answer: httpx.Response) -> list[str]:
    return [policy["says"] for alert in answer.json()["alerts"] for policy in alert["policies"]]


def test_policies_say_what_they_would_do_about_alerts(desk: Desk) -> None:
    answer = desk.post("/simulate", webhook(V1, {**V1, "alertname": "ModelNoTraffic"}), OTHER)
    assert answer.status_code == 200
    assert says(answer) == [
        NOT_JUDGED,
        "does not match: alertname is 'ModelNoTraffic', not ModelQualityDegraded",
    ]
    first, _ = answer.json()["alerts"]
    guards = {check["guard"]: check["reason"] for check in first["policies"][0]["guards"]}
    assert guards["mode"] == ""
    assert "no version before" in guards["one_step"]
    listed = [{"labels": V1, "status": {"state": "active"}, "fingerprint": "f1"}]
    assert says(desk.post("/simulate", listed)) == [NOT_JUDGED]


def test_who_asked_is_recorded_and_nothing_else(desk: Desk) -> None:
    desk.post("/simulate", webhook(V1, V1), OTHER)
    record = bodies(desk.service.store)[-1]
    assert (record["kind"], record["actor"], record["data"]) == ("simulated", "prometheus", {"alerts": 2})
    assert ids(desk.get()) == []


def test_alerts_that_were_received_can_be_asked_about(desk: Desk) -> None:
    headers = {"Authorization": f"Bearer {OTHER}"}
    other = {**V1, "alertname": "ModelNoTraffic"}
    delivery = desk.server.client.post("/v1/alerts", json=webhook(other), headers=headers)
    assert delivery.status_code == 202
    no_match = ["does not match: alertname is 'ModelNoTraffic', not ModelQualityDegraded"]
    for query in ({"last": "1h"}, {"alert": "f1"}):
        found = desk.server.client.post(f"{PATH}/simulate", params=query, headers=desk.ada)
        assert says(found) == no_match


@pytest.mark.parametrize(
    ("query", "body", "status", "detail"),
    [
        ({}, b"", 422, "either alerts in the body, or `last`, or `alert`"),
        ({"last": "1h", "alert": "f1"}, b"", 422, "either alerts in the body"),
        ({"last": "an hour"}, b"", 422, "'an hour' is not a duration"),
        ({"alert": "f2"}, b"", 404, "no alert with the fingerprint f2 is stored"),
        ({}, b"{}", 422, "this is another webhook"),
        ({}, b"[1]", 422, "has to be an alert"),
    ],
)
def test_what_cannot_be_asked_is_told(
    desk: Desk, query: dict[str, str], body: bytes, status: int, detail: str
) -> None:
    answer = desk.server.client.post(f"{PATH}/simulate", params=query, content=body, headers=desk.ada)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]


# -- the command --------------------------------------------------------------------------------------------


@pytest.fixture
def run(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run `mlflow-exporter remediation` as ada; the status, and what was printed."""
    token = tmp_path / "ada"
    token.write_text(f"{ADA}\n")

    def run_one(*arguments: str) -> tuple[object, str]:
        options = ("--exporter", str(desk.server.client.base_url), "--token-file", str(token))
        with pytest.raises(SystemExit) as end:
            main(["remediation", *arguments, *options])
        said = capsys.readouterr()
        return end.value.code, said.out + said.err

    return run_one


def test_the_command_lists_actions_and_holds(desk: Desk, run: Callable[..., Any]) -> None:
    assert run("list") == (0, "no actions\n")
    action = desk.plan(S.REFUSED)
    desk.service.remediation.holds.place("monitor", "fraud", reason="freeze\x1b[2J")
    status, said = run("list")
    assert status == 0
    head, row, hold = said.splitlines()
    assert head.split() == ["ID", "PLANNED", "POLICY", "MODEL", "ACTION", "STATE", "REASON"]
    assert row.startswith(f"{action.id[:12]}  20")
    assert "champion-rollback  fraud  rollback to 2  refused" in row
    assert hold.endswith(": fraud: freeze\\x1b[2J")
    found = json.loads(run("list", "--json", "--state", "ended")[1])
    assert (len(found["remediations"]), len(found["holds"])) == (1, 1)


def test_the_command_shows_an_action(desk: Desk, run: Callable[..., Any]) -> None:
    action = desk.plan(S.AWAITING_APPROVAL)
    status, said = run("show", action.id)
    assert status == 0
    assert "action       move the alias champion of fraud from version 3 back to version 2\n" in said
    assert "alert        alertname=ModelQualityDegraded\n" in said
    assert "remediation/champion-rollback  planned" in said
    assert run("show", "f" * 40) == (
        1,
        f"mlflow-exporter: the exporter refused (404): there is no action {'f' * 40}\n",
    )


def test_the_command_approves_and_says_what_comes_of_it(desk: Desk, run: Callable[..., Any]) -> None:
    action = desk.plan(S.AWAITING_APPROVAL)
    status, said = run("approve", action.id[:8], "--reason", "yes")
    assert status == 0
    assert "back to version 2: refused by visible: MLflow does not list version 3" in said


def test_the_command_rejects_and_lifts_holds(desk: Desk, run: Callable[..., Any]) -> None:
    action = desk.plan(S.AWAITING_APPROVAL)
    assert "refused by rejected: a holiday" in run("reject", action.id, "--reason", "a holiday")[1]
    desk.service.remediation.holds.place("monitor", "fraud", reason="moved back")
    assert run("resume", "fraud", "--reason", "mended") == (0, "1 hold on fraud lifted\n")
    assert bodies(desk.service.store)[-1]["actor"] == "ada"


def test_the_command_simulates_a_file(desk: Desk, run: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "alerts.json"
    file.write_text(json.dumps(webhook(V1, V1)))
    status, said = run("simulate", str(file))
    assert status == 0
    lines = said.splitlines()
    assert lines[0] == "alertname=ModelQualityDegraded, model=fraud, model_version=1 (firing, 2 times)"
    assert lines[1] == f"  champion-rollback: {NOT_JUDGED}"
    assert "    mode             passes" in lines
    assert "    evidence         refuses  version 1 is not judged: no reference" in lines
    assert run("simulate", str(tmp_path / "none.json"))[0] == 2
    assert run("simulate", "--alert", "f9")[1].endswith("no alert with the fingerprint f9 is stored\n")

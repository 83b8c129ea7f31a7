from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from exporter.demo.observation import Remediation
from exporter.demo.operator import PATIENCE_SECONDS, Operator

WAITING = Remediation("ab12", "promote", "champion to v3", "awaiting_approval", "")
ROLLED_BACK = Remediation("cd34", "rollback", "champion to v1", "recovered", "")
REHEARSED = replace(ROLLED_BACK, id="ef56", state="dry_run")


class RecordingOperator(Operator):
    """Records commands in place of running them."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, ...]] = []
        super().__init__(
            "http://exporter:1", Path("token"), "sqlite:///x.db", "http://prometheus:2", lambda _: None
        )

    def _run(self, *arguments: str) -> None:
        self.commands.append(arguments)


@pytest.fixture
def operator() -> RecordingOperator:
    return RecordingOperator()


def test_whoever_watches_can_approve_first(operator: RecordingOperator) -> None:
    operator.advance([WAITING, ROLLED_BACK], now=0.0)
    operator.advance([replace(WAITING, state="executing")], now=PATIENCE_SECONDS + 1)
    assert operator.commands == []


def test_what_waits_for_long_is_approved_once(operator: RecordingOperator) -> None:
    for seconds in (0.0, PATIENCE_SECONDS - 1, PATIENCE_SECONDS + 1, PATIENCE_SECONDS + 2):
        operator.advance([WAITING, ROLLED_BACK], now=seconds)
    ((*command, _, _, _, _),) = operator.commands
    assert command[:3] == ["remediation", "approve", "ab12"]


def test_the_trail_of_what_was_done_is_shown_and_verified(operator: RecordingOperator) -> None:
    operator.report([replace(WAITING, state="recovered"), REHEARSED, ROLLED_BACK])
    assert [command[:3] for command in operator.commands] == [
        ("remediation", "show", "cd34"),
        ("remediation", "show", "ab12"),
        ("audit", "verify", "--store"),
    ]


@pytest.mark.parametrize(("state", "ended"), [("verifying", False), ("recovered", True), ("failed", True)])
def test_it_ends_with_the_promotion(operator: RecordingOperator, state: str, ended: bool) -> None:
    assert operator.promoted([replace(WAITING, state=state), ROLLED_BACK]) is ended

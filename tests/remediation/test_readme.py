"""The page on remediation agrees with the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from exporter.cli import parser
from exporter.config.file import load_config_file
from exporter.remediation.action import TRANSITIONS
from exporter.storage.action_states import State
from tests.support.docs import page

PAGE = page("exporter/remediation/README.md")
COMMANDS = re.findall(r"^\$ mlflow-exporter (remediation .*?)(?: +#.*)?$", PAGE, re.M)


def test_the_example_is_a_valid_configuration(tmp_path: Path) -> None:
    found = re.search(r"```yaml\n(remediation:.*?)```", PAGE, re.S)
    assert found
    path = tmp_path / "exporter.yml"
    path.write_text(found[1])
    config = load_config_file(path).remediation
    assert [policy.action for policy in config.policies] == ["rollback", "promote"]
    assert config.mode == "dry_run"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_runbook_exist(command: str) -> None:
    assert parser().parse_args(shlex.split(command)).run


def test_there_is_a_command_of_each_kind() -> None:
    assert {command.split()[1] for command in COMMANDS} == {
        *("list", "show", "approve", "reject", "resume", "simulate")
    }


def test_the_diagram_shows_only_transitions_that_there_are() -> None:
    shown = re.findall(r"^    (\w+) --> (\w+)", PAGE, re.M)
    assert len(shown) > 15
    assert not [(a, b) for a, b in shown if State(b) not in TRANSITIONS[State(a)]]
    assert {state for pair in shown for state in pair} == set(State)

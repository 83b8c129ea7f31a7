"""Every alert has a runbook, with the usual sections and with queries that run."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.prometheus.alerting import ALERTS, RUNBOOKS

SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "False alarms"]

each_runbook = pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)


def queries(runbook: Path) -> list[str]:
    return re.findall(r"```promql\n(.*?)```", runbook.read_text(), re.DOTALL)


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    assert [path.stem for path in RUNBOOKS] == ALERTS


@each_runbook
def test_runbook_has_the_sections_that_one_looks_for(runbook: Path) -> None:
    text = runbook.read_text()
    assert text.startswith(f"# {runbook.stem}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS


@each_runbook
def test_runbook_links_to_files_that_exist(runbook: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", runbook.read_text()):
        assert (runbook.parent / target).is_file(), target


@pytest.mark.needs("promtool")
def test_queries_of_the_runbooks_are_valid(program: Callable[[str], str], tmp_path: Path) -> None:
    expressions = [query for runbook in RUNBOOKS for query in queries(runbook)]
    assert len(expressions) >= len(RUNBOOKS)
    rules = [{"record": f"query{number}", "expr": expr} for number, expr in enumerate(expressions)]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run(
        [program("promtool"), "check", "rules", "--lint=none", path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr

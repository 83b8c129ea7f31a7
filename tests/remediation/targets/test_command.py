"""The local command of demonstrations."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from exporter.config.targets import Command
from exporter.remediation.targets import Targets
from tests.remediation.targets.conftest import ACTION_ID, JOB


def command(directory: Path, program: str, *, allowed: bool = True, **settings: object) -> Targets:
    own = {"command": [sys.executable, "-c", program], "directory": str(directory), **settings}
    config = Command.model_validate(
        {"kind": "command", **own},
        context={"allow_command": True, "directory": directory},
    )
    return Targets({"it": config}, allow_commands=allowed)


def wait_for_end(targets: Targets) -> str:
    ends_at = time.monotonic() + 60
    while (
        progress := targets.follow("it", JOB, ACTION_ID)
    ).state == "running" and time.monotonic() < ends_at:
        time.sleep(0.01)
    return f"{progress.state} {progress.detail}"


def test_a_command_gets_the_body_and_runs_once(tmp_path: Path) -> None:
    its = command(tmp_path / "runs", "import sys; print(sys.stdin.read())")
    assert its.follow("it", JOB, "").state == "missing"
    assert its.dispatch("it", JOB, repeated=False).outcome == "accepted"
    assert wait_for_end(its) == "succeeded exit status 0"
    output = tmp_path / "runs" / ACTION_ID / "output"
    written = output.stat().st_mtime_ns
    assert json.loads(output.read_text())["model"] == JOB.values["model"]
    assert its.dispatch("it", JOB, repeated=True).outcome == "accepted"
    assert (wait_for_end(its), output.stat().st_mtime_ns) == ("succeeded exit status 0", written)


def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    its = command(tmp_path, "raise SystemExit(3)")
    its.dispatch("it", JOB, repeated=False)
    assert wait_for_end(its) == "failed exit status 3"


def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    program = "import subprocess; subprocess.run(['sleep', '600'])"
    its = command(tmp_path, program, timeout=0.5)
    its.dispatch("it", JOB, repeated=False)
    assert wait_for_end(its) == "failed exit status -9"


def test_a_command_is_refused_where_it_is_not_allowed(tmp_path: Path) -> None:
    sent = command(tmp_path, "", allowed=False).dispatch("it", JOB, repeated=False)
    assert (sent.outcome, sent.reason) == ("refused", "commands are not allowed here")
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    config = Command.model_validate(
        {"kind": "command", "command": ["no-such-program"], "directory": str(tmp_path)},
        context={"allow_command": True, "directory": tmp_path},
    )
    its = Targets({"it": config}, allow_commands=True)
    assert its.dispatch("it", JOB, repeated=False).reason == "no-such-program: No such file or directory"
    assert its.follow("it", JOB, "").state == "failed"

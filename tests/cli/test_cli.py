"""The command line: messages and exit statuses."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi import FastAPI

from exporter import __version__
from exporter.api import server as api_server
from exporter.cli import main
from exporter.settings import DAY_SECONDS
from exporter.storage.store import Store
from tests.support.exporter_process import ExporterProcess
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import NOON, Rig, make_rows


@pytest.fixture(autouse=True)
def elsewhere(mlflow_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An MLflow that does not answer, a free port, and a directory for the default store."""
    monkeypatch.setenv("EXPORTER_PORT", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """Return the exit status and standard error of a command."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code, capsys.readouterr().err


def test_output_that_is_closed_ends_a_command_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "exporter.yml").write_text("models: {}\n")
    reading, writing = os.pipe()
    os.close(reading)  # as `| head` does after its lines
    with os.fdopen(writing, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        with pytest.raises(SystemExit) as end:
            main(["check-config", "exporter.yml"])
    assert end.value.code == 1
    assert capsys.readouterr().err == ""


def test_ctrl_c_ends_the_exporter_without_a_traceback(free_port: int, tmp_path: Path) -> None:
    exporter = ExporterProcess(f"sqlite:///{tmp_path}/exporter.db", free_port, tmp_path)
    exporter.await_ready()
    exporter.process.send_signal(signal.SIGINT)
    assert exporter.process.wait(TIMEOUT_SECONDS) == 0
    assert "Traceback" not in exporter.log


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize(
    "arguments", [(), ("sing",), ("serve", "--port", "high"), ("serve", "--no-such-flag")]
)
def test_commands_and_flags_that_do_not_exist_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    status, said = ended(capsys, *arguments)
    assert status == 2
    assert "usage: mlflow-exporter" in said


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("EXPORTER_NO_SUCH_SETTING", "1", "unknown setting EXPORTER_NO_SUCH_SETTING"),
        ("EXPORTER_WINDOWS", "1 hour", "EXPORTER_WINDOWS='1 hour': '1 hour' is not a duration"),
        ("EXPORTER_API_TOKEN_FILE", "/nowhere", "/nowhere cannot be read"),
        ("EXPORTER_STORE", "mysql://host/db", "taken are sqlite and postgresql"),
    ],
)
def test_settings_that_cannot_be_used_are_told(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    message: str,
) -> None:
    monkeypatch.setenv(variable, value)
    status, said = ended(capsys, "serve")
    assert status == 2
    assert said.startswith("mlflow-exporter: ")
    assert message in said
    assert "Traceback" not in said


def test_a_flag_wins_over_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORTER_STORE", "sqlite:///exporter.db")
    status, said = ended(capsys, "serve", "--store", "mysql://host/db")
    assert (status, "mysql" in said) == (2, True)


def test_a_store_in_use_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/exporter.db"
    with closing(Store(uri)):
        status, said = ended(capsys, "serve", "--store", uri)
    assert status == 1
    assert said == f"mlflow-exporter: another exporter uses {tmp_path}/exporter.db\n"


@pytest.mark.parametrize("numbers", ["substr(numbers, 1, 5)", "substr(numbers, 1, length(numbers) - 1)"])
def test_stored_ids_that_cannot_be_read_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, start: Callable[..., Rig], numbers: str
) -> None:
    rig = start(store=f"sqlite:///{tmp_path}/exporter.db")
    rig.post_rows(make_rows(20, prefix="r"))
    rig.stop()
    with closing(sqlite3.connect(tmp_path / "exporter.db")) as connection, connection:
        connection.execute(f"UPDATE predictions_{int(NOON // DAY_SECONDS)} SET numbers = {numbers}")
    status, said = ended(capsys, "serve")
    assert status == 1
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("mlflow-exporter: ")]
    assert "a stored page of ids cannot be read: it is damaged" in line


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("127.0.0.1", "another program uses this port; choose another with EXPORTER_PORT or --port"),
        ("192.0.2.1", "Cannot assign requested address"),
        ("exporter.invalid", "Name or service not known"),
        (".", "this is not a host name"),
    ],
)
def test_an_address_that_cannot_be_had_is_told_before_a_store_is_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, host: str, why: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, said = ended(capsys, "serve", "--host", host, "--port", str(port))
    assert (status, said) == (1, f"mlflow-exporter: cannot listen on {host}:{port}: {why}\n")
    assert list(tmp_path.iterdir()) == []


def test_collections_leave_out_what_is_there_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = []

    async def start_and_end(app: FastAPI) -> None:
        async with app.router.lifespan_context(app):
            pass

    def make_server(app: FastAPI, *_: object) -> SimpleNamespace:
        def run(_sockets: object) -> None:
            frozen.append(gc.get_freeze_count())
            asyncio.run(start_and_end(app))

        return SimpleNamespace(run=run, started=True)

    monkeypatch.setattr(api_server, "make_server", make_server)
    try:
        with pytest.raises(SystemExit) as end:
            main(["serve", "--port", "0"])
    finally:
        gc.unfreeze()
    assert end.value.code == 0
    assert frozen[0] > 10_000


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["check-config", "{file}"]])
def test_commands_that_compute_nothing_start_without_large_libraries(
    tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "exporter.yml").write_text("models: {fraud: {segments: [country]}}\n")
    told = [each.format(file=tmp_path / "exporter.yml") for each in arguments]
    large = {"fastapi", "mlflow", "numpy", "pandas", "pyarrow", "rich", "scipy", "sklearn", "sqlalchemy"}
    script = f"""
import sys
from exporter.cli import main
try:
    main({told!r})
finally:
    print({large!r} & set(sys.modules), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "set()\n"


def test_the_module_is_the_command() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "exporter", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == f"{__version__}\n"


def test_a_configuration_is_checked_without_anything_else(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text("models: {fraud: {segments: [country]}}\n")
    with pytest.raises(SystemExit) as end:
        main(["check-config", str(path)])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"{path}: no mistakes; models with an entry: fraud\n"


def test_a_checked_configuration_says_what_each_policy_is_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text("""
remediation:
  mode: approve
  policies:
    - name: back
      match: {alertname: "ModelQuality.*|ModelErrorRateHigh", severity: critical, team: risk}
      model: "fraud.*"
      action: rollback
    - {name: own, match: {alertname: Mine}, model: ".*", action: freeze, mode: dry_run}
""")
    with pytest.raises(SystemExit) as end:
        main(["check-config", str(path)])
    assert end.value.code == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "policy back, approve: rollback of champion for models fraud.*, on ModelErrorRateHigh (critical), "
        "ModelQualityDegraded (critical), by the labels team",
        "policy own, dry_run: freeze of champion for models .*, on no alert of the delivered rules: "
        "correct, if it is for alerts of your own",
    ]


def test_a_configuration_is_checked_against_the_settings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text("models: {fraud: {maturation: 20d}}\n")
    monkeypatch.setenv("EXPORTER_PREDICTION_RETENTION_DAYS", "14")

    status, said = ended(capsys, "check-config", str(path))

    assert status == 2
    assert "20 days are more than the 14 for which ids are kept" in said


def test_a_short_retention_of_the_audit_trail_is_warned_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text("models: {}\n")
    monkeypatch.setenv("EXPORTER_AUDIT_RETENTION_DAYS", "90")
    with pytest.raises(SystemExit) as end:
        main(["check-config", str(path)])
    assert end.value.code == 0
    assert "warning: EXPORTER_AUDIT_RETENTION_DAYS is 90: " in capsys.readouterr().err


@pytest.mark.parametrize("command", [("check-config",), ("serve", "--config")])
def test_a_configuration_that_cannot_be_used_is_told_with_lines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text("models:\n  fraud:\n    segment: country\n")
    status, said = ended(capsys, *command, str(path))
    assert status == 2
    assert f"{path}:3: models.fraud.segment: unknown key" in said

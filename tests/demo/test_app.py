from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.cli import main
from exporter.demo.app import check_time, has_come, is_reported, open_report, read_phase
from exporter.demo.mailbox import Mail
from exporter.demo.observation import Report
from exporter.errors import DemoError
from tests.support.web_server import Answer, WebServer


def run(*flags: str) -> object:
    """Run the command and return its exit status."""
    with pytest.raises(SystemExit) as end:
        main(["demo", *flags])
    return end.value.code


@pytest.fixture(autouse=True)
def same_process_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what the command changes in its process, which here is that of the tests."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_without_prometheus_it_says_what_to_install_and_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run("--until-mail") == 1
    assert "apt-get install prometheus prometheus-alertmanager" in capsys.readouterr().err


def test_an_error_is_a_line_and_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--speed", "3") == 1
    assert capsys.readouterr().err == "mlflow-exporter: --speed 3 is not above 0 and at most 1\n"


@pytest.mark.parametrize(("flags", "status"), [((), 0), (("--until-mail",), 130), (("--remediate",), 130)])
def test_ctrl_c_is_how_the_demo_ends_unless_it_ends_by_itself(
    flags: tuple[str, ...], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)  # which has to do as Ctrl-C does
        signal.pause()

    monkeypatch.setattr("exporter.demo.app.demonstrate", interrupted)
    assert run(*flags) == status


def test_a_missing_library_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "exporter.demo.app", None)
    assert run() == 1
    assert "pip install 'mlflow-exporter[demo]'" in capsys.readouterr().err


def test_the_screen_does_not_wait_for_the_import_of_the_models() -> None:
    script = "import sys, exporter.demo.app; sys.exit('sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_phase_is_what_the_traffic_announced_last() -> None:
    output = "noise: x\ntraining: a model\nWARNING whatever\nhealthy: as ever\nnoise: y\n"
    assert read_phase(output) == ("healthy", "as ever")


def test_before_it_announced_anything_the_demo_starts() -> None:
    assert read_phase("2026 INFO mlflow: hello\n")[0] == "starting"


@pytest.mark.parametrize(
    ("subject", "drift"),
    [
        ("[warning] ModelFeatureDrift in flight-delays v1: distance", True),
        ("[resolved] ModelFeatureDrift in flight-delays v1: distance", False),
        ("[critical] ModelDataQualityDegraded in flight-delays v1: seats missing", False),
    ],
)
def test_only_the_mail_of_a_drift_is_waited_for(subject: str, drift: bool) -> None:
    assert has_come([mail(subject)], "healthy: as ever\nincident: in km\n") is drift


def test_a_mail_before_anything_is_broken_is_a_failure() -> None:
    with pytest.raises(DemoError, match="before anything was broken"):
        has_come([mail("[warning] ModelFeatureDrift in flight-delays v1: seats")], "healthy: as ever\n")


def mail(subject: str, text: str = "") -> Mail:
    return Mail(datetime(2026, 1, 1, tzinfo=UTC), subject, text)


def test_the_report_is_waited_for_until_it_is_everywhere() -> None:
    places = ("the exporter", "MLflow", "Evidently")
    reports = [Report("7", "2", "drift of distance", "done", places[:number]) for number in range(4)]
    assert [is_reported([report]) for report in reports] == [False, False, False, True]
    assert not is_reported([])
    assert not is_reported(reports)


def test_the_link_of_the_mail_has_to_open_a_report(web_server: Callable[[Answer], WebServer]) -> None:
    report = web_server(Answer(200, b"drawn"))
    link = web_server(Answer(302, b"", {"Location": f"{report.uri}/7"}))
    mails = [
        mail("[warning] ModelQualityDegraded in flight-delays v1: f1", "Report: http://127.0.0.1/"),
        mail("[warning] ModelFeatureDrift in m v2: x", f"First.\r\nReport: {link.uri}/latest?at=1\r\n"),
    ]
    assert open_report(mails, "") == f"{report.uri}/7"
    being_made = replace(mails[1], text=f"Report: {report.uri}/latest?at=1\n")
    with pytest.raises(DemoError, match="leads to no report: http"):
        open_report([mails[0], being_made], "")


def test_the_limit_for_the_end_counts_from_the_incident() -> None:
    check_time(began=0, incident=None, mailed=None, now=899, limit_seconds=300)
    check_time(began=0, incident=899, mailed=None, now=1198, limit_seconds=300)
    with pytest.raises(DemoError, match="did not end within 300 seconds of the incident"):
        check_time(began=0, incident=899, mailed=None, now=1200, limit_seconds=300)


def test_reports_have_a_limit_of_their_own_from_the_mail_on() -> None:
    check_time(began=0, incident=100, mailed=390, now=989, limit_seconds=300)
    with pytest.raises(DemoError, match="report was not sent within 600 seconds of the mail"):
        check_time(began=0, incident=100, mailed=390, now=991, limit_seconds=300)


def test_an_incident_that_never_begins_ends_the_demo() -> None:
    with pytest.raises(DemoError, match="no incident within 900 seconds of the start"):
        check_time(began=0, incident=None, mailed=None, now=901, limit_seconds=300)

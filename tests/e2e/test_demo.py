"""The demo as a newcomer runs it: real flights, MLflow, exporter, Prometheus, Alertmanager, mail."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.grafana.demonstrated import check_demonstration
from tests.prometheus.servers import wait_for
from tests.support.fakes import TIMEOUT_SECONDS

FIRES = "alert ModelFeatureDrift v2 distance (warning): firing"
LIMIT_SECONDS = 1830  # the demo's own limits are 900 until the incident, 300 until the mail, then 600


@pytest.mark.needs("prometheus", "alertmanager")
@pytest.mark.timeout(LIMIT_SECONDS + 10)
def test_the_demo_ends_with_the_mail_of_the_drift_and_leaves_nothing(tmp_path: Path) -> None:
    """Meanwhile the dashboards find all that they ask for."""
    directory, output = tmp_path / "demo", tmp_path / "output"
    directory.mkdir()
    with output.open("w") as written:
        demo = subprocess.Popen(
            [sys.executable, "-m", "exporter", "demo", "--until-mail"],
            env={**os.environ, "TMPDIR": str(directory), "COLUMNS": "200"},
            stdout=written,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    try:
        wait_for("alert", lambda: FIRES in output.read_text() or demo.poll() is not None, LIMIT_SECONDS, 1.0)
        assert demo.poll() is None, output.read_text()
        with stopped(demo):
            check_demonstration(re.findall(r"Prometheus +(http://[\d.:]+)/alerts", output.read_text())[0])
        assert demo.wait(LIMIT_SECONDS) == 0, output.read_text()
    finally:
        demo.terminate()
        demo.wait(TIMEOUT_SECONDS)
    shown = output.read_text()

    healthy, incident = shown.split("incident: ", maxsplit=1)
    assert "healthy: " in healthy
    assert not re.search("drifted|degraded|pending|firing|mail:", healthy.partition("healthy: ")[2]), healthy
    for line in (
        "distance: drifted",
        "dep_delay: drifted",
        "alert ModelFeatureDrift v2 distance (warning): pending",
        "alert ModelFeatureDrift v2 distance (warning): firing",
        "remediation: rollback champion to v1: dry_run, would move the alias champion",
        "The mail came",
        "done, in the exporter, MLflow, Evidently",
        "Its link opens the report: http://127.0.0.1:",
    ):
        assert line in incident
    assert re.search(r"mail: \[warning\] ModelFeatureDrift in flight-delays v1, v2: .*distance", incident)
    assert re.search(r"Feature distance of flight-delays v[12] has drifted", incident)

    for version in ("v2 champion", "v1 challenger"):
        assert f"{version}: accuracy 0.9" in shown
        told = incident.index(f"{version}: estimated accuracy degraded")
        assert told < incident.index(f"{version}: accuracy degraded")

    assert list(directory.iterdir()) == []
    assert left_running(directory) == []


@contextmanager
def stopped(demo: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop the demo itself, which would end its programs when the mail has come; they go on."""
    demo.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        demo.send_signal(signal.SIGCONT)


def left_running(directory: Path) -> list[str]:
    """Return the command lines of processes whose working directory is within `directory`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(process.joinpath("cwd").readlink()).startswith(str(directory)):
                found.append(process.joinpath("cmdline").read_text().replace("\0", " "))
        except OSError:  # ended meanwhile
            continue
    return found

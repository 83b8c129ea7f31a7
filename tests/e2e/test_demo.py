"""The demo as a newcomer runs it: real flights, MLflow, exporter, Prometheus, Alertmanager, mail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_SECONDS = 1230  # the demo's own limits are 900 until the incident and 300 from there


@pytest.mark.needs("prometheus", "alertmanager")
@pytest.mark.timeout(LIMIT_SECONDS + 10)
def test_the_demo_ends_with_the_mail_of_the_drift_and_leaves_nothing(tmp_path: Path) -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "exporter", "demo", "--until-mail"],
        env={**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        process_group=0,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr

    healthy, incident = demo.stdout.split("incident: ", maxsplit=1)
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
    assert re.search(r"mail: \[warning\] ModelFeatureDrift in flight-delays v[12]: .*distance", incident)
    assert re.search(r"Feature distance of flight-delays v[12] has drifted", incident)

    for version in ("v2 champion", "v1 challenger"):
        assert f"{version}: accuracy 0.9" in demo.stdout
        told = incident.index(f"{version}: estimated accuracy degraded")
        assert told < incident.index(f"{version}: accuracy degraded")

    assert list(tmp_path.iterdir()) == []
    assert left_running(tmp_path) == []


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

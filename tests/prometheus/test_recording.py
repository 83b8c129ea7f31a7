"""The recordings of PSI: worked out by hand, in another window, and beside the exporter's own figures."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml

from tests.prometheus.alerting import PROMETHEUS, read_yaml
from tests.prometheus.servers import running_prometheus, wait_for
from tests.support.exporter_process import ExporterProcess, make_store
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import make_document, make_rows

RECORDING = PROMETHEUS / "rules" / "recording.yml"
SPECIFICATION = Path(__file__).parent / "recording" / "psi.yml"


def in_window(window: str) -> str:
    """The file after the command that its head gives for another window."""
    (command,) = re.findall(r"sed '(s/24h/\w+/g)' recording\.yml", RECORDING.read_text())
    command = command.replace("6h", window)
    done = subprocess.run(["sed", command, RECORDING], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.needs("promtool")
def test_recordings_are_what_is_computed_by_hand(program: Callable[[str], str]) -> None:
    done = subprocess.run(
        [program("promtool"), "test", "rules", SPECIFICATION], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("promtool")
def test_another_window_is_kept_beside_the_first(program: Callable[[str], str], tmp_path: Path) -> None:
    other = tmp_path / "recording-6h.yml"
    other.write_text(in_window("6h"))

    done = subprocess.run(
        [program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", RECORDING, other],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    names = [
        {rule["record"] for group in read_yaml(path)["groups"] for rule in group["rules"]}
        for path in (RECORDING, other)
    ]
    assert len(names[0]) == len(names[1])
    assert names[0].isdisjoint(names[1])
    assert "24h" not in "".join(other.read_text().partition("groups:")[2])


def figures(url: str, query: str) -> dict[tuple[str, str], float]:
    """Prometheus' answer, by column and role."""
    answer = (
        httpx.get(f"{url}/api/v1/query", params={"query": query}, timeout=TIMEOUT_SECONDS, verify=False)
        .raise_for_status()
        .json()
    )
    return {
        (found["metric"]["column"], found["metric"]["role"]): float(found["value"][1])
        for found in answer["data"]["result"]
    }


@pytest.mark.parametrize("program", ["installed"], indirect=True)  # the sums by hand run with both
@pytest.mark.needs("prometheus")
def test_the_recording_is_the_exporters_own_score(
    program: Callable[[str], str], free_ports: Callable[[int], list[int]], tmp_path: Path
) -> None:
    exporter_port, prometheus_port = free_ports(2)
    store = f"sqlite:///{tmp_path}/exporter.db"
    make_store(store)
    rules = yaml.safe_load(in_window("1h"))
    rules["groups"][0]["interval"] = "1s"
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    scrape = {"job_name": "mlflow-exporter", "static_configs": [{"targets": [f"127.0.0.1:{exporter_port}"]}]}
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [scrape],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    exporter = ExporterProcess(store, exporter_port, tmp_path, evaluation_interval_seconds=1.0)
    try:
        exporter.await_ready()
        with running_prometheus(program("prometheus"), tmp_path / "prometheus.yml", prometheus_port) as url:
            wait_for("scrape", lambda: figures(url, "count by (column, role) (mlflow_model_values_total)"))
            # One block of five minutes, so that rows are as independent to the exporter as to the recording.
            moment = (time.time() - 600) // 300 * 300 + 100
            rows = make_rows(20_000, timestamp=moment)
            for row in rows:
                row["features"]["age"] = round(row["features"]["age"] * 1.2, 1)
                if np.sin(row["features"]["age"]) > 0.7:
                    row["features"]["country"] = None
            document = make_document(rows)
            httpx.post(
                f"{exporter.url}/v1/predictions", json=document, timeout=TIMEOUT_SECONDS
            ).raise_for_status()

            def both() -> dict[tuple[str, str], float] | None:
                recorded = figures(url, "version_column:mlflow_model_values:psi1h")
                own = figures(url, 'mlflow_model_drift_score{window="1h"}')
                same = recorded.keys() == own.keys() and recorded == pytest.approx(own, rel=1e-3, abs=1e-6)
                return own if own and same else None

            own = wait_for("agreement", both)
    finally:
        exporter.terminate()
    assert {column for column, _ in own} == {"age", "country", "new", "prediction", "score"}
    assert own["age", "feature"] > 0.2

"""`exporter/QUICKSTART.md` leads from the training script to the alert; the intervals are shorter here."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import pytest

from tests.support.docs import ROOT
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.guides import OpenGuide

RULES = "path/to/mlflow-exporter/prometheus/rules"


@pytest.mark.needs("prometheus")
def test_a_model_of_ones_own_leads_to_an_alert(open_guide: OpenGuide, free_port: int, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    shutil.copytree(ROOT / "prometheus" / "rules", rules)
    for file in rules.iterdir():
        file.write_text(file.read_text().replace("for: 1m\n", "for: 1s\n"))
    guide = open_guide(
        "",
        f"http://127.0.0.1:{free_port}",
        name="exporter/QUICKSTART.md",
        environment={
            "EXPORTER_PORT": str(free_port),
            "EXPORTER_EVALUATION_INTERVAL_SECONDS": "2",
            "EXPORTER_MLFLOW_POLL_INTERVAL_SECONDS": "2",
            "OMP_NUM_THREADS": "1",  # threads that wait for each other take a busy machine's time
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        replaced={
            RULES: str(rules),
            "_interval: 15s": "_interval: 2s",
        },
    )
    guide.run()
    firing = httpx.get(
        f"http://127.0.0.1:{guide.ports[9090]}/api/v1/query",
        params={"query": 'ALERTS{alertstate="firing", severity!="none", column!=""}'},
        timeout=TIMEOUT_SECONDS,
    ).json()["data"]["result"]
    assert {alert["metric"]["column"] for alert in firing} <= {"amount", "prediction", "score"}

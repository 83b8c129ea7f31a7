"""A report of the real Evidently, from a request to its page, while the exporter is killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.exporter_process import ExporterProcess, make_store
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import eventually, make_document, make_rows, over_a_day

REPORTS = "/v1/models/fraud/versions/1/reports"


@pytest.fixture
def exporters(free_port: int, tmp_path: Path) -> Iterator[list[ExporterProcess]]:
    """Exporters on one store, one after the other, the last of which is killed in the end."""
    started: list[ExporterProcess] = []
    yield started
    for each in started:
        if each.process.poll() is None:
            each.kill()


def start(exporters: list[ExporterProcess], port: int, directory: Path) -> ExporterProcess:
    config = directory / "exporter.yml"
    config.write_text("reports: {metrics: [RowCount, {MeanValue: {column: age}}]}\n")
    store = f"sqlite:///{directory}/exporter.db"
    exporter = ExporterProcess(store, port, directory, config=config)
    exporters.append(exporter)
    exporter.await_ready()
    return exporter


def children(exporter: ExporterProcess) -> list[int]:
    """Processes that make a report."""
    names = (path.name for path in Path("/proc").iterdir())
    return [pid for pid in map(int, filter(str.isdigit, names)) if is_child(pid, exporter)]


def is_child(pid: int, exporter: ExporterProcess) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    except OSError:  # it has ended
        return False
    return b"exporter.isolation.child" in command and int(parent) == exporter.process.pid


def is_running(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # that of a zombie is empty
    except OSError:
        return False


def test_a_report_outlives_a_kill_and_its_child_does_not(
    free_port: int, tmp_path: Path, exporters: list[ExporterProcess]
) -> None:
    make_store(f"sqlite:///{tmp_path}/exporter.db")
    exporter = start(exporters, free_port, tmp_path)
    rows = over_a_day(make_rows(400, prefix="r"), end=time.time())
    with httpx.Client(base_url=exporter.url, timeout=TIMEOUT_SECONDS) as client:
        assert client.post("/v1/predictions", json=make_document(rows)).status_code == 202
        asked = client.post(REPORTS, params={"window": "24h", "reason": "<b>why</b>"}).json()
        path = f"{REPORTS}/{asked['id']}"
        eventually(lambda: children(exporter))
        (child,) = children(exporter)
        assert client.get(path).json()["state"] == "running"
        exporter.kill()
        eventually(lambda: not is_running(child))
    exporter = start(exporters, free_port, tmp_path)
    with httpx.Client(base_url=exporter.url, timeout=TIMEOUT_SECONDS) as client:
        eventually(lambda: client.get(path).json()["state"] not in ("waiting", "running"))
        found = client.get(path).json()
        assert (found["state"], found["problem"]) == ("done", ""), found
        assert found["rows"] == 400
        values = {value["metric"]: value["value"] for value in found["values"] if value["named"]}
        assert values["RowCount"] == 400
        assert 35 < values["MeanValue"] < 45
        page = client.get(found["page"])
        assert page.headers["content-security-policy"].startswith("sandbox allow-scripts; default-src 'none'")
        assert "root_metric_" in page.text
        assert "<b>why</b>" not in page.text
        assert client.get(f"{path}/json").json()["metrics"]
        eventually(lambda: not children(exporter))  # its memory is given back
    done = 'mlflow_exporter_reports_total{outcome="done",trigger="request"}'
    assert exporter.sample(done) == 1

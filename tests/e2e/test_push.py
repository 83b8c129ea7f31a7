"""`mlflow-exporter push` as a process, to a real exporter, that is interrupted and given again."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.exporter_process import ExporterProcess, make_store
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import eventually, make_table

ROWS = 5_000
ACCEPTED = 'mlflow_exporter_ingest_rows_total{kind="prediction",outcome="accepted"}'


def start(path: Path, exporter: ExporterProcess) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "exporter", "push", str(path), "--model=fraud", "--version=1"]
    return subprocess.Popen(
        [*command, f"--exporter={exporter.url}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def counts(out: str) -> dict[str, int]:
    """Counts of the summary by name."""
    lines = re.findall(r"^  (accepted|duplicates|conflicts|dropped|refused) +([0-9,]+)", out, re.M)
    return {name: int(count.replace(",", "")) for name, count in lines}


def test_rows_without_ids_count_once_when_it_is_interrupted_and_given_again(
    free_port: int, tmp_path: Path
) -> None:
    times = pa.array([time.time() - row for row in range(ROWS)])
    pq.write_table(make_table(ROWS).append_column("timestamp", times), tmp_path / "batch.parquet")
    make_store(f"sqlite:///{tmp_path}/exporter.db")
    # Fifty requests, so that it can be stopped between them.
    exporter = ExporterProcess(
        f"sqlite:///{tmp_path}/exporter.db",
        free_port,
        tmp_path,
        max_rows_per_request=100,
        evaluation_interval_seconds=0.5,
    )
    exporter.await_ready()
    try:
        check_interrupted(tmp_path / "batch.parquet", exporter)
    finally:
        exporter.terminate()


def check_interrupted(path: Path, exporter: ExporterProcess) -> None:
    first = start(path, exporter)
    eventually(lambda: exporter.sample(ACCEPTED))
    exporter.process.send_signal(signal.SIGSTOP)  # so that it cannot be done before it is interrupted
    first.send_signal(signal.SIGINT)
    exporter.process.send_signal(signal.SIGCONT)
    out, err = first.communicate(timeout=TIMEOUT_SECONDS)
    assert first.returncode == 130, out + err
    assert "give the command again within 24 hours: what was sent counts once" in err
    sent = int(exporter.sample(ACCEPTED) or 0)
    assert 0 < sent < ROWS
    assert counts(out)["accepted"] == sent

    second = start(path, exporter)
    out, err = second.communicate(timeout=TIMEOUT_SECONDS)
    assert second.returncode == 0, out + err
    assert counts(out) == {"accepted": ROWS - sent, "duplicates": sent}
    assert exporter.sample(ACCEPTED) == ROWS
    eventually(lambda: exporter.window_rows("24h") == ROWS)

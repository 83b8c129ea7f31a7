"""The real command follows its configuration file."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.support.exporter_process import ExporterProcess, make_store
from tests.support.rig import eventually

SUCCESSFUL = "mlflow_exporter_config_last_reload_successful"


def test_a_hangup_makes_it_read_the_file_again(tmp_path: Path, free_port: int) -> None:
    store, file = f"sqlite:///{tmp_path}/exporter.db", tmp_path / "exporter.yml"
    make_store(store)
    file.write_text("models: {fraud: {drift_threshold: 0.2}}\n")
    exporter = ExporterProcess(store, free_port, tmp_path, config=file)
    try:
        exporter.await_ready()
        assert exporter.sample(SUCCESSFUL) == 1
        file.write_text("models: {fraud: {drift: 0.2}}\n")
        exporter.process.send_signal(signal.SIGHUP)
        eventually(lambda: exporter.sample(SUCCESSFUL) == 0)
        assert "exporter.yml:1: models.fraud.drift: unknown key" in exporter.log
        file.write_text("models: {fraud: {drift_threshold: 0.3}}\n")
        exporter.process.send_signal(signal.SIGHUP)
        eventually(lambda: exporter.sample(SUCCESSFUL) == 1)
    finally:
        exporter.terminate()

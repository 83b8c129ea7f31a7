"""Workers of `mlflow-exporter serve-model` as real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.exporter_process import ROOT
from tests.support.fakes import TIMEOUT_SECONDS

MODEL = """\
flavors: {python_function: {loader_module: mlflow.no_such_loader, python_version: 3.11.0}}
model_uuid: a
"""


def test_a_model_that_cannot_be_loaded_ends_all_workers_with_its_error(
    tmp_path: Path, free_ports: Callable[[int], list[int]]
) -> None:
    (tmp_path / "MLmodel").write_text(MODEL)
    (tmp_path / "requirements.txt").write_text("lost-loader==1\n")
    command = [sys.executable, "-m", "exporter", "serve-model", "-m", str(tmp_path), "--model", "fraud"]
    options = ["--version", "3", "--port", str(free_ports(1)[0]), "--workers", "2"]

    ended = subprocess.run(
        [*command, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=5 * TIMEOUT_SECONDS,
        check=False,
    )

    assert ended.returncode == 2
    assert "the model needs mlflow.no_such_loader, which is not installed" in ended.stderr
    assert "pip install 'lost-loader==1'" in ended.stderr
    assert "Traceback" not in ended.stderr

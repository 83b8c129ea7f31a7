"""Every dashboard is what its generator writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.grafana.dashboards import ROOT, charts, each_dashboard, load


@each_dashboard
def test_its_uid_is_the_name_of_its_file(path: Path) -> None:
    assert load(path)["uid"] == path.stem


def test_the_committed_files_are_what_the_generator_writes() -> None:
    done = generate("--check")
    assert done.returncode == 0, done.stderr


def test_the_check_tells_a_file_that_was_edited(tmp_path: Path) -> None:
    assert generate("--output", str(tmp_path)).returncode == 0
    edited = tmp_path / "mlflow-model.json"
    edited.write_text(
        edited.read_text(encoding="utf-8").replace("MLflow model", "My model"), encoding="utf-8"
    )
    done = generate("--check", "--output", str(tmp_path))
    assert done.returncode == 1
    assert "mlflow-model.json differs from its generator" in done.stderr
    assert "My model" in edited.read_text(encoding="utf-8")


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "grafana" / "build.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@each_dashboard
def test_the_browser_cannot_change_it(path: Path) -> None:
    assert load(path)["editable"] is False


@each_dashboard
def test_no_cell_has_a_colour_where_it_has_no_value(path: Path) -> None:
    """Grafana's own thresholds begin with green."""
    for panel in charts(load(path)):
        for override in panel["fieldConfig"].get("overrides", ()):
            drawn = {option["id"]: option["value"] for option in override["properties"]}
            if drawn.get("custom.cellOptions", {}).get("type") == "color-background":
                base = drawn["thresholds"]["steps"][0]["color"]
                assert base == "transparent", (panel["title"], override["matcher"])

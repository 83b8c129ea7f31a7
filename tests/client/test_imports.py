"""The client needs httpx and this package without its dependencies."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.scripted_exporter import ScriptedExporter

SERVICE = """
import logging, sys
from exporter.client import Columns, Connection, Monitor, MonitoringMiddleware, hash_value

logging.basicConfig(level=logging.WARNING)
with Monitor(sys.argv[1], model="fraud", version="3", hashed=["email"], hash_key="k") as monitor:
    monitor.predictions({"age": 40, "email": "a@b"}, 1, score={"yes": 0.5, "no": 0.5}, id="a")
    monitor.predictions([[1, "c@d"], [2, None]], [0, 1], latency_seconds=0.5)
    monitor.labels("a", 0)
    assert monitor.flush(60), monitor.dropped
    assert monitor.sent == {"prediction": 3, "label": 1}, (monitor.sent, monitor.dropped)
"""
FOREIGN = """
loaded = {name.partition(".")[0] for name in sys.modules if not name.startswith("_")}
foreign = loaded - sys.stdlib_module_names - {"exporter", "sitecustomize", *sys.argv[2:]}
assert not foreign, foreign
"""


def requirements(name: str) -> set[str]:
    """Names of the distributions that one needs, itself included."""
    found, waiting = set[str](), [name]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            needed = map(Requirement, distribution(each).requires or ())
            waiting += [r.name for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


def files(name: str) -> set[Path]:
    """Files and folders of a distribution at the top of `site-packages`."""
    installed = distribution(name)
    tops = {file.parts[0] for file in installed.files or () if file.parts[0] not in ("..", "__pycache__")}
    return {Path(str(installed.locate_file(top))) for top in tops}


def test_the_client_runs_where_httpx_alone_is_installed(tmp_path: Path, scripted: ScriptedExporter) -> None:
    venv.create(tmp_path / "venv", symlinks=True, with_pip=False)
    (site,) = (tmp_path / "venv").glob("lib/*/site-packages")
    names = requirements("httpx")
    for name in (*names, "mlflow-exporter"):
        for path in files(name):
            (site / path.name).symlink_to(path)
    (tmp_path / "service.py").write_text(SERVICE + FOREIGN)
    modules = {path.stem for name in names for path in files(name)}
    subprocess.run(
        [tmp_path / "venv/bin/python", "-W", "error", tmp_path / "service.py", scripted.url, *modules],
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        check=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert len(scripted.rows) == 4


def test_every_module_of_the_client_imports_without_anything_else() -> None:
    folder = Path(__file__).parents[2] / "exporter/client"
    modules = [f"exporter.client.{path.stem}" for path in sorted(folder.glob("*.py")) if path.stem[0] != "_"]
    code = """
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, *sys.argv[1:], "exporter"}:
            raise ImportError(name)

sys.meta_path.insert(0, Nothing())
""" + "\n".join(f"import {module}" for module in modules)
    allowed = {path.stem for name in requirements("httpx") for path in files(name)}
    subprocess.run([sys.executable, "-c", code, *allowed], check=True, timeout=TIMEOUT_SECONDS)

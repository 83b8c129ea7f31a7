"""The real command, `mlflow-exporter serve`, as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.settings import Settings, Window
from exporter.storage.schema import AliasMove
from exporter.storage.store import Store
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import eventually, make_table

DEFAULT = Settings()
ROOT = Path(__file__).parents[2]


class ExporterProcess:
    """A running exporter and its `log`. Without `mlflow` it has none, and starts sooner.

    `module` is run in place of the program.
    """

    def __init__(
        self,
        store: str,
        port: int,
        directory: Path,
        mlflow: str = "",
        *,
        module: str = "",
        **settings: object,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log = directory / f"exporter-{port}.log"
        foreign = ("EXPORTER_", "MLFLOW_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        environment |= {f"EXPORTER_{name.upper()}": str(value) for name, value in settings.items()}
        environment |= {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        module = module or ("exporter" if mlflow else "tests.support.serve_alone")
        command = [sys.executable, "-m", module, "serve", "--port", str(port), "--store", store]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env={**environment, "MLFLOW_TRACKING_URI": mlflow, "MLFLOW_DISABLE_TELEMETRY": "true"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def await_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.log
            try:
                return self._get("/-/ready").status_code == 200
            except httpx.TransportError:
                return False

        eventually(ready)

    def kill(self) -> None:
        """Kill it, as the kernel does when memory runs out."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(TIMEOUT_SECONDS)

    def terminate(self) -> None:
        """Terminate it, as an orchestrator does."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(TIMEOUT_SECONDS)

    def sample(self, sample: str) -> float | None:
        """Return a sample of `/metrics` by its name and labels as written."""
        for line in self._get("/metrics").text.splitlines():
            if line.startswith(f"{sample} "):
                return float(line.rsplit(" ", 1)[1])
        return None

    def _get(self, path: str) -> httpx.Response:
        # Certificates, which plain HTTP needs not, take longer to load than all the rest.
        return httpx.get(self.url + path, timeout=TIMEOUT_SECONDS, verify=False)

    def window_rows(self, window: str = "24h", model: str = "fraud", version: str = "1") -> float | None:
        labels = f'{{model="{model}",model_version="{version}",window="{window}"}}'
        return self.sample(f"mlflow_model_window_rows{labels}")


def make_store(
    uri: str,
    table: pa.Table | None = None,
    windows: Sequence[Window] = DEFAULT.windows,
    model: str = "fraud",
) -> None:
    """Make a store that has version 1 of a model and its reference, so that no MLflow is needed."""
    store = Store(uri)
    version = store.ensure_version(model, "1", 0)
    store.add_alias_moves([AliasMove(model, "champion", "1", 0.0)])
    data = ReferenceData(make_table() if table is None else table, "test")
    reference = build_reference(data, windows, 500)
    with store.begin() as transaction:
        transaction.save_reference(version.key, reference, at=0.0)
    store.close()


@pytest.fixture
def exporters() -> Iterator[list[ExporterProcess]]:
    """Exporters that have to end with the test."""
    started: list[ExporterProcess] = []
    yield started
    for each in started:
        if each.process.poll() is None:
            each.kill()

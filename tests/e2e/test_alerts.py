"""From samples to people: real exporter, Prometheus and Alertmanager, and something that looks like Slack.

The rules are the repository's. Windows are seconds long, and so is whatever waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from exporter.config import parse_window
from tests.e2e.process import ExporterProcess, make_store
from tests.monitoring.stack import FreePorts, Program, alerting
from tests.rig import eventually, make_document, make_rows, make_table

WINDOWS = ("4s", "8s")
REFERENCE_ROWS, REFERENCE_SECONDS = 10_000, 240  # thirty of the longest windows: natural variation is known
ROWS, PERIOD_SECONDS = 100, 0.25


def make_reference() -> pa.Table:
    times = time.time() - np.linspace(REFERENCE_SECONDS, 0, REFERENCE_ROWS)
    return make_table(REFERENCE_ROWS).append_column(
        "timestamp", pa.array((times * 1e6).astype("datetime64[us]"))
    )


@dataclass
class Stream:
    """Predictions four times a second, like those of the reference until people are `older`."""

    url: str
    older: bool = False
    _stop: Event = field(default_factory=Event)

    def send(self) -> None:
        seed = 0
        with httpx.Client() as client:
            while not self._stop.wait(PERIOD_SECONDS):
                seed += 1
                document = make_document([self._age(row) for row in make_rows(ROWS, seed=seed)])
                client.post(f"{self.url}/v1/predictions", json=document, timeout=30).raise_for_status()

    def _age(self, row: dict[str, Any]) -> dict[str, Any]:
        """Within the range of the reference: values out of range would be told as such, not as drift."""
        if self.older:
            row["features"]["age"] = 50 + abs(row["features"]["age"] - 40) / 4
        return row

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = Thread(target=self.send)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


@pytest.mark.needs("prometheus", "alertmanager")
def test_a_stream_that_drifts_is_told_and_so_is_that_it_recovered(
    tmp_path: Path, program: Program, free_ports: FreePorts
) -> None:
    store, (port,) = f"sqlite:///{tmp_path}/exporter.db", free_ports(1)
    make_store(store, make_reference(), [parse_window(window) for window in WINDOWS])
    exporter = ExporterProcess(
        store, port, tmp_path, windows=",".join(WINDOWS), block_seconds=1, evaluation_interval_seconds=1
    )
    drifted = "ModelFeatureDrift in fraud v1: age"
    verdict = (
        'mlflow_model_drift_detected{model="fraud",model_version="1",column="age",role="feature",window='
    )
    try:
        exporter.await_ready()
        stream = Stream(exporter.url)
        with stream.running(), alerting(tmp_path, program, free_ports, port) as delivery:
            for window in WINDOWS:
                eventually(lambda window=window: exporter.sample(f'{verdict}"{window}"}}') == 0, 60)
            stream.older = True
            mail = delivery.mailbox.wait_for(f"[warning] {drifted}")
            message = delivery.webhooks.wait_for_slack(f"[warning] {drifted}")
            body = mail.get_body(("plain",))
            assert body is not None
            assert "Feature age of fraud v1 has drifted: PSI" in body.get_content()
            assert "serving as champion" in body.get_content()
            assert "Feature age of fraud v1 has drifted: PSI" in message["attachments"][0]["text"]

            stream.older = False
            delivery.mailbox.wait_for(f"[resolved] {drifted}")
            delivery.webhooks.wait_for_slack(f"[resolved] {drifted}")
            # Once each, unless a busy machine misses an evaluation: `for` is as short as that here.
            told = {subject for subject in delivery.mailbox.subjects if "fraud" in subject}
            assert told == {f"[warning] {drifted}", f"[resolved] {drifted}"}
    finally:
        exporter.terminate()

"""From samples to people: real exporter, Prometheus and Alertmanager, and something that looks like Slack.

The rules are the repository's. Windows are seconds long, and so is whatever waits.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from exporter.settings import parse_window
from tests.prometheus.stack import FreePorts, Program, alerting
from tests.support.background import running
from tests.support.exporter_process import ExporterProcess, make_store
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import eventually, make_document, make_rows, make_table

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
    """Predictions four times a second, like the reference's until people are `older` and from `elsewhere`."""

    url: str
    older: bool = False
    elsewhere: bool = False
    _stop: Event = field(default_factory=Event)

    def send(self) -> None:
        seed = 0
        with httpx.Client() as client:
            while not self._stop.wait(PERIOD_SECONDS):
                seed += 1
                document = make_document([self._change(row) for row in make_rows(ROWS, seed=seed)])
                client.post(
                    f"{self.url}/v1/predictions", json=document, timeout=TIMEOUT_SECONDS
                ).raise_for_status()

    def _change(self, row: dict[str, Any]) -> dict[str, Any]:
        if (
            self.older
        ):  # within the range of the reference: values out of range are told as such, not as drift
            row["features"]["age"] = 50 + abs(row["features"]["age"] - 40) / 4
        if self.elsewhere and row["features"]["country"] == "FR":
            row["features"]["country"] = "fr"
        return row

    def running(self) -> AbstractContextManager[None]:
        return running(self.send, self._stop)


@pytest.mark.parametrize("program", ["installed"], indirect=True)  # deliveries are tested with both
@pytest.mark.needs("prometheus", "alertmanager")
def test_a_stream_that_goes_bad_is_told_and_so_is_that_it_recovered(
    tmp_path: Path, program: Program, free_ports: FreePorts
) -> None:
    store, (port,) = f"sqlite:///{tmp_path}/exporter.db", free_ports(1)
    make_store(store, make_reference(), [parse_window(window) for window in WINDOWS])
    config = tmp_path / "exporter.yml"
    config.write_text("reports: {on_verdicts: false}\n")  # they take seconds, and have tests of their own
    exporter = ExporterProcess(
        *(store, port, tmp_path),
        windows=",".join(WINDOWS),
        block_seconds=1,
        evaluation_interval_seconds=1,
        config=config,
    )
    drift, unseen = (
        "ModelFeatureDrift in fraud v1: age",
        "ModelDataQualityDegraded in fraud v1: country unseen",
    )

    def drifted(column: str) -> set[float | None]:
        labels = f'model="fraud",model_version="1",column="{column}",role="feature"'
        return {
            exporter.sample(f'mlflow_model_drift_detected{{{labels},window="{window}"}}')
            for window in WINDOWS
        }

    try:
        exporter.await_ready()
        stream = Stream(exporter.url)
        with stream.running(), alerting(tmp_path, program, free_ports, port) as delivery:
            eventually(lambda: drifted("age") == drifted("country") == {0})

            stream.older = stream.elsewhere = True
            mail = delivery.mailbox.wait_for(f"[warning] {drift}")
            body = mail.get_body(("plain",))
            assert body is not None
            assert "Feature age of fraud v1 has drifted: PSI" in body.get_content()
            assert "serving as champion" in body.get_content()
            message = delivery.webhooks.wait_for_slack(f"[warning] {drift}")
            assert "Feature age of fraud v1 has drifted: PSI" in message["attachments"][0]["text"]
            message = delivery.webhooks.wait_for_slack(f"[warning] {unseen}")
            assert "is in categories that the reference does not have" in message["attachments"][0]["text"]
            assert 1 in drifted("country")  # which is explained, and not told

            stream.older = stream.elsewhere = False
            for subject in (f"[resolved] {drift}", f"[resolved] {unseen}"):
                delivery.mailbox.wait_for(subject)
                delivery.webhooks.wait_for_slack(subject)
            eventually(lambda: drifted("country") == {0})
            delivery.let_every_group_have_its_turn()
            # Once each, unless a busy machine misses an evaluation: `for` is as short as that here.
            told = {subject for subject in delivery.mailbox.subjects if "fraud" in subject}
            assert told == {
                f"[{state}] {news}" for state in ("warning", "resolved") for news in (drift, unseen)
            }
    finally:
        exporter.terminate()

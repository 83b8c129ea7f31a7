"""Overhead of `exporter.client` on the thread that predicts, beside a bare call of the same function."""

from __future__ import annotations

import gc
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from exporter.client import Monitor
from tests.benchmarks.timing import best_seconds
from tests.support.exporter_process import ExporterProcess, make_store
from tests.support.ports import claim_ports

OPTIONS = {"model": "fraud", "version": "1", "exit_seconds": 0.5}
COLUMNS = 20
CALLS = 50_000
RATE = 2_000  # calls a second, many for one process that predicts
BACK_TO_BACK = 2_000
TARGET_NOTE = "(p50 at most 20 us)"


def predict(features: Any, prediction: Any, **_: Any) -> None:
    """A bare call of the same form."""


def durations(call: Callable[..., object], row: Any, calls: int) -> np.ndarray:
    """Microseconds that each of some calls takes, at a steady rate."""
    found = np.empty(calls)
    gc.collect()
    due = time.perf_counter()
    for index in range(calls):
        due += 1 / RATE
        if (wait := due - time.perf_counter()) > 0:
            time.sleep(wait)
        identifier = f"request-{index}"
        start = time.perf_counter_ns()
        call(row, 1, score=0.83, id=identifier, latency_seconds=0.004)
        found[index] = time.perf_counter_ns() - start
    return found / 1000


def cpu(call: Callable[..., object], row: Any) -> float:
    """Microseconds of CPU of a call, one after the other."""

    def many() -> None:
        for _ in range(BACK_TO_BACK):
            call(row, 1, score=0.83, id="request", latency_seconds=0.004)

    return best_seconds(many, 5) / BACK_TO_BACK * 1e6


def show(name: str, call: Callable[..., object], row: Any, calls: int, note: str = "") -> None:
    median, slow = np.percentile(durations(call, row, calls), [50, 99])
    print(f"  {name:<34} p50 {median:5.1f} us   p99 {slow:5.1f} us   {note}", flush=True)


def main(calls: int) -> None:
    logging.disable()  # of rows that are not sent, which is meant here
    print(f"a prediction of {COLUMNS} features, {RATE:,} a second, on the caller's thread")
    names = [f"feature_{number}" for number in range(COLUMNS)]
    generator = np.random.default_rng(7)
    array = generator.normal(size=COLUMNS)
    rows = {"dictionary": dict(zip(names, array.tolist(), strict=True)), "row of numpy": array}
    with tempfile.TemporaryDirectory(prefix="bench-client-") as directory, claim_ports(2) as (port, dead):
        store = f"sqlite:///{directory}/client.db"
        make_store(store)
        exporter = ExporterProcess(store, port, Path(directory))
        try:
            exporter.await_ready()
            for kind, row in rows.items():
                show(f"{kind}, bare call", predict, row, calls)
                for state, url in (("sent", exporter.url), ("exporter down", f"http://127.0.0.1:{dead}")):
                    with Monitor(url, **OPTIONS, feature_names=names) as monitor:
                        show(
                            f"{kind}, {state}",
                            monitor.predictions,
                            row,
                            calls,
                            TARGET_NOTE,
                        )
                alone = {"batch_seconds": 1e3, "batch_rows": 10**6}
                with Monitor(url, **OPTIONS, **alone, feature_names=names) as monitor:
                    print(f"  {f'{kind}, back to back':<34} CPU {cpu(monitor.predictions, row):5.1f} us")
        finally:
            exporter.terminate()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else CALLS)

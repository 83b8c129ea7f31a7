"""Acknowledged rows survive whatever happens to the process."""

from __future__ import annotations

import random
import signal
import socket
import time
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from exporter.aggregates.block import decode_block
from exporter.audit.filters import Filters, find
from exporter.audit.read_only import reading
from exporter.audit.verification import verify_store
from exporter.config.sampling import SampleConfig
from exporter.storage import schema
from exporter.storage.sampled_rows import load_sampled_blocks
from exporter.storage.schema import FINE
from exporter.storage.store import Store
from tests.support.exporter_process import ExporterProcess, make_store
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.posting_clients import ROWS, Clients
from tests.support.rig import eventually

WINDOW = {"evaluation_interval_seconds": 0.2, "lease_seconds": 3}


def test_every_acknowledged_row_is_counted_once_however_often_it_is_killed(
    store_uri: str, free_port: int, tmp_path: Path, exporters: list[ExporterProcess]
) -> None:
    make_store(store_uri)
    moments = random.Random(7)

    def start() -> ExporterProcess:
        exporter = ExporterProcess(store_uri, free_port, tmp_path, **WINDOW)
        exporters.append(exporter)
        exporter.await_ready()
        return exporter

    with Clients(f"http://127.0.0.1:{free_port}") as clients:
        for _ in range(3 if store_uri.startswith("sqlite") else 1):
            exporter = start()
            clients.await_progress()
            time.sleep(moments.uniform(0, 0.5))  # in the midst of whatever it does then
            exporter.kill()
        exporter = start()
        clients.await_progress(10 * ROWS)
    eventually(lambda: exporter.window_rows() == clients.acknowledged)
    with reading(store_uri) as connection:  # beside the last one, which runs
        trail = verify_store(connection)
        starts = find(connection, Filters(kind="started"), 100)[0]
        blocks = load_sampled_blocks(connection, 1, 0, 2**40)
        stored = connection.execute(sa.select(schema.aggregates).filter_by(family=FINE, segment="")).all()
    assert trail.intact, trail.faults
    assert len(starts) == len(exporters)
    counted = {row.start: decode_block(bytes(row.payload)).rows for row in stored}
    assert {block.start: block.rows for block in blocks} == {
        start: min(rows, SampleConfig().rows) for start, rows in counted.items()
    }


def test_a_process_that_cannot_take_over_a_commit_ends_and_the_next_one_counts_all(
    store_uri: str, free_port: int, tmp_path: Path, exporters: list[ExporterProcess]
) -> None:
    make_store(store_uri)
    failing = ExporterProcess(store_uri, free_port, tmp_path, module="tests.support.serve_failing", **WINDOW)
    exporters.append(failing)
    failing.await_ready()
    with Clients(failing.url) as clients:
        assert failing.process.wait(TIMEOUT_SECONDS) == 1
        exporter = ExporterProcess(store_uri, free_port, tmp_path, **WINDOW)
        exporters.append(exporter)
        exporter.await_ready()
        clients.await_progress(10 * ROWS)
    assert "restart the exporter" in failing.log
    eventually(lambda: exporter.window_rows() == clients.acknowledged)


def test_sigterm_ends_it_whoever_hangs_and_loses_nothing(
    free_port: int, tmp_path: Path, exporters: list[ExporterProcess]
) -> None:
    store = f"sqlite:///{tmp_path}/exporter.db"
    make_store(store)
    with closing(socket.create_server(("127.0.0.1", 0))) as hanging:  # an MLflow that never answers
        mlflow = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        exporter = ExporterProcess(
            store, free_port, tmp_path, mlflow, mlflow_timeout_seconds=10 * TIMEOUT_SECONDS, **WINDOW
        )
        exporters.append(exporter)
        exporter.await_ready()
        with Clients(exporter.url) as clients:
            clients.await_progress(20 * ROWS)
            exporter.terminate()
            again = ExporterProcess(store, free_port, tmp_path, **WINDOW)
            exporters.append(again)
            again.await_ready()
            clients.await_progress()
    assert exporter.process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in exporter.log, exporter.log
    eventually(lambda: again.window_rows() == clients.acknowledged)


def test_a_second_exporter_on_the_same_store_says_so_and_ends(
    tmp_path: Path, exporters: list[ExporterProcess]
) -> None:
    uri = f"sqlite:///{tmp_path}/exporter.db"
    with closing(Store(uri)):
        second = ExporterProcess(uri, 0, tmp_path)
        exporters.append(second)
        assert second.process.wait(TIMEOUT_SECONDS) == 1
    assert second.log == f"mlflow-exporter: another exporter uses {tmp_path}/exporter.db\n"

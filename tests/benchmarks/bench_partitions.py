"""Partitions of a topic in PostgreSQL: rows committed to them, and their sums.

python tests/benchmarks/bench_partitions.py [rows | sums ...]

CPU time is that of this process and of PostgreSQL's together.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[2]))

from exporter.exposition.telemetry import Telemetry
from exporter.fleet import Fleet, Version
from exporter.formats.predictions import read_predictions
from exporter.formats.raw import ARROW_TYPE, RawRequest
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.local_counting import LocalCounting
from exporter.partitions.sums import PartitionSums
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.settings import Settings
from exporter.storage.partition import Partition
from exporter.storage.store import Store
from tests.support.postgres import PostgresServer, postgres_server

COLUMNS, BATCH_ROWS, ROWS = 20, 2000, 200_000
COUNTS = (1, 2, 4, 8)
SUMMED = (1, 8, 64)
VERSIONS, REFRESHES, WARM = 5, 24, 12  # statements are prepared by then
SETTINGS = Settings()
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def make_table(rows: int, random: np.random.Generator) -> pa.Table:
    found = {f"feature_{k}": random.normal(k, 1 + k, rows).round(4) for k in range(COLUMNS)}
    found["prediction"] = (random.random(rows) < 0.3).astype(np.float64)
    found["score"] = random.random(rows).round(6)
    return pa.table(found)


REFERENCE = build_reference(
    ReferenceData(make_table(5000, np.random.default_rng(0)), "bench"), SETTINGS.windows, COLUMNS + 2
)


class Counter:
    """Writer of a partition."""

    def __init__(self, uri: str, partition: Partition) -> None:
        self.store = Store(uri, partition=partition)
        fleet = Fleet(SETTINGS)
        self._counting = LocalCounting(
            self.store, fleet, SETTINGS, Telemetry(time.time), time.time, np.random.default_rng(0)
        )
        for stored in self.store.load_versions():
            version = Version(stored)
            fleet.add(version)
            self._counting.activate(version, REFERENCE, stored.key)
            self._counting.recount(version)
        self._offset = 0

    def commit(self, requests: list[PredictionRequest]) -> None:
        self._offset += len(requests)
        self._counting.commit(requests, self._offset)


def request(version: str, rows: int, random: np.random.Generator) -> PredictionRequest:
    """Predictions with random ids."""
    table = make_table(rows, random)
    ids = random.integers(0, 2**62, rows).astype(str)
    features = pa.StructArray.from_arrays(
        table.drop(["prediction", "score"]).to_batches()[0].columns, [f"feature_{k}" for k in range(COLUMNS)]
    )
    rows_table = pa.table(
        {"id": ids, "features": features, "prediction": table["prediction"], "score": table["score"]}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows_table.schema) as writer:
        writer.write_table(rows_table)
    body, query = sink.getvalue().to_pybytes(), {"model": "bench", "version": version}
    decoded = read_predictions(body, ARROW_TYPE, query, SETTINGS)
    return PredictionRequest(RawRequest(ARROW_TYPE, query, body), decoded, time.time())


@contextmanager
def database(server: PostgresServer, name: str, versions: int) -> Iterator[tuple[str, Store]]:
    """A database with versions that have a reference, and the evaluator's store."""
    uri = server.create(name)
    store = Store(uri)
    for number in range(versions):
        key = store.ensure_version("bench", str(number), 0).key
        with store.begin() as transaction:
            assert transaction.save_reference(key, REFERENCE, 0.0) == key
    yield uri, store
    store.close()


def cpu_seconds(server: PostgresServer) -> float:
    """CPU time so far of this process and of the server's, with those of its sessions that have ended."""
    first = int((server.directory / "data" / "postmaster.pid").read_text().splitlines()[0])
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().rpartition(")")
        except OSError:  # it has just ended
            continue
        fields = rest.split()
        if int(name.split()[0]) == first:
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == first:
            ticks += sum(map(int, fields[11:13]))
    return time.process_time() + ticks / TICKS_PER_SECOND


def measure_rows(server: PostgresServer) -> None:
    print(f"{ROWS:,} rows x {COLUMNS} columns with random ids, {BATCH_ROWS:,} a commit (expected: the same)")
    random = np.random.default_rng(1)
    batches = [request("0", BATCH_ROWS, random) for _ in range(ROWS // BATCH_ROWS)]
    for count in COUNTS:
        with (
            database(server, f"rows_{count}", 1) as (uri, _),
            psycopg.connect(uri, autocommit=True) as direct,
        ):
            counters = [Counter(uri, Partition(number, "bench", count)) for number in range(count)]
            size, wal = _sizes(direct)
            began = cpu_seconds(server)
            for place, batch in enumerate(batches):
                counters[place % count].commit([batch])
            used = cpu_seconds(server) - began
            direct.execute("CHECKPOINT")
            more, further = _sizes(direct)
            print(
                f"  {count} partitions: {1e6 * used / ROWS:.1f} us of CPU, {(more - size) / ROWS:.0f} bytes "
                f"of PostgreSQL, {(further - wal) / ROWS:.0f} bytes of its log a row"
            )
            for counter in counters:
                counter.store.close()


def _sizes(connection: psycopg.Connection) -> tuple[int, int]:
    query = "SELECT pg_database_size(current_database()), pg_current_wal_lsn() - '0/0'::pg_lsn"
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def measure_sums(server: PostgresServer) -> None:
    print(f"a refresh of {VERSIONS} versions after a commit to each in every partition (expected: < 100 ms)")
    random = np.random.default_rng(2)
    for count in SUMMED:
        with database(server, f"sums_{count}", VERSIONS) as (uri, store):
            counters = [Counter(uri, Partition(number, "bench", count)) for number in range(count)]
            fleet = Fleet(SETTINGS)
            for stored in store.load_versions():
                fleet.add(Version(stored))
            sums = PartitionSums(store, SETTINGS, fleet)
            walls, cpus = [], []
            for _ in range(REFRESHES):
                for counter in counters:
                    counter.commit([request(str(number), 20, random) for number in range(VERSIONS)])
                started, cpu = time.perf_counter(), cpu_seconds(server)
                sums.refresh(time.time())
                walls.append(time.perf_counter() - started)
                cpus.append(cpu_seconds(server) - cpu)
            warm, busy = sorted(walls[WARM:]), sorted(cpus[WARM:])
            print(
                f"  {count} partitions: {1000 * warm[0]:.0f} ms at best, median "
                f"{1000 * statistics.median(warm):.0f} ms, {1000 * statistics.median(busy):.0f} ms of CPU; "
                f"the first {1000 * walls[0]:.0f} ms"
            )
            for counter in counters:
                counter.store.close()


def main() -> None:
    chosen = sys.argv[1:] or ["rows", "sums"]
    running = postgres_server.__wrapped__()  # type: ignore[attr-defined] # a fixture
    server = next(running)
    try:
        for name in chosen:
            {"rows": measure_rows, "sums": measure_sums}[name](server)
    finally:
        next(running, None)


if __name__ == "__main__":
    main()

"""Join labels with ten million stored predictions through the writer, durable on SQLite.

python tests/benchmarks/bench_labels.py [ten | one]

Batches of 1,000 labels with random ids, decoded, joined and committed in one process; clients wait for their
answer. Wall time suffers from whatever else the machine does; CPU time is that of the whole process.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
from stored_predictions import write_predictions

from exporter.errors import RegistryUnreachableError
from exporter.formats.hashing import id_hashes
from exporter.formats.labels import decode_labels
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE
from exporter.ingest.join import prepare_labels
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.registry.registry import Registry
from exporter.service import Service
from exporter.settings import DAY_SECONDS, Settings
from exporter.storage.schema import AliasMove
from exporter.storage.store import Store

STORED = 10_000_000
BATCH, BATCHES = 1_000, 300
TARGET = "(at least 100,000)"
MODEL = "bench"


class DownRegistry(Registry):
    """An MLflow that is down: what the store says is enough."""

    def __init__(self) -> None:
        pass

    def poll(self) -> object:  # type: ignore[override]
        raise RegistryUnreachableError("there is none")


def make_store(path: Path, days: int, ids: Sequence[str]) -> None:
    """Predictions of version 1, of every hour of so many days: the given ids and others, at random."""
    random, rows = np.random.default_rng(0), 20_000
    score = random.random(rows)
    came_true = (random.random(rows) < score).astype(np.int64)
    columns = {"x": random.normal(0, 1, rows), "prediction": (score > 0.5).astype(np.int64), "score": score}
    data = ReferenceData(pa.table(columns | {"target": came_true}), "bench", target="target")
    reference = build_reference(data, Settings().windows, 500)
    today = int(time.time() // DAY_SECONDS)
    store = Store(f"sqlite:///{path}")
    version = store.ensure_version(MODEL, "1", 0)
    store.add_alias_moves([AliasMove(MODEL, "champion", "1", 0.0)])
    with store.begin() as transaction:
        transaction.save_reference(version.key, reference, 0.0)
    known = id_hashes(MODEL, ids)
    for place, day in enumerate(range(today - days, today)):
        write_predictions(store, day, STORED // days, seed=day, ids=known[place::days])
    store.close()


@contextmanager
def running(path: Path) -> Iterator[Service]:
    """All of the service but its loops and HTTP."""
    service = Service(Settings(store=f"sqlite:///{path}", runs=False), DownRegistry())
    service.writer.start()
    service.discovery.restore()
    try:
        yield service
    finally:
        service.writer.stop()
        service.store.close()


def make_bodies(ids: Sequence[str], form: str) -> list[bytes]:
    found = []
    for start in range(0, len(ids), BATCH):
        part = ids[start : start + BATCH]
        labels = [k % 3 % 2 for k in range(len(part))]
        if form == JSON_TYPE:
            rows = [{"id": row_id, "label": label} for row_id, label in zip(part, labels, strict=True)]
            found.append(json.dumps({"model": MODEL, "labels": rows}).encode())
            continue
        table, sink = pa.table({"id": part, "label": labels}), pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        found.append(sink.getvalue().to_pybytes())
    return found


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(service: Service, name: str, ids: Sequence[str], form: str, clients: int) -> None:
    posted = make_bodies(ids, form)
    query = {"model": MODEL} if form == ARROW_TYPE else {}

    def post(body: bytes) -> int:
        batch = decode_labels(body, form, query, service.settings)
        prepared = prepare_labels(batch, service.clock())
        return service.writer.submit(prepared).result().accepted

    before = resident_megabytes()
    wall, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(clients) as pool:
        accepted = sum(pool.map(post, posted))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rows = len(posted) * BATCH
    assert accepted == rows, "some met no prediction"
    print(
        f"  {name:<44}{rows / wall:>9,.0f} labels/s{rows / cpu:>11,.0f} labels/s of CPU   "
        f"{TARGET}   memory {before:,.0f} -> {resident_megabytes():,.0f} MB",
        flush=True,
    )


def bench(days: int) -> None:
    print(f"{STORED:,} stored predictions, " + (f"over {days} days" if days > 1 else "all of one day"))
    random = np.random.default_rng(5)
    ids = [random.bytes(16).hex() for _ in range(BATCH * BATCHES)]
    with tempfile.TemporaryDirectory(prefix="bench-labels-") as directory:
        path = Path(directory) / "labels.db"
        # In another process: this one's memory is that of the service.
        maker = get_context("spawn").Process(target=make_store, args=(path, days, ids))
        maker.start()
        maker.join()
        order = random.permutation(len(ids)).tolist()
        mixed = [ids[k] for k in order]
        third = len(mixed) // 3
        with running(path) as service:
            measure(service, "JSON rows, 8 clients", mixed[:third], JSON_TYPE, 8)
            measure(service, "Arrow, 8 clients", mixed[third : 2 * third], ARROW_TYPE, 8)
            measure(service, "Arrow, 1 client", mixed[2 * third :], ARROW_TYPE, 1)


def main(chosen: Sequence[str]) -> None:
    gc.set_threshold(50_000, 20, 20)  # as `mlflow-exporter serve` does
    for name, days in (("ten", 10), ("one", 1)):
        if not chosen or name in chosen:
            bench(days)


if __name__ == "__main__":
    main(sys.argv[1:])

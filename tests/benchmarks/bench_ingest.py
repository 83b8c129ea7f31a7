"""Post predictions to the real service, durable on SQLite, from another process over kept connections; then
its memory with 20 versions.

python tests/benchmarks/bench_ingest.py [rows | ids | sample | memory ...]

Wall time is what a client sees, and suffers from whatever else the machine does; CPU time is the service's.
"""

from __future__ import annotations

import gc
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import numpy as np
import pyarrow as pa
from stored_predictions import write_predictions

from exporter.aggregates.block import LATENCY_BOUNDS, Block
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.profile import Reference
from exporter.settings import DAY_SECONDS, Settings
from exporter.storage.schema import COARSE, FINE, AliasMove
from exporter.storage.store import Store

BATCH_ROWS, COLUMNS = 500, 20
CONNECTIONS = 32
STORED_IDS = 10_000_000
SAMPLE_ROUNDS = 12
VERSIONS, WIDE_COLUMNS = 20, 50
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


# -- the service, in a process of its own -------------------------------------------------------------------


def serve(store: str, port: int, config: str) -> None:
    """Run what `mlflow-exporter serve` runs, with an MLflow that is down."""
    from exporter.api.app import create_app
    from exporter.api.server import make_server
    from exporter.errors import RegistryUnreachableError
    from exporter.registry.registry import Registry
    from exporter.service import Service

    class DownRegistry(Registry):
        def __init__(self) -> None:
            pass

        def poll(self) -> object:  # type: ignore[override]
            raise RegistryUnreachableError("there is none")

        def load_importance(self, run_id: str, tag: str, setting: str) -> None:
            return None

        def delete_expired_reports(self, now: float) -> int:
            raise RegistryUnreachableError("there is none")

        def set_model_tag(self, model: str, key: str, value: str) -> None:
            raise RegistryUnreachableError("there is none")

    gc.set_threshold(50_000, 20, 20)  # as `mlflow-exporter serve` does
    settings = Settings(port=port, store=store, config=config, evaluation_interval_seconds=5.0, runs=False)
    service = Service(settings, DownRegistry())
    make_server(create_app(service), settings, service.telemetry).run()


@dataclass(frozen=True)
class Running:
    port: int
    pid: int

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    @property
    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def get(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path)
        text = connection.getresponse().read().decode()
        connection.close()
        return text


@contextmanager
def running(store: str, config: str = "") -> Iterator[Running]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, __file__, "serve", store, str(port), config]) as process:
        service = Running(port, process.pid)
        try:
            while True:
                try:
                    if "ready" in service.get("/-/ready"):
                        break
                except OSError:
                    assert process.poll() is None, "the service did not start"
                    time.sleep(0.1)
            yield service
        finally:
            process.terminate()


# -- what it is given ---------------------------------------------------------------------------------------


def make_columns(rows: int, columns: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    found = {f"feature_{k}": random.normal(k, 1 + k, rows).round(4) for k in range(columns)}
    found["prediction"] = (random.random(rows) < 0.3).astype(np.float64)
    found["score"] = random.random(rows).round(6)
    return found


def make_store(uri: str, model: str = "bench", columns: int = COLUMNS) -> int:
    """A store that knows version 1 of a model with its reference; the reference's id."""
    store = Store(uri)
    version = store.ensure_version(model, "1", 0)
    store.add_alias_moves([AliasMove(model, "champion", "1", 0.0)])
    table = pa.table(make_columns(20_000, columns, 0))
    reference = build_reference(ReferenceData(table, "bench"), Settings().windows, 500)
    with store.begin() as transaction:
        reference_id = transaction.save_reference(version.key, reference, 0.0)
    store.close()
    return reference_id


def json_bodies(batches: int, *, ids: bool) -> list[bytes]:
    bodies = []
    for batch in range(batches):
        columns = make_columns(BATCH_ROWS, COLUMNS, batch % 10)
        outputs = {name: columns.pop(name).tolist() for name in ("prediction", "score")}
        values = zip(*(column.tolist() for column in columns.values()), strict=True)
        rows = [
            {"features": dict(zip(columns, row, strict=True)), "prediction": prediction, "score": score}
            for row, prediction, score in zip(values, *outputs.values(), strict=True)
        ]
        if ids:
            rows = [{"id": uuid4().hex, **row} for row in rows]
        bodies.append(json.dumps({"model": "bench", "version": "1", "predictions": rows}).encode())
    return bodies


def single_bodies(requests: int) -> list[bytes]:
    rows = [
        row
        for body in json_bodies(-(-requests // BATCH_ROWS), ids=True)
        for row in json.loads(body)["predictions"]
    ]
    target = {"model": "bench", "version": "1"}
    return [json.dumps({**target, "predictions": [row]}).encode() for row in rows[:requests]]


def arrow_bodies(batches: int, *, ids: bool) -> list[bytes]:
    bodies = []
    for batch in range(batches):
        columns: dict[str, object] = dict(make_columns(BATCH_ROWS, COLUMNS, batch % 10))
        if ids:
            columns["id"] = [uuid4().hex for _ in range(BATCH_ROWS)]
        table, sink = pa.table(columns), pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        bodies.append(sink.getvalue().to_pybytes())
    return bodies


def preload(path: Path, days: int) -> None:
    """Ids of ten million predictions, evenly over so many days that end today."""
    today = int(time.time() // DAY_SECONDS)
    store = Store(f"sqlite:///{path}")
    for day in range(today - days + 1, today + 1):
        write_predictions(store, day, STORED_IDS // days, seed=day)
    store.close()


# -- measuring ----------------------------------------------------------------------------------------------


def post_all(service: Running, bodies: Sequence[bytes], content_type: str) -> None:
    """Every body once, over a few kept connections."""
    query = "" if content_type == JSON_TYPE else "?" + urlencode({"model": "bench", "version": "1"})
    left, lock = iter(bodies), threading.Lock()

    def post() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
        while True:
            with lock:
                body = next(left, None)
            if body is None:
                connection.close()
                return
            connection.request("POST", f"/v1/predictions{query}", body, {"Content-Type": content_type})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 202, text

    threads = [threading.Thread(target=post) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(service: Running, name: str, bodies: Sequence[bytes], content_type: str, target: str) -> None:
    post_all(service, bodies[:20], content_type)
    rest = bodies[20:]
    wall, cpu = time.perf_counter(), service.cpu_seconds
    post_all(service, rest, content_type)
    wall, cpu = time.perf_counter() - wall, service.cpu_seconds - cpu
    rows = len(rest) * BATCH_ROWS
    print(
        f"  {name:<46}{rows / wall:>10,.0f} rows/s{rows / cpu:>12,.0f} rows/s of CPU   {target}", flush=True
    )


def bench_rows(directory: Path) -> None:
    print(f"POST /v1/predictions, {BATCH_ROWS} rows x {COLUMNS} columns, {CONNECTIONS} connections, durable")
    store = f"sqlite:///{directory}/rows.db"
    make_store(store)
    with running(store) as service:
        measure(service, "JSON rows", json_bodies(220, ids=False), JSON_TYPE, "(at least 50,000)")
        measure(service, "JSON rows with ids", json_bodies(220, ids=True), JSON_TYPE, "")
        measure(service, "Arrow", arrow_bodies(1620, ids=False), ARROW_TYPE, "(at least 400,000)")


def bench_ids(directory: Path) -> None:
    for days in (10, 1):
        path = directory / f"ids-{days}.db"
        make_store(f"sqlite:///{path}")
        preload(path, days)
        with running(f"sqlite:///{path}") as service:
            where = f"{STORED_IDS:,} stored " + ("over ten days" if days > 1 else "today")
            bodies = arrow_bodies(420, ids=True)
            measure(service, f"Arrow with random ids, {where}", bodies, ARROW_TYPE, "(at least 50,000)")
        path.unlink()


def bench_sample(directory: Path) -> None:
    """Two services in turns, one without a sample, so that both suffer alike from the rest of the machine."""
    forms = {
        "JSON rows": (json_bodies(20, ids=False), JSON_TYPE),
        "JSON rows with ids": (json_bodies(SAMPLE_ROUNDS * 20, ids=True), JSON_TYPE),
        "one JSON row per request, with ids": (single_bodies(SAMPLE_ROUNDS * 250), JSON_TYPE),
        "Arrow": (arrow_bodies(100, ids=False), ARROW_TYPE),
        "Arrow with ids": (arrow_bodies(SAMPLE_ROUNDS * 50, ids=True), ARROW_TYPE),
    }
    config = directory / "exporter.yml"
    config.write_text("defaults: {sample: {rows: 0}}\n")
    stores = [f"sqlite:///{directory}/{name}.db" for name in ("without", "with")]
    for store in stores:
        make_store(store)
    print("CPU time of a row with the sample, as a multiple of that without, both services in turns")
    with running(stores[0], str(config)) as without, running(stores[1]) as sampling:
        for name, (bodies, content_type) in forms.items():
            cpu = {without: 0.0, sampling: 0.0}
            rounds = np.array_split(np.arange(len(bodies)), SAMPLE_ROUNDS) if "ids" in name else None
            for number in range(SAMPLE_ROUNDS):
                sent = bodies if rounds is None else [bodies[index] for index in rounds[number].tolist()]
                for service in (without, sampling) if number % 2 else (sampling, without):
                    before = service.cpu_seconds
                    post_all(service, sent, content_type)
                    cpu[service] += service.cpu_seconds - before
            print(f"  {name:<46}{cpu[sampling] / cpu[without]:>10.3f}   (at most 1.05)", flush=True)


def bench_memory(directory: Path) -> None:
    uri = f"sqlite:///{directory}/memory.db"
    settings, now, random = Settings(), time.time(), np.random.default_rng(3)
    for number in range(VERSIONS):
        reference_id = make_store(uri, f"model-{number}", WIDE_COLUMNS)
        store = Store(uri)
        loaded = store.load_reference(number + 1)
        assert loaded is not None
        reference = loaded[1]

        def blocks(
            length: int, count: int, latest: float, reference: Reference = reference
        ) -> dict[int, Block]:
            first = int(latest // length) * length
            return {
                first - k * length: Block(
                    rows=1000,
                    counts=random.poisson(reference.counts / 20).astype(np.uint32),
                    moments=np.zeros((len(reference.columns), 3)),
                    latency=np.zeros(len(LATENCY_BOUNDS) + 1, np.int64),
                    latency_sum=0.0,
                )
                for k in range(count)
            }

        with store.begin() as transaction:
            transaction.put_aggregates(reference_id, FINE, blocks(settings.block_seconds, 300, now))
            hours = blocks(settings.coarse_seconds, 14 * 24, now - 27 * 3600)
            transaction.put_aggregates(reference_id, COARSE, hours)
        store.close()
    with running(uri) as service:
        time.sleep(12)  # two evaluations
        page = service.get("/metrics")
        lines = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
        name = "mlflow_exporter_evaluation_duration_seconds"
        milliseconds = 1000 * float(lines[f"{name}_sum"]) / float(lines[f"{name}_count"])
        print(f"{VERSIONS} versions x {WIDE_COLUMNS} columns, a day of 5-minute blocks, two weeks of hours")
        print(f"  resident memory after a scrape {service.resident_bytes / 2**20:8.0f} MB  (at most 400)")
        print(f"  evaluation of one version      {milliseconds:8.1f} ms  (at most 10)")
        print(f"  the page                       {len(page) / 2**20:8.1f} MB, {len(lines):,} series")


def main(chosen: Sequence[str]) -> None:
    parts: dict[str, Callable[[Path], None]] = {
        "rows": bench_rows,
        "ids": bench_ids,
        "sample": bench_sample,
        "memory": bench_memory,
    }
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as directory:
        for name in chosen or parts:
            parts[name](Path(directory))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main(sys.argv[1:])

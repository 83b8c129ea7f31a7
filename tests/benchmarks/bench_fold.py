"""Decode, bin and fold rows of 20 numeric columns, beside the rate that whylogs publishes.

    python tests/benchmarks/bench_fold.py

Seconds are CPU time of one thread, the fastest of many runs: others may be using the machine.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
import orjson
import pyarrow as pa

from exporter.aggregates.block import fold
from exporter.formats.batch import Batch
from exporter.formats.hashing import id_hashes, payload_hashes
from exporter.formats.predictions import decode_predictions
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.binning import bin_batch
from exporter.reference.classes import read_outputs
from exporter.reference.profile import Reference
from exporter.settings import Settings

COLUMNS, BATCH_ROWS, FOLD_ROWS = 20, 500, 50_000
WHYLOGS_ROWS_PER_SECOND = 68_000  # as published, on one core
SECONDS_EACH = 1.0
SETTINGS = Settings()
QUERY = {"model": "fraud", "version": "3"}
DRAW = np.random.default_rng(7)


def make_table(rows: int) -> pa.Table:
    columns = {f"column_{index}": DRAW.normal(size=rows) for index in range(COLUMNS)}
    return pa.table({**columns, "prediction": DRAW.normal(size=rows)})


def encode_rows(table: pa.Table, *, ids: bool) -> bytes:
    names = table.column_names[:-1]
    rows = [
        {
            "features": {name: row[name] for name in names},
            "prediction": row["prediction"],
            **({"id": DRAW.bytes(16).hex()} if ids else {}),
        }
        for row in table.to_pylist()
    ]
    return orjson.dumps({**QUERY, "predictions": rows})


def encode_columns(table: pa.Table) -> bytes:
    columns = table.to_pydict()
    prediction = columns.pop("prediction")
    return orjson.dumps({**QUERY, "columns": {"features": columns, "prediction": prediction}})


def encode_stream(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def measure(name: str, rows: int, work: Callable[[], object]) -> None:
    """Print the fastest of many runs, in rows a second of CPU and of wall time."""
    work()
    cpu, wall = [], []
    end = time.monotonic() + SECONDS_EACH
    while time.monotonic() < end:
        cpu_start, wall_start = time.thread_time(), time.perf_counter()
        work()
        cpu.append(time.thread_time() - cpu_start)
        wall.append(time.perf_counter() - wall_start)
    rate = rows / min(cpu)
    times = rate / WHYLOGS_ROWS_PER_SECOND
    print(f"{name:<52}{rate:>14,.0f}{rows / min(wall):>14,.0f}{times:>10.1f} x")


def main() -> None:
    table = make_table(100_000)
    reference: Reference = build_reference(ReferenceData(table, "bench"), SETTINGS.windows, COLUMNS)

    def bin_and_fold(batch: Batch, starts: np.ndarray) -> object:
        binned = bin_batch(reference, batch, read_outputs(reference, batch), batch.timestamps)
        return fold(reference, binned, starts, batch.latency)

    def decode_and_fold(body: bytes, content_type: str) -> object:
        query = {} if content_type == JSON_TYPE else QUERY
        batch = decode_predictions(body, content_type, query, SETTINGS)
        return bin_and_fold(batch, np.zeros(batch.rows, np.int64))

    print(f"{COLUMNS} numeric columns and a prediction, one thread")
    print(f"{'':<52}{'rows/s CPU':>14}{'rows/s wall':>14}{'whylogs':>12}")
    for rows in (BATCH_ROWS, FOLD_ROWS):
        batch = decode_predictions(encode_stream(make_table(rows)), ARROW_TYPE, QUERY, SETTINGS)
        starts = np.zeros(rows, np.int64)
        measure(f"bin and fold, columnar, {rows:,} rows", rows, lambda b=batch, s=starts: bin_and_fold(b, s))

    table = make_table(BATCH_ROWS)
    bodies = {
        "JSON rows": (encode_rows(table, ids=False), JSON_TYPE),
        "JSON columns": (encode_columns(table), JSON_TYPE),
        "Arrow": (encode_stream(table), ARROW_TYPE),
    }
    for name, (body, content_type) in bodies.items():
        measure(
            f"decode, bin and fold, {name}, batches of {BATCH_ROWS}",
            BATCH_ROWS,
            lambda body=body, content_type=content_type: decode_and_fold(body, content_type),
        )

    batch = decode_predictions(encode_rows(table, ids=True), JSON_TYPE, {}, SETTINGS)
    assert batch.ids is not None
    ids = [row_id or "" for row_id in batch.ids]
    measure(
        f"hash ids and payloads, batches of {BATCH_ROWS}",
        BATCH_ROWS,
        lambda: (payload_hashes(batch), id_hashes("fraud", ids)),
    )


if __name__ == "__main__":
    main()

"""`mlflow-exporter push` of Parquet files to the real service, durable on SQLite, on the same machine.

python tests/benchmarks/bench_push.py [rows [Parquet | CSV | ...]]
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from bench_ingest import COLUMNS, make_columns, make_store, running

ROWS = 3_000_000
FILE_ROWS = 500_000
FORMS = {
    "Parquet": ("parquet", False, 1.0, "(at least 300,000)"),
    "Parquet with random ids": ("parquet", True, 0.5, ""),
    "CSV": ("csv", False, 0.2, ""),
    "JSON lines": ("jsonl", False, 0.1, ""),
}


def write(directory: Path, form: str, rows: int, *, ids: bool) -> None:
    """Files of so many rows, with times of the last day."""
    now = time.time()
    for start in range(0, rows, FILE_ROWS):
        count = min(FILE_ROWS, rows - start)
        columns: dict[str, object] = dict(make_columns(count, COLUMNS, start))
        columns["timestamp"] = [now - 86_000 * (start + row) / rows for row in range(count)]
        if ids:
            columns["id"] = [uuid4().hex for _ in range(count)]
        table, path = pa.table(columns), directory / f"part-{start}.{form}"
        if form == "parquet":
            pq.write_table(table, path)
        elif form == "csv":
            pyarrow.csv.write_csv(table, path)
        else:
            table.to_pandas().to_json(path, orient="records", lines=True)


def push(directory: Path, port: int) -> tuple[str, float]:
    """First line that the command prints, and its CPU time in seconds."""
    command = [sys.executable, "-m", "exporter", "push", str(directory), "--model", "bench", "--version", "1"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXPORTER_")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, "--exporter", f"http://127.0.0.1:{port}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout.splitlines()[0], seconds


def main(rows: int, chosen: Sequence[str]) -> None:
    print(f"mlflow-exporter push, {COLUMNS} columns, the exporter on the same machine; rows/s")
    print(f"  {'':<26}{'wall':>10}{'again':>10}{'CPU here':>12}{'CPU there':>12}")
    with tempfile.TemporaryDirectory(prefix="bench-push-") as name:
        for form, (suffix, ids, share, target) in FORMS.items():
            if chosen and form not in chosen:
                continue
            directory = Path(name) / form
            directory.mkdir()
            count = int(rows * share)
            write(directory, suffix, count, ids=ids)
            make_store(store := f"sqlite:///{name}/{form}.db")
            with running(store) as service:
                there = service.cpu_seconds
                first, here = push(directory, service.port)
                there = service.cpu_seconds - there
                again, _ = push(directory, service.port)  # of which nothing counts
            rates = [line.rpartition(", ")[2].removesuffix(" rows/s") for line in (first, again)]
            cpu = f"{count / here:>12,.0f}{count / there:>12,.0f}"
            print(f"  {form:<26}{rates[0]:>10}{rates[1]:>10}{cpu}  {target}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else ROWS, sys.argv[2:])

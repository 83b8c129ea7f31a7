"""Fold the rows of Parquet files, in one process and with Spark, and compare with rows that are posted.

python tests/benchmarks/bench_folding.py [rows [columns]]

All counts have to be equal, and sums of floats within 1e-9. CPU time is that of all processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exporter.folding.bodies import bodies
from exporter.folding.dataset import fold_files
from exporter.folding.part import Part, read_part
from exporter.folding.reference_document import FoldingReference
from tests.support.fakes import FakeRegistry
from tests.support.folded import (
    assert_same_counts,
    encode_document,
    post_body,
    post_table,
    reference_of,
)
from tests.support.programs import find_program
from tests.support.rig import NOON, Rig

FILE_ROWS, POST_ROWS = 1_250_000, 100_000
ROWS, COLUMNS = 1_000_000, 20
SCRIPT = Path(__file__).parents[1] / "support" / "spark_fold.py"


def make_rows(rows: int, columns: int, seed: int) -> pa.Table:
    """Rows of a day, of a calibrated binary model: numbers and four categories, with labels of two thirds."""
    random = np.random.default_rng(seed)
    score = random.random(rows)
    table = {f"x{k:02d}": random.normal(k, 1 + k, rows) for k in range(columns - 4)}
    table |= {f"c{k}": random.choice([f"v{j}" for j in range(6)], rows) for k in range(4)}
    label = pa.array((random.random(rows) < score).astype(np.int64), mask=random.random(rows) < 1 / 3)
    own = {"prediction": (score > 0.5).astype(np.int64), "score": score, "label": label}
    times = NOON - 1 - 86_000 * random.random(rows)
    return pa.table({**table, **own, "latency_seconds": random.exponential(0.02, rows), "timestamp": times})


def write_files(directory: Path, rows: int, columns: int) -> None:
    for number, first in enumerate(range(0, rows, FILE_ROWS)):
        table = make_rows(min(FILE_ROWS, rows - first), columns, number + 1)
        pq.write_table(table, directory / f"{number:03d}.parquet", row_group_size=125_000)


def make_rig(directory: Path, name: str, columns: int) -> Rig:
    registry = FakeRegistry()
    reference = make_rows(20_000, columns, 0).drop_columns(["timestamp", "latency_seconds"])
    registry.register("fraud", reference, alias="champion")
    registry.tag("fraud", "1", segments="c0")
    return Rig(f"sqlite:///{directory}/{name}.db", registry)


def spark_python() -> str | None:
    return os.environ.get("SPARK_PYTHON") or find_program("spark-python")


def cpu_seconds(session: int) -> dict[int, float]:
    """CPU time of the processes of a session, by process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            ticks = int(fields[11]) + int(fields[12])
            found[int(stat.parent.name)] = ticks / os.sysconf("SC_CLK_TCK")
    return found


def run_spark(python: str, document: Path, rows: Path, out: Path) -> float:
    """Fold with Spark; CPU time of all its processes in seconds."""
    command = [python, str(SCRIPT), str(document), str(rows), str(out)]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    most: dict[int, float] = {}
    while process.poll() is None:
        most |= cpu_seconds(process.pid)
        time.sleep(0.1)
    assert process.returncode == 0, "the job failed"
    return sum(most.values())


def send(rig: Rig, reference: FoldingReference, parts: list[Part], source: str) -> int:
    """Send parts; the bytes of all bodies."""
    size = 0
    for body in bodies(parts, reference, source, 1):
        encoded = body.encode(reference)
        size += len(encoded)
        post_body(rig, encoded)
    return size


def say(name: str, rows: int, cpu: float, extra: str = "") -> None:
    print(f"{name:<28}{cpu:>8.1f} s CPU {rows / cpu:>12,.0f} rows/s  {extra}", flush=True)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    columns = int(sys.argv[2]) if len(sys.argv) > 2 else COLUMNS
    with tempfile.TemporaryDirectory(prefix="mlflow-exporter-bench-") as temporary:
        directory = Path(temporary)
        files = directory / "rows"
        files.mkdir()
        write_files(files, rows, columns)
        size = sum(file.stat().st_size for file in files.iterdir())
        print(f"{rows:,} rows x {columns} columns, {size / 1e6:,.0f} MB of Parquet")
        posted = make_rig(directory, "posted", columns)
        reference = reference_of(posted)
        before = time.process_time()
        for file in sorted(files.iterdir()):
            for batch in pq.ParquetFile(file).iter_batches(POST_ROWS):
                post_table(posted, pa.Table.from_batches([batch]))
        say("posted as Arrow", rows, time.process_time() - before)
        before = time.process_time()
        parts = fold_files([files], reference).parts
        cpu = time.process_time() - before
        folded = make_rig(directory, "folded", columns)
        say("folded in one process", rows, cpu, f"{send(folded, reference, parts, 'files'):,} bytes sent")
        assert_same_counts(folded.version(), posted.version())
        before = time.process_time()
        hourly = fold_files([files], reference, hourly=True).parts
        cpu = time.process_time() - before
        other = make_rig(directory, "hourly", columns)
        say("... by hour", rows, cpu, f"{send(other, reference, hourly, 'hourly'):,} bytes sent")
        python = spark_python()
        for name in ("reference", "hourly") if python else ():
            document, out = directory / f"{name}.json", directory / f"{name}.parts"
            document.write_bytes(encode_document(reference))
            cpu = run_spark(str(python), document, files, out)
            lines = out.read_bytes().splitlines()
            found = [read_part(json.loads(line), reference, "") for line in lines]
            spark = make_rig(directory, f"spark-{name}", columns)
            send(spark, reference, found, "spark")
            say(f"folded with Spark, {name}", rows, cpu, f"{sum(map(len, lines)):,} bytes to the driver")
            assert_same_counts(spark.version(), (posted if name == "reference" else other).version())
            spark.stop()
        print("all counts are equal, moments within 1e-9")
        for rig in (posted, folded, other):
            rig.stop()


if __name__ == "__main__":
    main()

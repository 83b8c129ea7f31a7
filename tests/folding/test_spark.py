"""A Spark job folds the partitions of a data frame on its executors, as one process folds the files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.folding.bodies import bodies
from exporter.folding.dataset import fold_files
from exporter.folding.part import read_part
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.folded import (
    assert_same_counts,
    assert_same_parts,
    encode_document,
    make_live_table,
    make_registry,
    post_body,
    post_table,
    reference_of,
)
from tests.support.programs import get_program
from tests.support.rig import Rig

ROWS, FILES = 30_000, 3
SCRIPT = Path(__file__).parents[1] / "support" / "spark_fold.py"
Start = Callable[..., Rig]


@pytest.mark.needs("java", "spark-python")
def test_spark_counts_what_posted_rows_count(start: Start, tmp_path: Path) -> None:
    registry = make_registry("binary")
    posted = start(registry=registry)
    folded = start(registry=registry, store=f"sqlite:///{tmp_path}/folded.db")
    table, reference = make_live_table("binary", ROWS, span_seconds=6 * 3600), reference_of(posted)
    post_table(posted, table)
    rows, document, out = tmp_path / "rows", tmp_path / "reference.json", tmp_path / "parts"
    write(table, rows)
    document.write_bytes(encode_document(reference))
    command = [get_program("spark-python"), str(SCRIPT), str(document), str(rows), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = out.read_bytes().splitlines()
    parts = [read_part(json.loads(line), reference, "") for line in lines]
    assert_same_parts(parts, fold_files([rows], reference).parts)
    assert len(parts) == len({part.key for part in parts})  # the executors have merged them
    for body in bodies(parts, reference, "spark", 1):
        post_body(folded, body.encode(reference))
    assert_same_counts(folded.version(), posted.version())


def write(table: pa.Table, directory: Path) -> None:
    directory.mkdir()
    for number in range(FILES):
        part = table.slice(number * ROWS // FILES, ROWS // FILES)
        pq.write_table(part, directory / f"{number}.parquet")

"""`mlflow-exporter push` to a running exporter: what it sends, and what it says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from exporter.cli import main
from tests.support.api_server import Server
from tests.support.rig import make_table

NOW = time.time()


class Pushed:
    """Exit status, standard output and standard error of a push."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    def count(self, name: str) -> int:
        """Count of a line of the summary, 0 where it has none."""
        lines = [line.split() for line in self.out.splitlines() if line.startswith(f"  {name} ")]
        return int(lines[0][1].replace(",", "")) if lines else 0


Push = Callable[..., Pushed]


@pytest.fixture
def push(server: Server, capsys: pytest.CaptureFixture[str]) -> Push:
    def run(*arguments: str | Path, to: str = "--version=1") -> Pushed:
        target = ["--model", "fraud", *([to] if to else []), "--exporter", str(server.client.base_url)]
        with pytest.raises(SystemExit) as end:
            main(["push", *map(str, arguments), *target])
        said = capsys.readouterr()
        return Pushed(int(end.value.code or 0), said.out, said.err)

    return run


def make_predictions(rows: int, prefix: str = "", seed: int = 3) -> pa.Table:
    """Predictions of the last hour, with ids if there is a prefix."""
    table = make_table(rows, seed).append_column(
        "timestamp", pa.array([NOW - row / 10 for row in range(rows)])
    )
    return table.append_column("id", pa.array([f"{prefix}{row}" for row in range(rows)])) if prefix else table


def write(table: pa.Table, path: Path) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in table.to_pylist()))
    return path


def accepted(server: Server) -> int:
    return server.rows("accepted")


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_every_row_of_a_file_counts_once(server: Server, push: Push, tmp_path: Path, form: str) -> None:
    path = write(make_predictions(1200), tmp_path / f"batch.{form}")
    before = accepted(server)
    first, second = push(path), push(path)
    assert (first.status, first.count("accepted"), second.count("accepted")) == (0, 1200, 0)
    assert (second.status, second.count("duplicates")) == (0, 1200)
    assert accepted(server) - before == 1200
    assert not server.service.fleet.versions["fraud", "1"].unknown_columns

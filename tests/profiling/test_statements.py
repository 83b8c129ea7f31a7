"""Statements of a file about its own columns."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.profiling.data import ReferenceFile
from exporter.profiling.files import read_reference
from exporter.profiling.statements import KEY, MAX_STATEMENT_BYTES, file_statements, with_statements

TABLE = pa.table({"age": [1.0, 2.0], "late": [0, 1], "p1": [0.2, 0.9]})


def write(path: Path, table: pa.Table) -> Path:
    pq.write_table(table, path)
    return path


def test_a_file_states_which_of_its_columns_are_which(tmp_path: Path) -> None:
    table = with_statements(TABLE, {"target": "late", "score": "p1", "split": "test", "task": ""})
    path = write(tmp_path / "r.parquet", table)
    assert file_statements(path) == {"target": "late", "score": "p1", "split": "test"}
    data = read_reference(ReferenceFile(path, "x"), 10)
    assert (data.target, data.score, data.split, data.task) == ("late", "p1", "test", "")
    assert data.table.to_pydict() == TABLE.to_pydict()


def test_a_file_wins_over_what_is_assumed_and_loses_to_what_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "r.parquet", with_statements(TABLE, {"target": "late", "score": "p1"}))
    file = ReferenceFile(path, "x", {"target": "age"}, {"score": "p2", "split": "train"})
    data = read_reference(file, 10)
    assert (data.target, data.score, data.split) == ("age", "p1", "train")


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", '["target"]', "[" * 50_000, '{"target": ["late"], "reference_split": ""}',
     f'{{"target": "{"x" * MAX_STATEMENT_BYTES}"}}'],
    ids=["empty", "no JSON", "list", "deep", "no scalars", "long"],
)  # fmt: skip
def test_other_metadata_states_nothing(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "r.parquet", TABLE.replace_schema_metadata({KEY: text}))
    assert file_statements(path) == {}


def test_other_formats_state_nothing(tmp_path: Path) -> None:
    assert file_statements(tmp_path / "r.csv") == {}

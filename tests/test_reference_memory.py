"""No file makes the service take a gigabyte: the most that a reference takes is measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.tables import MAX_BYTES, MAX_JSON_BYTES

MAX_MEGABYTES = 450  # as much as a service with many models takes itself; compose gives it a gigabyte

# The process is a new one, so that nothing that was freed before hides what is taken.
MEASURE = """
import sys
from pathlib import Path
from exporter.config import Settings
from exporter.errors import ReferenceInvalidError
from exporter.profile import ReferenceData, build_reference
from exporter.tables import read_table

def megabytes(name):
    status = Path("/proc/self/status").read_text()
    return int(status.split(name + ":")[1].split()[0]) / 1024

settings = Settings()
before = megabytes("VmRSS")
try:
    table, notes = read_table(Path(sys.argv[1]), settings.reference_max_rows)
    data = ReferenceData(table, source="test", segments=("segment",))
    del table
    rows = build_reference(data, settings.windows, settings.max_columns).rows
except ReferenceInvalidError:
    rows = 0
print(rows, megabytes("VmHWM") - before)
"""

TEXTS_MEGABYTES = 64  # of which all rows are taken


def measure(path: Path) -> tuple[int, float]:
    """Rows that were taken, 0 where it was refused, and the megabytes that it took at most."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, timeout=120, check=True
    )
    rows, megabytes = done.stdout.split()
    return int(rows), float(megabytes)


def wide_texts(length: int, megabytes: int) -> list[str]:
    """Each another, with a character for which Python takes four bytes for each of the others."""
    return [
        f"{number:08d}\N{GRINNING FACE}" + "x" * (length - 12)
        for number in range(megabytes * 2**20 // length)
    ]


@pytest.mark.parametrize(("length", "role"), [(10_000, "text"), (100, "text"), (10_000, "prediction")])
def test_texts_that_are_all_different(tmp_path: Path, length: int, role: str) -> None:
    texts = wide_texts(length, TEXTS_MEGABYTES)
    table = pa.table({role: texts, "n": np.arange(len(texts)), "segment": ["a"] * len(texts)})
    pq.write_table(table, tmp_path / "r.parquet", use_dictionary=False, row_group_size=2**26 // length // 8)
    rows, megabytes = measure(tmp_path / "r.parquet")
    assert rows == len(texts)
    assert megabytes < MAX_MEGABYTES


def test_many_columns_of_short_texts_and_large_integers(tmp_path: Path) -> None:
    rows = 200_000
    texts = pa.array([f"{number:07d}" for number in range(rows)])
    numbers = pa.array(2**60 + np.arange(rows))
    table = pa.table({f"{k}": texts if k % 2 else numbers for k in range(20)} | {"segment": ["a"] * rows})
    pq.write_table(table, tmp_path / "r.parquet", use_dictionary=False, row_group_size=50_000)
    found, megabytes = measure(tmp_path / "r.parquet")
    assert found == rows
    assert megabytes < MAX_MEGABYTES


def test_a_dictionary_of_a_hundred_megabytes(tmp_path: Path) -> None:
    texts = wide_texts(100, 100)
    table = pa.table({"text": pa.array(texts).dictionary_encode(), "n": np.arange(len(texts))})
    pq.write_table(table, tmp_path / "r.parquet", row_group_size=500_000)
    assert measure(tmp_path / "r.parquet")[1] < MAX_MEGABYTES


@pytest.mark.parametrize("line", ["{number}\n", "{number}\N{GRINNING FACE}" + "x" * 2000 + "\n"], ids=len)
def test_csv_of_the_largest_size(tmp_path: Path, line: str) -> None:
    stretch = "".join(line.format(number=number) for number in range(2**22 // len(line)))
    path = tmp_path / "r.csv"
    with path.open("w") as file:
        file.write("x\n")
        file.writelines([stretch] * (MAX_BYTES[".csv"] // len(stretch.encode())))
    rows, megabytes = measure(path)
    assert rows > 0
    assert megabytes < MAX_MEGABYTES


@pytest.mark.parametrize("value", ['"ab"', "[1,2]", '{"a":1}'])
def test_json_of_as_many_objects_as_are_taken(tmp_path: Path, value: str) -> None:
    size = sum(value.count(mark) * size for mark, size in ((",", 48), ("[", 80), ("{", 184))) + 48
    count = int(0.98 * MAX_JSON_BYTES / (size + 2 * (len(value) + 1)))
    path = tmp_path / "r.json"
    path.write_text(f'{{"x":[{",".join([value] * count)}]}}')
    assert measure(path)[1] < MAX_MEGABYTES

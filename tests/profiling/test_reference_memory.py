"""No file makes the service take a gigabyte: the most that a reference takes is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from exporter.profiling.files import MAX_BYTES, MAX_JSON_BYTES
from exporter.profiling.memory import MAX_ARENAS
from exporter.settings import Settings

MAX_LEFT_MEGABYTES = 200
MAX_MEGABYTES = 450  # as much as a service with many models takes itself; compose gives it a gigabyte

# In a process of its own, where nothing else takes memory. What one reference leaves counts for the next.
MEASURE = """
import contextlib, sys
from pathlib import Path
from exporter.settings import Settings
from exporter.errors import ReferenceInvalidError
from exporter.profiling.memory import release_memory
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.settings import Settings
from exporter.profiling.files import read_table

def megabytes(name):
    status = Path("/proc/self/status").read_text()
    return int(status.split(name + ":")[1].split()[0]) / 1024

def profile(path):
    try:
        data = ReferenceData(
            read_table(path, settings.reference_max_rows)[0], source="test", segments=("segment",)
        )
        return build_reference(data, settings.windows, settings.max_columns).rows
    except ReferenceInvalidError:
        return 0

settings = Settings()
before = megabytes("VmRSS")
for line in sys.stdin:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    rows = profile(Path(line.strip()))
    peak = megabytes("VmHWM") - before
    release_memory()
    print(rows, peak, megabytes("VmRSS") - before, flush=True)
"""

TEXTS_MEGABYTES = 64  # of which all rows are taken
Measure = Callable[[Path], tuple[int, float]]


@pytest.fixture(scope="module")
def measure() -> Iterator[Measure]:
    """Gives the rows that were taken, 0 where it was refused, and the megabytes that it took at most."""
    command = [sys.executable, "-c", MEASURE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def ask(path: Path) -> tuple[int, float]:
            print(path, file=stdin, flush=True)
            rows, peak, left = stdout.readline().split()
            path.unlink()
            assert float(left) < MAX_LEFT_MEGABYTES
            return int(rows), float(peak)

        yield ask
        stdin.close()
        assert process.wait() == 0


def wide_texts(length: int, megabytes: int) -> pa.Array:
    """Each another, with a character for which Python takes four bytes for each of the others."""
    numbers = pa.array(10**7 + np.arange(megabytes * 2**20 // length)).cast(pa.string())
    return pc.binary_join_element_wise(numbers, "\N{GRINNING FACE}" + "x" * (length - 12), "")


@pytest.mark.parametrize(("length", "role"), [(10_000, "text"), (100, "text"), (10_000, "prediction")])
def test_texts_that_are_all_different(measure: Measure, tmp_path: Path, length: int, role: str) -> None:
    texts = wide_texts(length, TEXTS_MEGABYTES)
    table = pa.table({role: texts, "n": np.arange(len(texts)), "segment": ["a"] * len(texts)})
    pq.write_table(table, tmp_path / "r.parquet", use_dictionary=False, row_group_size=2**26 // length // 8)
    rows, megabytes = measure(tmp_path / "r.parquet")
    assert rows == len(texts)
    assert megabytes < MAX_MEGABYTES


def test_many_columns_of_short_texts_and_large_integers(measure: Measure, tmp_path: Path) -> None:
    rows = 120_000
    texts = pa.array([f"{number:07d}" for number in range(rows)])
    numbers = pa.array(2**60 + np.arange(rows))
    table = pa.table({f"{k}": texts if k % 2 else numbers for k in range(20)} | {"segment": ["a"] * rows})
    pq.write_table(table, tmp_path / "r.parquet", use_dictionary=False, row_group_size=50_000)
    found, megabytes = measure(tmp_path / "r.parquet")
    assert found == rows
    assert megabytes < MAX_MEGABYTES


def test_a_dictionary_of_a_hundred_megabytes(measure: Measure, tmp_path: Path) -> None:
    texts = wide_texts(100, 100)
    table = pa.table({"text": texts.dictionary_encode(), "n": np.arange(len(texts))})
    pq.write_table(table, tmp_path / "r.parquet", row_group_size=500_000)
    assert measure(tmp_path / "r.parquet")[1] < MAX_MEGABYTES


@pytest.mark.parametrize("line", ["{number}\n", "{number}\N{GRINNING FACE}" + "x" * 2000 + "\n"], ids=len)
def test_csv_of_the_largest_size(measure: Measure, tmp_path: Path, line: str) -> None:
    stretch = "".join(line.format(number=number) for number in range(2**22 // len(line)))
    path = tmp_path / "r.csv"
    with path.open("w") as file:
        file.write("x\n")
        file.writelines([stretch] * (MAX_BYTES[".csv"] // len(stretch.encode())))
    rows, megabytes = measure(path)
    assert rows > 0
    assert megabytes < MAX_MEGABYTES


def test_json_of_as_many_texts_as_are_taken(measure: Measure, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    count = MAX_JSON_BYTES // (56 + 2 * len('"ab",')) - 1000
    path.write_text('{"x":[' + ",".join(['"ab"'] * count) + "]}")
    rows, megabytes = measure(path)
    assert rows == Settings.reference_max_rows
    assert megabytes < MAX_MEGABYTES


ARENAS = """
import ctypes, threading
from exporter.profiling.memory import limit_arenas
limit_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(20)
def allocate():
    libc.malloc(1000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def test_threads_share_few_arenas() -> None:
    told = subprocess.run([sys.executable, "-c", ARENAS], capture_output=True, text=True, check=True).stdout
    assert 1 <= told.count("<heap nr=") <= MAX_ARENAS

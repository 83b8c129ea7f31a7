"""References are profiled in a child process: none of the memory is the parent's, and no file can end it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from exporter.config.sampling import SampleConfig
from exporter.errors import ReferenceInvalidError
from exporter.isolation import Children
from exporter.profiling import isolated
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData, ReferenceFile
from exporter.profiling.isolated import profile
from exporter.reference.profile import decode_reference
from exporter.sampling.rows import RowsToKeep
from exporter.settings import Settings
from tests.support.hostile import make_nested_parquet
from tests.support.rig import make_table

SETTINGS = Settings()
KEEP = RowsToKeep(SampleConfig(), b"")


def write(path: Path, content: pa.Table | bytes) -> ReferenceFile:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        pq.write_table(content, path)
    return ReferenceFile(path, "test", {"task": "binary"})


def test_a_table_and_a_file_of_it_give_the_reference_that_they_give_here(tmp_path: Path) -> None:
    table = make_table()
    data = ReferenceData(table, "test", task="binary")
    here = build_reference(data, SETTINGS.windows, SETTINGS.max_columns)
    assert profile(data, SETTINGS).reference.digest == here.digest
    assert profile(write(tmp_path / "r.parquet", table), SETTINGS).reference.digest == here.digest


def test_rows_come_with_the_reference_that_asks_for_them(tmp_path: Path) -> None:
    file = write(tmp_path / "r.parquet", make_table(100))
    assert profile(file, SETTINGS).rows == b""
    profiled = profile(file, SETTINGS, KEEP)
    assert profiled.reference.rows == 100
    assert pq.read_table(pa.BufferReader(profiled.rows)).num_rows == 100


@pytest.mark.parametrize("error", [MemoryError, pa.ArrowInvalid("odd")])
def test_a_reference_is_profiled_though_its_rows_cannot_be_kept(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(isolated, "kept_rows", fail)
    answer = isolated._profile(ReferenceData(make_table(100), "test"), SETTINGS, KEEP)
    assert decode_reference(answer[8:]).rows == 100


def test_what_is_wrong_with_a_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReferenceInvalidError, match=r"^'r.parquet' cannot be read as parquet: "):
        profile(write(tmp_path / "r.parquet", b"no parquet"), SETTINGS)


def test_a_time_zone_of_odd_bytes_is_said(tmp_path: Path) -> None:
    """Arrow decodes the name of a column's zone when it is asked for, long after the file was read."""
    schema = pa.schema({"moment": pa.timestamp("us", "UTC")}).serialize().to_pybytes()
    damaged = pa.ipc.read_schema(pa.BufferReader(schema.replace(b"UTC", b"\xa5TC")))
    moments = pa.array(range(50), pa.int64()).view(damaged.field("moment").type)
    table = pa.Table.from_arrays([moments], schema=damaged)
    with pytest.raises(ReferenceInvalidError, match=r"^'r.parquet' cannot be read: 'utf-8' codec"):
        profile(write(tmp_path / "r.parquet", table), SETTINGS)


def test_a_file_that_ends_its_reader_is_invalid_and_the_next_one_is_profiled(tmp_path: Path) -> None:
    harmful = write(tmp_path / "harmful.parquet", make_nested_parquet())
    with pytest.raises(ReferenceInvalidError, match=r"^'harmful.parquet' cannot be (profiled: its|read as)"):
        profile(harmful, SETTINGS)
    assert profile(write(tmp_path / "r.parquet", make_table(10)), SETTINGS).reference.rows == 10


def test_a_file_that_takes_too_much_memory_is_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = Children(
        1, [isolated.__name__], 100 * 2**20, isolated.PROFILING_SECONDS, isolated.MAX_ENCODED_BYTES
    )
    monkeypatch.setattr(isolated, "_children", lambda: children)
    texts = pa.array(["x" * 100_000] * 1000)
    options = {"use_dictionary": False, "column_encoding": {"x": "DELTA_BYTE_ARRAY"}}
    pq.write_table(pa.table({"x": texts}), tmp_path / "r.parquet", **options)
    assert (tmp_path / "r.parquet").stat().st_size < 2**20
    message = r"^'r.parquet' cannot be profiled: it takes more than 100 MB of memory; a sample of its rows"
    with pytest.raises(ReferenceInvalidError, match=message):
        profile(ReferenceFile(tmp_path / "r.parquet", "test"), SETTINGS)
    children.close()


MEASURE = """
import sys
from pathlib import Path
from exporter.profiling.data import ReferenceFile
from exporter.profiling.isolated import profile
from exporter.settings import Settings

def megabytes(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) / 1024

before = megabytes("VmRSS")
rows = profile(ReferenceFile(Path(sys.argv[1]), "test"), Settings()).reference.rows
print(rows, megabytes("VmHWM") - before)
"""


def test_a_reference_of_long_different_texts_fits(tmp_path: Path) -> None:
    # A character for which Python takes four bytes for each of the others.
    numbers = pa.array(10**7 + np.arange(600_000)).cast(pa.string())
    texts = pc.binary_join_element_wise(numbers, "\N{GRINNING FACE}" + "x" * 80, "")
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"text": texts, "n": np.arange(len(texts))}), path, use_dictionary=False)
    assert profile(ReferenceFile(path, "test"), SETTINGS).reference.rows == len(texts)


def test_the_memory_of_the_parent_stays_flat(tmp_path: Path) -> None:
    rows = 100_000
    random = np.random.default_rng(0)
    columns = {f"n{number}": random.normal(size=rows) for number in range(15)}
    texts = {f"t{number}": pa.array(random.integers(0, 10**5, rows)).cast(pa.string()) for number in range(4)}
    pq.write_table(pa.table({**columns, **texts, "prediction": np.arange(rows) % 2}), tmp_path / "r.parquet")
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "r.parquet")]
    found, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(found) == rows
    assert float(peak) < 20

"""Files of reference data -> Arrow tables of bounded size. Parquet, CSV and JSON, told apart by extension."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from exporter.errors import ReferenceInvalidError

# Parquet is read in batches; CSV is in memory as a whole once, JSON several times over as Python objects.
MAX_BYTES = {".parquet": 512 * 2**20, ".csv": 128 * 2**20, ".json": 32 * 2**20, ".jsonl": 32 * 2**20}
MAX_CELLS = 10_000_000  # rows x columns: 80 MB of numbers, twice that while they are read
MAX_PARQUET_ROWS = 10**9 - 1  # numpy's limit for a hypergeometric draw
BATCH_ROWS = 65_536
BUFFER_BYTES = 2**20
SAMPLE_SEED = 0  # the same file has to give the same reference


def max_bytes(name: str) -> int:
    """How large a file of this name may be.

    Raises:
        ReferenceInvalidError: the extension is none that can be read.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in MAX_BYTES:
        raise ReferenceInvalidError(f"{name!r} does not end in {', '.join(MAX_BYTES)}")
    return MAX_BYTES[suffix]


def check_size(name: str, size_bytes: int) -> None:
    """
    Raises:
        ReferenceInvalidError: the file is larger than one with this extension may be.
    """
    limit = max_bytes(name)
    if size_bytes > limit:
        raise ReferenceInvalidError(
            f"{name!r} has {size_bytes / 2**20:,.0f} MB, more than {limit / 2**20:,.0f} MB are not read; "
            "a sample of the rows, as Parquet, is as good a reference"
        )


def read_table(path: Path, max_rows: int) -> tuple[pa.Table, list[str]]:
    """Read a file and say what was left out: a uniform sample in the file's order where it has more rows.

    Raises:
        ReferenceInvalidError: not readable, no rows, or no columns.
    """
    check_size(path.name, path.stat().st_size)
    readers = {".parquet": _open_parquet, ".csv": _open_csv}
    try:
        rows, schema, batches = readers.get(path.suffix.lower(), _open_json)(path)
        if not schema.names:
            raise ReferenceInvalidError(f"{path.name!r} has no columns")
        if rows == 0:
            raise ReferenceInvalidError(f"{path.name!r} has no rows")
        repeated = sorted({name for name in schema.names if schema.names.count(name) > 1})
        if repeated:
            raise ReferenceInvalidError(f"{path.name!r} has several columns named {repeated[0]!r}")
        wanted = max(1, min(rows, max_rows, MAX_CELLS // len(schema.names)))
        table = pa.Table.from_batches(_sample(batches, rows, wanted), schema)
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ReferenceInvalidError(f"{path.name!r} cannot be read as {path.suffix[1:]}: {reason}") from error
    pa.default_memory_pool().release_unused()
    notes = []
    if wanted < rows:
        notes.append(f"a uniform sample of {wanted:,} of {rows:,} rows")
    # pandas writes its row numbers along when they are not 0, 1, 2, ...
    indices = [name for name in schema.names if name == "" or re.fullmatch(r"__index_level_\d+__", name)]
    if indices:
        notes.append("row numbers left out (a column without a name)")
        table = table.drop_columns(indices)
    if not table.column_names:
        raise ReferenceInvalidError(f"{path.name!r} has no columns but row numbers")
    return table, notes


def _sample(batches: Iterable[pa.RecordBatch], rows: int, wanted: int) -> Iterator[pa.RecordBatch]:
    """`wanted` of `rows` rows, every subset equally likely, with one batch in memory at a time.

    How many of a batch are among them is hypergeometric given those before it.
    """
    generator = np.random.default_rng(SAMPLE_SEED)
    for batch in batches:
        if wanted == rows:
            yield batch
            continue
        count = int(generator.hypergeometric(wanted, rows - wanted, batch.num_rows))
        yield batch.take(pa.array(np.sort(generator.choice(batch.num_rows, count, replace=False))))
        rows -= batch.num_rows
        wanted -= count


_Opened = tuple[int, pa.Schema, Iterable[pa.RecordBatch]]


def _open_parquet(path: Path) -> _Opened:
    # By default it reads a row group's columns ahead, half a gigabyte for 20 columns of a million rows.
    file = pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES)
    if file.metadata.num_rows > MAX_PARQUET_ROWS:
        raise ReferenceInvalidError(f"{path.name!r} has {file.metadata.num_rows:,} rows")
    return (
        file.metadata.num_rows,
        file.schema_arrow.remove_metadata(),
        file.iter_batches(BATCH_ROWS, use_threads=False),
    )


def _open_csv(path: Path) -> _Opened:
    table = pyarrow.csv.read_csv(path)
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type):  # an empty text is how CSV says missing
            column = table.column(index)
            table = table.set_column(index, field.name, pc.if_else(pc.equal(column, ""), None, column))
    return table.num_rows, table.schema, table.to_batches(BATCH_ROWS)


def _open_json(path: Path) -> _Opened:
    """Rows as a list or one a line, columns, or `{"columns": [...], "data": [...]}` as `log_table` does."""
    text = path.read_text("utf-8")
    content: Any
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        content = [json.loads(line) for line in text.splitlines() if line.strip()]
    del text
    columns = _columns(content)
    arrays = {}
    for name, values in columns.items():
        try:
            arrays[str(name)] = pa.array(values, from_pandas=True)
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise ValueError(f"column {name!r} mixes types ({error})") from error
    table = pa.table(arrays)
    return table.num_rows, table.schema, table.to_batches(BATCH_ROWS)


def _columns(content: Any) -> dict[str, list[Any]]:
    if isinstance(content, dict) and isinstance(content.get("columns"), list):
        rows = content.get("data")
        names = content["columns"]
        if len(set(map(str, names))) < len(names):
            raise ValueError("a name is twice in 'columns'")
        if not isinstance(rows, list) or any(
            not isinstance(row, list) or len(row) != len(names) for row in rows
        ):
            raise ValueError("'data' is not a list of rows with a value for each of 'columns'")
        return {name: [row[index] for row in rows] for index, name in enumerate(names)}
    if isinstance(content, dict) and all(isinstance(values, list) for values in content.values()):
        return content
    if isinstance(content, dict):  # a single line of JSON lines
        content = [content]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ValueError("neither rows nor columns")
    names = dict.fromkeys(name for row in content for name in row)
    return {name: [row.get(name) for row in content] for name in names}

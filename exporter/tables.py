"""Files of reference data -> Arrow tables of bounded size. Parquet, CSV and JSON, told apart by extension."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from exporter.arrays import Ints
from exporter.errors import ReferenceInvalidError, RequestError
from exporter.parquet import BATCH_ROWS, ColumnFile, without_unused

# Parquet is read column by column; CSV is in memory as a whole once, JSON several times over as objects.
MAX_BYTES = {".parquet": 512 * 2**20, ".csv": 128 * 2**20, ".json": 32 * 2**20, ".jsonl": 32 * 2**20}
MAX_CELLS = 10_000_000  # rows x columns: 80 MB of numbers, twice that while they are read
MAX_PARQUET_ROWS = 10**9 - 1  # numpy's limit for a hypergeometric draw
# Of Parquet, the column that is read, and what is kept of all; with its profile a file takes a gigabyte.
MAX_UNPACKED_BYTES = 256 * 2**20
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
        rows, schema, read = readers.get(path.suffix.lower(), _open_json)(path)
        if not schema.names:
            raise ReferenceInvalidError(f"{path.name!r} has no columns")
        if rows == 0:
            raise ReferenceInvalidError(f"{path.name!r} has no rows")
        repeated = sorted({name for name in schema.names if schema.names.count(name) > 1})
        if repeated:
            raise ReferenceInvalidError(f"{path.name!r} has several columns named {repeated[0]!r}")
        wanted = max(1, min(rows, max_rows, MAX_CELLS // len(schema.names)))
        table = read(_choose(rows, wanted) if wanted < rows else None)
    except (pa.ArrowException, RequestError, OSError, ValueError, RecursionError) as error:
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


def _choose(rows: int, wanted: int) -> Ints:
    """Numbers of `wanted` of `rows` rows in order, every subset equally likely.

    How many of a stretch are among them is hypergeometric given those before it.
    """
    generator = np.random.default_rng(SAMPLE_SEED)
    chosen = []
    for start in range(0, rows, BATCH_ROWS):
        length = min(BATCH_ROWS, rows - start)
        count = int(generator.hypergeometric(wanted, rows - start - wanted, length))
        chosen.append(start + np.sort(generator.choice(length, count, replace=False)))
        wanted -= count
    return np.concatenate(chosen)


# Number of rows, columns, and what reads the chosen rows, or all where that is None.
_Opened = tuple[int, pa.Schema, Callable[[Ints | None], pa.Table]]


def _open_parquet(path: Path) -> _Opened:
    file = ColumnFile(path)
    if file.rows > MAX_PARQUET_ROWS:
        raise ReferenceInvalidError(f"{path.name!r} has {file.rows:,} rows")
    return file.rows, file.schema, partial(_read_columns, path.name, file)


def _read_columns(name: str, file: ColumnFile, chosen: Ints | None) -> pa.Table:
    columns: list[pa.ChunkedArray] = []
    kept_bytes = 0
    for column, held_bytes, batches in file.columns():
        if held_bytes > MAX_UNPACKED_BYTES:
            raise _too_large(f"column {column!r} of {name!r} unpacks to {held_bytes / 2**20:,.0f} MB at once")
        arrays = []
        start = 0
        for batch in batches:
            end = start + len(batch)
            if chosen is not None:
                here = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, end)]
                batch = without_unused(batch.take(pa.array(here - start)))
            arrays.append(batch)
            kept_bytes += batch.nbytes
            if kept_bytes > MAX_UNPACKED_BYTES:
                raise _too_large(f"{name!r} unpacks to {kept_bytes / 2**20:,.0f} MB")
            start = end
        columns.append(pa.chunked_array(arrays, file.schema.field(len(columns)).type))
    return pa.Table.from_arrays(columns, schema=file.schema)


def _too_large(what: str) -> ReferenceInvalidError:
    return ReferenceInvalidError(
        f"{what}, more than {MAX_UNPACKED_BYTES / 2**20:,.0f} MB are not taken; "
        "fewer rows, shorter texts or smaller row groups are as good a reference"
    )


def _of_table(table: pa.Table) -> _Opened:
    return (
        table.num_rows,
        table.schema,
        lambda chosen: table if chosen is None else table.take(pa.array(chosen)),
    )


def _open_csv(path: Path) -> _Opened:
    table = pyarrow.csv.read_csv(path)
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type):  # an empty text is how CSV says missing
            column = table.column(index)
            table = table.set_column(index, field.name, pc.if_else(pc.equal(column, ""), None, column))
    return _of_table(table)


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
    return _of_table(table)


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

"""Reads files of reference data as Arrow tables: Parquet, CSV and JSON, told apart by extension.

What a file takes in memory is not guessed in advance, because it is read in a child process. A file of many
rows is sampled, so that ordinary ones fit.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from exporter.errors import ReferenceInvalidError, RequestError
from exporter.formats.arrow_columns import is_text
from exporter.formats.parquet import column_leaves, open_parquet, without_unused
from exporter.formats.texts import first_line
from exporter.payloads.limits import MAX_COLUMNS
from exporter.profiling.csv_types import CsvTypes
from exporter.profiling.data import ReferenceData, ReferenceFile
from exporter.profiling.json_columns import OddColumnError, arrow_array, json_columns, utf8
from exporter.profiling.statements import file_statements
from exporter.typing import Ints

# Of a file on disk. Parquet is read column by column, CSV block by block; JSON is in memory as objects.
MAX_BYTES = {".parquet": 512 * 2**20, ".csv": 128 * 2**20, ".json": 32 * 2**20, ".jsonl": 32 * 2**20}
MAX_CELLS = 10_000_000  # rows x columns: 80 MB of numbers
MAX_KEPT_BYTES = 86 * 2**20  # of the rows that are taken, as far as the file tells
CELLS_OF_NESTED_SCORES = 50  # each row's become an object
MAX_PARQUET_ROWS = 10**9 - 1  # numpy's limit for a hypergeometric draw
BATCH_ROWS = 65_536
BUFFER_BYTES = 2**20
CSV_BLOCK_BYTES = 2**22  # a row is no longer
SAMPLE_SEED = 0  # the same file has to give the same reference


def max_bytes(name: str) -> int:
    """Largest size of a file of this name.

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


def read_reference(file: ReferenceFile, max_rows: int) -> ReferenceData:
    """The data of a file, with what it states itself; as `read_file`."""
    fields = {**file.assumed, **file.said}
    table, notes = read_file(file.path, max_rows, fields.get("inputs", {}))
    fields = {**file.assumed, **file_statements(file.path), **file.said}  # it can be read
    return ReferenceData(table, file.source, notes=tuple(notes), **fields)


def read_file(path: Path, max_rows: int, inputs: Mapping[str, str] = {}) -> tuple[pa.Table, list[str]]:
    """Table of a file, or a uniform sample of it in order, and notes on omissions and decisions.

    Args:
        path: ends in the extension of its format.
        max_rows: limit on the rows of the table.
        inputs: types of columns by name, of the model's signature, for formats that say none.

    Raises:
        ReferenceInvalidError: not readable, no rows, or no columns.
    """
    check_size(path.name, path.stat().st_size)
    readers: dict[str, Callable[[Path], _Opened]] = {
        ".parquet": _open_parquet,
        ".csv": partial(_open_csv, inputs=inputs),
    }
    try:
        rows, names, fitting, read = readers.get(path.suffix.lower(), _open_json)(path)
        if not names:
            raise ReferenceInvalidError(f"{path.name!r} has no columns")
        if len(names) > MAX_COLUMNS:
            detail = f"{path.name!r} has {len(names):,} columns, more than {MAX_COLUMNS:,} are not read"
            raise ReferenceInvalidError(detail)
        if rows == 0:
            raise ReferenceInvalidError(f"{path.name!r} has no rows")
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise ReferenceInvalidError(f"{path.name!r} has several columns named {min(repeated)!r}")
        wanted = max(1, min(rows, max_rows, fitting))
        table, notes = read(choose_rows(rows, wanted) if wanted < rows else None)
    except (pa.ArrowException, csv.Error, RequestError, OSError, ValueError, RecursionError) as error:
        if isinstance(error, MemoryError):  # some of Arrow's exceptions are
            raise
        detail = f"{path.name!r} cannot be read as {path.suffix[1:]}: {first_line(error)}"
        raise ReferenceInvalidError(detail) from error
    if wanted < rows:
        notes.insert(0, f"a uniform sample of {wanted:,} of {rows:,} rows")
    # pandas writes its row numbers along when they are not 0, 1, 2, ...
    indices = [
        name for name in table.column_names if name == "" or re.fullmatch(r"__index_level_\d+__", name)
    ]
    if indices:
        notes.append("row numbers left out (a column without a name)")
        table = table.drop_columns(indices)
    if not table.column_names:
        raise ReferenceInvalidError("; ".join([f"{path.name!r} has no columns that can be used", *notes]))
    return table, notes


def choose_rows(rows: int, wanted: int) -> Ints:
    """Numbers of `wanted` of `rows` rows in order, every subset equally likely.

    How many rows of a stretch are chosen is hypergeometric, given those before it.
    """
    generator = np.random.default_rng(SAMPLE_SEED)
    chosen = []
    for start in range(0, rows, BATCH_ROWS):
        length = min(BATCH_ROWS, rows - start)
        count = int(generator.hypergeometric(wanted, rows - start - wanted, length))
        chosen.append(start + np.sort(generator.choice(length, count, replace=False)))
        wanted -= count
    return np.concatenate(chosen)


# Number of rows, names of columns, how many rows fit in memory, and a function that reads the chosen rows, or
# all where that is None, and returns notes with them.
_Opened = tuple[int, list[str], int, Callable[[Ints | None], tuple[pa.Table, list[str]]]]


def _fitting(rows: int, cells: int, size_bytes: int) -> int:
    """Number of rows that fit in memory, if one has so many cells and all together so many bytes."""
    return min(MAX_CELLS // max(1, cells), MAX_KEPT_BYTES * rows // max(1, size_bytes))


# -- Parquet ------------------------------------------------------------------------------------------------


def _open_parquet(path: Path) -> _Opened:
    # By default it reads a row group's columns ahead, half a gigabyte for 20 columns of a million rows.
    file = open_parquet(path, pre_buffer=False, buffer_size=BUFFER_BYTES)
    rows, schema = file.metadata.num_rows, file.schema_arrow
    if rows > MAX_PARQUET_ROWS:
        raise ReferenceInvalidError(f"{path.name!r} has {rows:,} rows")
    nested = any(field.name == "score" and field.type.num_fields for field in schema)
    cells = len(schema.names) + CELLS_OF_NESTED_SCORES * nested
    size = sum(file.metadata.row_group(k).total_byte_size for k in range(file.num_row_groups))
    return rows, schema.names, _fitting(rows, cells, size), partial(_read_columns, file)


def _read_columns(file: pq.ParquetFile, chosen: Ints | None) -> tuple[pa.Table, list[str]]:
    columns = [
        pa.chunked_array(list(_read_column(file, leaves, chosen)), field.type)
        for field, leaves in column_leaves(file.schema_arrow)
    ]
    return pa.table(columns, file.schema_arrow.names), []


def _read_column(file: pq.ParquetFile, leaves: range, chosen: Ints | None) -> Iterator[pa.Array]:
    """The chosen rows of a column batch by batch."""
    start = 0
    # By number, since a name may be another's path; group by group as nested dictionaries have to be.
    for group in range(file.num_row_groups):
        for batch in file.reader.iter_batches(BATCH_ROWS, [group], list(leaves), use_threads=False):
            array, end = batch.column(0), start + batch.num_rows
            if chosen is not None:
                here = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, end)]
                array = array.take(pa.array(here - start))
            array = without_unused(array)
            array.validate(full=True)
            yield array
            start = end


# -- CSV ----------------------------------------------------------------------------------------------------


def _open_csv(path: Path, inputs: Mapping[str, str]) -> _Opened:
    with _stream_csv(path) as reader:
        names = reader.schema.names
    types, rows = CsvTypes(names, inputs), 0
    with _stream_csv(path, dict.fromkeys(names, pa.binary())) as reader:
        for batch in reader:
            types.look(batch)
            rows += batch.num_rows
    fitting = _fitting(rows, len(names), path.stat().st_size)
    wanted = [name for name in names if name not in types.unreadable]
    return rows, names, fitting, partial(_read_csv, path, wanted, types)


def _stream_csv(path: Path, types: Mapping[str, pa.DataType] | None = None) -> pyarrow.csv.CSVStreamingReader:
    """Reader of the columns with given types, or of all with types guessed from the first block."""
    return pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK_BYTES),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types, include_columns=[*(types or ())]),
    )


def _read_csv(
    path: Path, names: list[str], types: CsvTypes, chosen: Ints | None
) -> tuple[pa.Table, list[str]]:
    """The type of a column depends on the values of all chosen rows, so these become a file first."""
    if chosen is None or not names:
        table = _typed(path, names, types.texts) if names else pa.table({})
    else:
        with NamedTemporaryFile(suffix=".csv") as file:
            _write_sample(path, names, chosen, file.name)
            table = _typed(file.name, names, types.texts)
    table = types.convert(table)
    return table, types.notes


def _write_sample(path: Path, names: list[str], chosen: Ints, sample: str) -> None:
    texts = dict.fromkeys(names, pa.string())
    with _stream_csv(path, texts) as reader, pyarrow.csv.CSVWriter(sample, reader.schema) as writer:
        start = 0
        for batch in reader:
            end = start + batch.num_rows
            here = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, end)]
            writer.write(batch.take(pa.array(here - start)))
            start = end


def _typed(path: Path | str, names: Sequence[str], texts: Collection[str]) -> pa.Table:
    """Columns of a file: `texts` as text, the others of the types of their values."""
    table = pyarrow.csv.read_csv(
        path,
        pyarrow.csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK_BYTES),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(texts, pa.string()), include_columns=names
        ),
    )
    for index, field in enumerate(table.schema):
        if is_text(field.type):  # an empty text is how CSV says missing
            column = table.column(index)
            known = pc.if_else(pc.equal(column, ""), None, column)
            table = table.set_column(index, field.name, known.dictionary_encode())
    return table


# -- JSON ---------------------------------------------------------------------------------------------------


def _open_json(path: Path) -> _Opened:
    """Rows as a list or one a line, columns, or `{"columns": [...], "data": [...]}` as `log_table` does."""
    text = path.read_text("utf-8")
    content: Any
    try:
        content = json.loads(text)
    except json.JSONDecodeError:  # at once, since a name is then made once
        content = json.loads("[" + re.sub(r"\s*\n\s*", ",", text.strip()) + "]")
    del text
    rows, names, values = json_columns(content)

    def read(chosen: Ints | None) -> tuple[pa.Table, list[str]]:
        places = range(rows) if chosen is None else chosen.tolist()
        columns, notes = {}, []
        for name in names:
            try:
                columns[utf8(name)] = arrow_array(values(name, places))
            except OddColumnError as error:
                notes.append(f"column {ascii(name)[1:-1]} is not monitored: {error}")
        return pa.table(columns), notes

    return rows, names, _fitting(rows, len(names), 0), read

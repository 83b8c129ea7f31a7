"""Files of reference data -> Arrow tables of bounded size. Parquet, CSV and JSON, told apart by extension."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from io import StringIO
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from exporter.errors import ReferenceInvalidError, RequestError
from exporter.formats.arrow_columns import decimal_numbers, is_text
from exporter.formats.limits import MAX_COLUMNS
from exporter.formats.parquet import BATCH_ROWS, ColumnFile, without_unused
from exporter.formats.texts import first_line
from exporter.profiling.csv_types import CsvTypes
from exporter.profiling.json_columns import OddColumnError, json_columns, to_arrow, utf8
from exporter.typing import Ints

# Parquet is read column by column, CSV block by block; JSON is in memory as objects.
MAX_BYTES = {".parquet": 512 * 2**20, ".csv": 128 * 2**20, ".json": 32 * 2**20, ".jsonl": 32 * 2**20}
MAX_CELLS = 10_000_000  # rows x columns: 80 MB of numbers, twice that while they are read
CELLS_OF_NESTED_SCORES = 50  # each row's become an object
MAX_PARQUET_ROWS = 10**9 - 1  # numpy's limit for a hypergeometric draw
# Of Parquet, the column that is read, and what is kept of all; with its profile a file takes thrice that.
MAX_UNPACKED_BYTES = 96 * 2**20
MAX_JSON_BYTES = 256 * 2**20  # as objects, of which the shortest take 30 times their text
CSV_BLOCK_BYTES = 2**22  # a row is no longer
FILLED = 0.9  # of that: rows differ in their length
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


def read_table(path: Path, max_rows: int, inputs: Mapping[str, str] = {}) -> tuple[pa.Table, list[str]]:
    """Table of a file, or a uniform sample of it in order, and notes on omissions and decisions.

    Args:
        path: that ends in the extension of its format.
        max_rows: that are taken at most.
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
            raise _too_wide(path.name, len(names))
        if rows == 0:
            raise ReferenceInvalidError(f"{path.name!r} has no rows")
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise ReferenceInvalidError(f"{path.name!r} has several columns named {min(repeated)!r}")
        wanted = max(1, min(rows, max_rows, fitting))
        table, notes = read(_choose(rows, wanted) if wanted < rows else None)
    except (pa.ArrowException, csv.Error, RequestError, OSError, ValueError, RecursionError) as error:
        detail = f"{path.name!r} cannot be read as {path.suffix[1:]}: {first_line(error)}"
        raise ReferenceInvalidError(detail) from error
    pa.default_memory_pool().release_unused()
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


def _too_wide(name: str, columns: int) -> ReferenceInvalidError:
    return ReferenceInvalidError(f"{name!r} has {columns:,} columns, more than {MAX_COLUMNS:,} are not read")


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


# Number of rows, columns, how many rows fit, and a function that reads the chosen rows, or all where that is
# None, and returns notes with them.
_Opened = tuple[int, list[str], int, Callable[[Ints | None], tuple[pa.Table, list[str]]]]


def _fitting(rows: int, cells: int, size_bytes: int) -> int:
    """How many of the rows may be in memory, if one has so many cells and all together so many bytes."""
    return min(MAX_CELLS // max(1, cells), int(FILLED * MAX_UNPACKED_BYTES * rows / max(1, size_bytes)))


def _open_parquet(path: Path) -> _Opened:
    file = ColumnFile(path)
    if file.rows > MAX_PARQUET_ROWS:
        raise ReferenceInvalidError(f"{path.name!r} has {file.rows:,} rows")
    nested = any(field.name == "score" and field.type.num_fields for field in file.schema)
    cells = len(file.schema.names) + CELLS_OF_NESTED_SCORES * nested
    fitting = _fitting(file.rows, cells, file.kept_bytes)
    return file.rows, file.schema.names, fitting, partial(_read_columns, path.name, file)


def _read_columns(name: str, file: ColumnFile, chosen: Ints | None) -> tuple[pa.Table, list[str]]:
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
            batch = _encode(batch)
            arrays.append(batch)
            kept_bytes += batch.nbytes
            if kept_bytes > MAX_UNPACKED_BYTES:
                raise _too_large(f"{name!r} unpacks to {kept_bytes / 2**20:,.0f} MB")
            start = end
        columns.append(_join(arrays, file.schema.field(len(columns)).type))
    return pa.table(columns, file.schema.names), []


def _encode(array: pa.Array) -> pa.Array:
    """The array in less memory: of texts each once, and decimals as the numbers that they become anyway."""
    if pa.types.is_decimal(array.type):
        return decimal_numbers(array)
    return array.dictionary_encode() if is_text(array.type) else array


def _join(arrays: list[pa.Array], kind: pa.DataType) -> pa.ChunkedArray:
    """A column; texts in one piece, in which a text may be there once for each array.

    To have each of them once would take several times their memory.
    """
    if not arrays or not pa.types.is_dictionary(arrays[0].type):
        return pa.chunked_array(arrays, arrays[0].type if arrays else kind)
    starts = np.cumsum([0, *(len(array.dictionary) for array in arrays)])
    codes = [
        pc.add(array.indices.cast(pa.int64()), int(start)).cast(pa.int32())
        for array, start in zip(arrays, starts, strict=False)
    ]
    dictionary = pa.concat_arrays([array.dictionary for array in arrays])
    return pa.chunked_array([pa.DictionaryArray.from_arrays(pa.concat_arrays(codes), dictionary)])


def _too_large(what: str) -> ReferenceInvalidError:
    return ReferenceInvalidError(
        f"{what}, more than {MAX_UNPACKED_BYTES / 2**20:,.0f} MB are not taken; "
        "fewer rows, shorter texts or smaller row groups are as good a reference"
    )


def _open_csv(path: Path, inputs: Mapping[str, str]) -> _Opened:
    with path.open("rb") as file:  # pyarrow takes a gigabyte to say that there are too many columns
        head = file.read(CSV_BLOCK_BYTES).decode("utf-8", "replace")
    count = len(next(csv.reader(StringIO(head, newline="")), []))
    if count > MAX_COLUMNS:
        raise _too_wide(path.name, count)
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
    """What type a column has is only known with all of its rows, so the chosen ones are a file first."""
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
            parts = [_encode(pc.if_else(pc.equal(a, ""), None, a)) for a in table.column(index).chunks]
            table = table.set_column(index, field.name, _join(parts, field.type))
    return table


def _open_json(path: Path) -> _Opened:
    """Rows as a list or one a line, columns, or `{"columns": [...], "data": [...]}` as `log_table` does."""
    text = path.read_text("utf-8")
    _check_objects(path.name, text)
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
                columns[utf8(name)] = pa.chunked_array([_encode(to_arrow(values(name, places)))])
            except OddColumnError as error:
                notes.append(f"column {ascii(name)[1:-1]} is not monitored: {error}")
        return pa.table(columns), notes

    return rows, names, _fitting(rows, len(names), 0), read


def _check_objects(name: str, text: str) -> None:
    """
    Raises:
        ReferenceInvalidError: Python's objects would take too much memory.
    """
    taken = 2 * sys.getsizeof(text)
    taken += sum(size * text.count(mark) for mark, size in ((",", 56), ("[", 80), ("{", 184)))
    if taken > MAX_JSON_BYTES:
        raise ReferenceInvalidError(
            f"{name!r} would take about {taken / 2**20:,.0f} MB in memory, more than "
            f"{MAX_JSON_BYTES / 2**20:,.0f} MB are not taken; the same as Parquet takes a fraction"
        )

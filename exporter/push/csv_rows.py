"""Reads CSV files as rows.

A column has one type in the whole file: that of the reference's column where the exporter tells it, else that
of the first rows. A value that is no number in a column of numbers stays the text that it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from exporter.errors import ConfigError
from exporter.profiling.csv_types import written_as_text
from exporter.push.assignment import Column, Wanted
from exporter.push.reading import Rows, opened, regroup, rows_of_request
from exporter.push.sources import Source

BLOCK_BYTES = 2**22  # a row is no longer
_NUMBER = r"(?i)^[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|inf(inity)?)$"
_TEXT_KINDS = ("category", "boolean")

Refuse = Callable[[int, str], None]


def read_csv(source: Source, wanted: Wanted, kinds: Mapping[str, str], refuse: Refuse) -> Iterator[Rows]:
    """Rows of a CSV file.

    Args:
        source: the file.
        wanted: of its columns.
        kinds: of the reference's columns, by name.
        refuse: called with the number of a row that cannot be read, and the reason.

    Raises:
        ConfigError, pa.ArrowException, OSError, ValueError: it cannot be read.
    """
    skipped = list[int]()

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        skipped.append(row.number)
        refuse(row.number, f"{row.actual_columns} values for {row.expected_columns} columns")
        return "skip"

    with opened(source) as (file, _), _reader(file, None, lambda _: "skip") as reader:
        names = reader.schema.names
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ConfigError(f"several columns are named `{min(repeated)}`")
    assignment = wanted.assign(names)
    columns = [name for name in assignment.read if name]
    texts = {column for field, column in assignment.own.items() if field == "id"}
    texts |= {name for name in assignment.features if kinds.get(name) in _TEXT_KINDS}
    numbers = {name for name in assignment.features if kinds.get(name) == "number"}
    undecided = [name for name in columns if name not in texts | numbers]
    with opened(source) as (file, share), _reader(file, columns, skip) as reader:
        place = 2  # the names are in row 1
        for arrays in regroup((batch.columns for batch in reader), rows_of_request(len(columns))):
            read = dict(zip(columns, arrays, strict=True))
            texts |= {name for name in undecided if not _are_numbers(read[name])}
            undecided = []
            typed = {n: _texts(a) if n in texts else _numbers(a) for n, a in read.items()}
            rows = _row_numbers(place, len(arrays[0]), skipped)
            place = rows[-1] + 1
            yield Rows(assignment.fields(typed), rows, share(), assignment.unsent)


def _reader(
    file: pa.NativeFile, columns: Sequence[str] | None, skip: Callable[[pyarrow.csv.InvalidRow], str]
) -> pyarrow.csv.CSVStreamingReader:
    """Reader of some columns as texts, or of all to learn their names."""
    return pyarrow.csv.open_csv(
        file,
        pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
        pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(columns or (), pa.string()), include_columns=columns or []
        ),
    )


def _row_numbers(first: int, rows: int, skipped: Sequence[int]) -> Sequence[int]:
    """Numbers of so many rows from the first on, without those that were skipped."""
    between = {number for number in skipped if number >= first}
    if not between:
        return range(first, first + rows)
    numbers, place = list[int](), first
    while len(numbers) < rows:
        if place not in between:
            numbers.append(place)
        place += 1
    return numbers


@cache
def _missing() -> pa.Array:
    """Texts that stand for a missing number. `pa.array` imports pandas, where it is installed."""
    return pa.array(pyarrow.csv.ConvertOptions().null_values)


def _are_numbers(column: pa.Array) -> bool:
    return not written_as_text(column) and isinstance(_numbers(column), pa.Array)


def _texts(column: pa.Array) -> pa.Array:
    """An empty text is how CSV says missing."""
    return pc.if_else(pc.equal(column, ""), None, column)


def _numbers(column: pa.Array) -> Column:
    """Numbers, or a list of numbers and of the texts that are none."""
    trimmed = pc.utf8_trim_whitespace(column)
    trimmed = pc.if_else(pc.is_in(trimmed, _missing()), None, trimmed)
    try:
        return trimmed.cast(pa.float64())
    except pa.ArrowInvalid:
        are = pc.match_substring_regex(trimmed, _NUMBER)
        numbers = pc.if_else(are, trimmed, None).cast(pa.float64()).to_pylist()
        return [
            n if n is not None else text for n, text in zip(numbers, _texts(trimmed).to_pylist(), strict=True)
        ]

"""Types of the columns of a CSV file, in which everything is text.

A column has the type that the model's signature gives it. Without one it is numeric if all of its values are
numbers, unless some are written like codes: `02116` is a postal code, `+491721` a telephone number, and a
float holds only the first digits of the id 12345678901234567890.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from exporter.formats.columns import EXACT_IN_FLOAT
from exporter.formats.texts import listed

TEXT: Final = "string"
NUMBERS: Final = ("integer", "long", "float", "double")  # of MLflow's signatures
# A leading zero, a plus, or 17 and more digits; of 16 digits only some are more than 2^53.
_WRITTEN_AS_TEXT = r"^\s*(-?0[0-9]+(\.[0-9]*)?|\+[0-9.]+([eE][+-]?[0-9]+)?|-?[0-9]{17,})\s*$"
_SIXTEEN_DIGITS = r"^\s*-?[0-9]{16}\s*$"
_LEADING_PLUS = r"^\s*\+?"


class CsvTypes:
    """Types of columns from all of their values; `inputs` as in `ReferenceData`."""

    def __init__(self, names: list[str], inputs: Mapping[str, str]) -> None:
        self._declared = {name: inputs[name] for name in names if name in inputs}
        self._not_utf8: set[str] = set()
        self._written_as_text: set[str] = set()
        self._notes: list[str] = []

    def look(self, batch: pa.RecordBatch) -> None:
        """Look at the next rows; all columns are binary."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name not in self._not_utf8 and not _is_utf8(column):
                self._not_utf8.add(name)
            if name not in self._written_as_text and written_as_text(column):
                self._written_as_text.add(name)

    @property
    def unreadable(self) -> frozenset[str]:
        """Columns that are not UTF-8, and cannot be read."""
        return frozenset(self._not_utf8)

    @property
    def texts(self) -> frozenset[str]:
        """Columns that are text, even if their values look like numbers."""
        declared = {name for name, kind in self._declared.items() if kind == TEXT}
        undeclared = self._written_as_text - self._declared.keys()
        return frozenset(declared | undeclared) - self._not_utf8

    def convert(self, table: pa.Table) -> pa.Table:
        """The table, with numbers in columns that are numeric by the signature and by all of their values."""
        for index, name in enumerate(table.column_names):
            kind, column = self._declared.get(name), table.column(index)
            if kind not in NUMBERS:
                continue
            if pa.types.is_integer(column.type) and kind in ("float", "double"):
                table = table.set_column(index, name, column.cast(pa.float64(), safe=False))
            elif pa.types.is_dictionary(column.type):
                numbers = _as_numbers(column)
                if numbers is None:
                    self._notes.append(
                        f"column {name} has values that are no numbers, though the model's signature says "
                        f"{kind}: it is text"
                    )
                else:
                    table = table.set_column(index, name, numbers)
        return table

    @property
    def notes(self) -> list[str]:
        """Decisions about the types, for people."""
        declared_texts = [name for name, kind in self._declared.items() if kind == TEXT]
        declared_numbers = [n for n in sorted(self._written_as_text) if self._declared.get(n) in NUMBERS]
        found = [name for name in sorted(self._written_as_text) if name not in self._declared]
        notes = []
        if declared_texts:
            notes.append(f"text by the model's signature: {listed(declared_texts)}")
        if declared_numbers:
            notes.append(
                "numbers by the model's signature, though some are written with a leading zero, a plus or "
                f"more digits than a float holds: {listed(declared_numbers)}"
            )
        if found:
            notes.append(
                "text, since a value has a leading zero, a plus or more digits than a float holds "
                f"(the model's signature would say what it is): {listed(found)}"
            )
        if self._not_utf8:
            notes.append(f"not monitored, for it is not UTF-8: {listed(sorted(self._not_utf8))}")
        return notes + self._notes


def _is_utf8(column: pa.Array) -> bool:
    try:
        column.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def written_as_text(column: pa.Array) -> bool:
    """True if some value looks like a number and is a code, by a leading zero, a plus or too many digits."""
    if pc.any(pc.match_substring_regex(column, _WRITTEN_AS_TEXT)).as_py():
        return True
    long = column.filter(pc.match_substring_regex(column, _SIXTEEN_DIGITS))
    if not len(long):
        return False
    numbers = pc.utf8_trim_whitespace(long.cast(pa.string())).cast(pa.int64())
    return bool(pc.any(pc.greater(pc.abs(numbers), EXACT_IN_FLOAT)).as_py())


def _as_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The texts as numbers, None where one is no number."""
    texts = column.combine_chunks()
    try:
        numbers = pc.replace_substring_regex(texts.dictionary, _LEADING_PLUS, "").cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    return pa.chunked_array([numbers.take(texts.indices)])

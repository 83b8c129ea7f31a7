"""Rows are folded into parts that add up."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from exporter.errors import MalformedError
from exporter.folding.fold import MAX_PARTS, Folder
from exporter.folding.part import Part
from exporter.folding.reference_document import FoldingReference
from tests.support.folded import assert_same_parts, make_live_table
from tests.support.rig import NOON


def fold(reference: FoldingReference, *tables: pa.Table, **options: object) -> list[Part]:
    folder = Folder(reference, **options)
    for table in tables:
        folder.add_rows(table)
    return folder.parts


def rows(*times: float | None, **columns: object) -> pa.Table:
    count = len(times)
    given = {
        "x": [0.0] * count,
        "prediction": [1] * count,
        "timestamp": pa.array(times, pa.float64()),
        **columns,
    }
    return pa.table(given)


@pytest.mark.parametrize("hourly", [False, True])
def test_parts_of_parts_are_the_parts_of_all_rows(binary_reference: FoldingReference, hourly: bool) -> None:
    table = make_live_table("binary", 2000, span_seconds=7200)
    whole = fold(binary_reference, table, hourly=hourly)
    merged = Folder(binary_reference, hourly=hourly)
    for first in (0, 700, 900):
        part_of_rows = table.slice(first, {0: 700, 700: 200, 900: 1100}[first])
        merged.add_parts(fold(binary_reference, part_of_rows, hourly=hourly))
    assert_same_parts(merged.parts, whole)
    assert sum(part.rows for part in whole) == 2000
    assert {part.seconds for part in whole} == {3600 if hourly else 300}


def test_a_part_is_of_one_block_of_time(binary_reference: FoldingReference) -> None:
    parts = fold(binary_reference, rows(NOON, NOON + 299.5, NOON + 300))
    assert [(part.start, part.rows, part.newest) for part in parts] == [
        (NOON, 2, NOON + 299.5),
        (NOON + 300, 1, NOON + 300),
    ]


def test_ids_are_not_read(binary_reference: FoldingReference) -> None:
    table = rows(NOON, NOON).append_column("id", pa.array([b"\\xff" * 300, None]))
    (part,) = fold(binary_reference, table)
    assert part.rows == 2


def test_a_row_without_a_time_is_refused_or_gets_the_given_one(binary_reference: FoldingReference) -> None:
    table = rows(NOON, None)
    with pytest.raises(MalformedError) as refused:
        fold(binary_reference, table)
    assert refused.value.where == "timestamp[1]"
    assert [part.start for part in fold(binary_reference, table, untimed_at=NOON - 300)] == [NOON - 300, NOON]


def test_columns_that_the_reference_lacks_are_named(binary_reference: FoldingReference) -> None:
    table = rows(NOON).append_column("zip", pa.array([1])).append_column("colour", pa.array(["red"]))
    (part,) = fold(binary_reference, table)
    assert part.unknown_columns == {"zip", "colour"}


def test_rows_of_too_many_blocks_are_refused(binary_reference: FoldingReference) -> None:
    folder = Folder(binary_reference)
    folder.add_rows(rows(*(300.0 * np.arange(MAX_PARTS))))
    with pytest.raises(MalformedError, match="fold fewer days"):
        folder.add_rows(rows(-1.0))


def test_times_without_sense_end_in_blocks_that_are_not_taken(binary_reference: FoldingReference) -> None:
    parts = fold(binary_reference, rows(-1e300, np.inf))
    assert [part.rows for part in parts] == [1, 1]


def test_a_table_without_predictions_is_refused(binary_reference: FoldingReference) -> None:
    with pytest.raises(MalformedError, match="`prediction` is required"):
        fold(binary_reference, rows(NOON).drop_columns(["prediction"]))

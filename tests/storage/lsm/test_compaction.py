"""Choice of the SSTables that a flush merges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.storage.lsm.bloom import BloomFilter
from exporter.storage.lsm.compaction import TABLE_ROWS, choose_tables
from exporter.storage.lsm.sstable import SSTable

NO_IDS = BloomFilter(np.zeros(1, np.uint64))


def make_tables(sizes: list[int]) -> list[SSTable]:
    return [SSTable(f"labels_1_{k}", 1, k, rows, 1, NO_IDS) for k, rows in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "rows", "merged"),
    [
        ([], 10, []),
        ([20], 10, [20]),
        ([21], 10, []),
        ([60, 20], 10, [20, 60]),
        ([20, 21], 10, []),
        ([TABLE_ROWS], TABLE_ROWS, []),
        ([TABLE_ROWS - 100_000], 100_000, [TABLE_ROWS - 100_000]),
        ([TABLE_ROWS - 99_999], 100_000, []),
    ],
)
def test_small_tables_are_merged_newest_first(sizes: list[int], rows: int, merged: list[int]) -> None:
    assert [table.rows for table in choose_tables(make_tables(sizes), rows)] == merged


@given(st.lists(st.integers(1, TABLE_ROWS), max_size=200))
def test_few_small_tables_are_left(flushes: list[int]) -> None:
    sizes = list[int]()
    for rows in flushes:
        merged = choose_tables(make_tables(sizes), rows)
        sizes = [*sizes[: len(sizes) - len(merged)], rows + sum(table.rows for table in merged)]
        assert all(size <= TABLE_ROWS for size in sizes)
    assert len(sizes) <= 2 * sum(flushes) // TABLE_ROWS + 20

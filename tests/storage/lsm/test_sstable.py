"""SSTables: pages by hash, and the rows of ids in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from exporter.storage.lsm.sstable import (
    count_pages,
    find_rows,
    pages_of,
    pages_with,
    sort_records,
    split_pages,
)
from exporter.storage.rows import PREDICTIONS, StoredPrediction
from tests.storage.lsm.strategies import predictions


@given(st.lists(predictions))
def test_a_page_has_the_rows_whose_hashes_say_so(rows: list[StoredPrediction]) -> None:
    records = sort_records(PREDICTIONS.pack_rows(rows))
    pages = count_pages(len(rows))
    found = []
    for page, numbers, joined in split_pages(records, pages):
        part = PREDICTIONS.decode([(numbers, joined)]).all()
        assert set(pages_of(part.halves, pages).tolist()) == {page}
        found += PREDICTIONS.unpack(part)
    assert found == PREDICTIONS.unpack(records)
    assert sorted(found, key=repr) == sorted(rows, key=repr)
    assert pages_with(records.halves, pages).tolist() == [page for page, _, _ in split_pages(records, pages)]


few_ids = st.tuples(st.integers(0, 3), st.integers(0, 2**64 - 1) | st.integers(0, 1)).map(
    lambda halves: (halves[0] << 62, halves[1])
)


@given(st.lists(st.lists(few_ids), min_size=1, max_size=4), st.data())
def test_all_rows_of_an_id_are_found_in_the_table_where_it_is_sought(
    tables: list[list[tuple[int, int]]], data: st.DataObject
) -> None:
    stored = [sorted(table) for table in tables]
    sought = data.draw(st.lists(st.tuples(st.integers(0, len(tables) - 1), few_ids)))

    def halves(ids: list[tuple[int, int]]) -> Any:
        return np.array(ids, np.uint64).reshape(-1, 2)

    which, places = find_rows(
        halves([each for table in stored for each in table]),
        np.repeat(np.arange(len(stored)), [len(table) for table in stored]),
        halves([each for _, each in sought]),
        np.array([table for table, _ in sought], np.int64),
    )
    flat = [(number, each) for number, table in enumerate(stored) for each in table]
    expected = {
        (k, place) for k, wanted in enumerate(sought) for place, row in enumerate(flat) if row == wanted
    }
    assert set(zip(which.tolist(), places.tolist(), strict=True)) == expected
    assert len(which) == len(expected)

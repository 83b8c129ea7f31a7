"""Rows are what they were after they were put in columns, and after the store had them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.storage.lsm.memtable import Heap
from exporter.storage.lsm.records import Encoded, RecordKind, Records
from exporter.storage.lsm.sstable import count_pages, find_rows, pages_of, sort_records, split_pages
from exporter.storage.rows import LABELS, PREDICTIONS, StoredLabel, StoredPrediction

ids = st.binary(min_size=16, max_size=16)
texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
finite = st.floats(allow_nan=False)
predictions = st.builds(
    StoredPrediction,
    ids,
    st.integers(0, 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1),
    finite,
    texts,
    st.none() | finite,
    texts,
    texts,
)
labels = st.builds(
    StoredLabel, ids, st.integers(0, 2**31 - 1), st.text("01é\0", max_size=3), finite, st.booleans()
)
rows_of_kinds = st.tuples(st.just(PREDICTIONS), st.lists(predictions)) | st.tuples(
    st.just(LABELS), st.lists(labels)
)


@given(rows_of_kinds)
def test_rows_come_out_as_they_went_in(case: tuple[RecordKind[Any], list[Any]]) -> None:
    kind, rows = case
    records = kind.pack_rows(rows)
    assert len(records) == len(rows)
    assert kind.unpack(records) == rows
    assert records.ids == [row.id_hash for row in rows]
    numbers, joined = records.encode()
    assert kind.unpack(Encoded(np.frombuffer(numbers, kind.dtype), joined).all()) == rows


@given(rows_of_kinds, st.data())
def test_some_rows_can_be_taken(case: tuple[RecordKind[Any], list[Any]], data: st.DataObject) -> None:
    kind, rows = case
    places = data.draw(st.lists(st.integers(0, len(rows) - 1)) if rows else st.just([]))
    chosen = np.array(places, np.int64)
    numbers, joined = kind.pack_rows(rows).encode()
    for part in (kind.pack_rows(rows), Encoded(np.frombuffer(numbers, kind.dtype), joined)):
        assert kind.unpack(part.take(chosen)) == [rows[place] for place in places]


@given(st.lists(st.lists(predictions), min_size=1))
def test_records_are_joined_in_order(parts: list[list[StoredPrediction]]) -> None:
    joined = Records.join([PREDICTIONS.pack_rows(rows) for rows in parts])
    assert PREDICTIONS.unpack(joined) == [row for rows in parts for row in rows]


def test_a_text_that_is_missing_at_the_end_takes_no_room() -> None:
    row = StoredPrediction(bytes(16), 1, 0, 0.0, None, None)
    assert PREDICTIONS.pack_rows([row]).texts == [b""]
    assert PREDICTIONS.pack_rows([row._replace(prediction="1")]).texts == [b'["1"]']


# -- pages --------------------------------------------------------------------------------------------------


@given(st.lists(predictions))
def test_a_page_has_the_rows_whose_hashes_say_so(rows: list[StoredPrediction]) -> None:
    records = sort_records(PREDICTIONS.pack_rows(rows))
    pages = count_pages(len(rows))
    found = []
    for page, numbers, joined in split_pages(records, pages):
        part = Encoded(np.frombuffer(numbers, PREDICTIONS.dtype), joined).all()
        assert set(pages_of(part.halves, pages).tolist()) == {page}
        found += PREDICTIONS.unpack(part)
    assert found == PREDICTIONS.unpack(records)
    assert sorted(found, key=repr) == sorted(rows, key=repr)


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


# -- the heap -----------------------------------------------------------------------------------------------


@pytest.fixture
def heap() -> Heap:
    return Heap(np.empty(0, LABELS.dtype))


def label(number: int, text: str) -> StoredLabel:
    return StoredLabel(number.to_bytes(16, "little"), 1, text, 0.0, False)


def test_a_heap_knows_all_rows_of_an_id(heap: Heap) -> None:
    assert heap.append(LABELS.pack_rows([label(1, "a"), label(2, "b")])) == 0
    assert heap.append(LABELS.pack_rows([label(2, "c"), label(3, "d"), label(3, "e")])) == 2
    assert heap.append(LABELS.pack_rows([label(2, "f")])) == 5
    wanted = [label(number, "").id_hash for number in (3, 4, 2)]
    which, places = heap.find(wanted)
    assert which.tolist() == [0, 0, 2, 2, 2]
    assert [row.label for row in LABELS.unpack(heap.take(places))] == ["d", "e", "b", "c", "f"]


def test_what_a_heap_replaces_is_told_by_the_chunk(heap: Heap) -> None:
    for start in range(0, 6, 2):
        heap.append(LABELS.pack_rows([label(start, "a"), label(start + 1, "b")]))
    changed = heap.replace(np.array([1, 4]), LABELS.pack_rows([label(1, "new"), label(4, "newer")]))
    assert {start: [row.label for row in LABELS.unpack(chunk)] for start, chunk in changed.items()} == {
        0: ["a", "new"],
        4: ["newer", "b"],
    }
    assert [row.label for row in LABELS.unpack(heap.all())] == ["a", "new", "a", "b", "newer", "b"]

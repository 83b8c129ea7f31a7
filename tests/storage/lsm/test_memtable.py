"""The memtable: rows in order of arrival, and their pages in the store."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.storage.lsm.memtable import Memtable
from exporter.storage.rows import LABELS, PREDICTIONS, StoredLabel, StoredPrediction


@pytest.fixture
def memtable() -> Memtable[StoredLabel]:
    return Memtable(LABELS)


def label(number: int, text: str) -> StoredLabel:
    return StoredLabel(number.to_bytes(16, "little"), 1, text, 0.0, False)


def put(memtable: Memtable[StoredLabel], *rows: StoredLabel) -> int:
    """Number of the page of the rows."""
    return memtable.put(LABELS.pack_rows(rows))[0]


def test_all_rows_of_an_id_are_found(memtable: Memtable[StoredLabel]) -> None:
    assert put(memtable, label(1, "a"), label(2, "b")) == 0
    assert put(memtable, label(2, "c"), label(3, "d"), label(3, "e")) == 2
    assert put(memtable, label(2, "f")) == 5
    wanted = [label(number, "").id_hash for number in (3, 4, 2)]
    positions, offsets = memtable.find(wanted)
    assert positions.tolist() == [0, 0, 2, 2, 2]
    assert [row.label for row in LABELS.unpack(memtable.take(offsets))] == ["d", "e", "b", "c", "f"]


def test_a_replacement_returns_the_pages_that_have_changed(memtable: Memtable[StoredLabel]) -> None:
    for start in range(0, 6, 2):
        put(memtable, label(start, "a"), label(start + 1, "b"))
    rows = [label(1, "new"), label(9, "not here"), label(4, "newer")]
    found, pages = memtable.replace(LABELS.pack_rows(rows))
    assert found.tolist() == [0, 2]
    assert {n: [row.label for row in LABELS.unpack(LABELS.decode([page]).all())] for n, *page in pages} == {
        0: ["a", "new"],
        4: ["newer", "b"],
    }
    assert [row.label for row in LABELS.unpack(memtable.all())] == ["a", "new", "a", "b", "newer", "b"]


def test_a_replacement_goes_by_the_whole_key() -> None:
    memtable = Memtable(PREDICTIONS)
    rows = [StoredPrediction(bytes(16), version, 0, 0.0, "1", None) for version in (1, 2)]
    memtable.put(PREDICTIONS.pack_rows(rows))
    second = rows[1]._replace(payload=7)
    found, _ = memtable.replace(PREDICTIONS.pack_rows([second, rows[0]._replace(version_id=3)]))
    assert found.tolist() == [0]
    assert PREDICTIONS.unpack(memtable.all()) == [rows[0], second]


def test_it_goes_on_where_its_pages_in_the_store_end(memtable: Memtable[StoredLabel]) -> None:
    pages = [memtable.put(LABELS.pack_rows([label(k, "a"), label(k + 1, "b")])) for k in (0, 2)]
    again = Memtable.load(LABELS, pages)
    assert LABELS.unpack(again.all()) == LABELS.unpack(memtable.all())
    assert put(again, label(4, "c")) == 4
    _, changed = again.replace(LABELS.pack_rows([label(2, "new")]))
    assert [page[0] for page in changed] == [2]
    assert np.array_equal(again.find([label(3, "").id_hash])[1], [3])

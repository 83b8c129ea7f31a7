"""Rows are found by id, whatever was put, flushed, rolled back or reopened in between."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import StoreError
from exporter.storage.lsm import compaction, pages, sstable, tree
from exporter.storage.rows import PREDICTIONS, StoredPrediction
from exporter.storage.store import Store
from exporter.storage.transaction import Transaction

DAY = 20_500


def hash_of(number: int) -> bytes:
    return number.to_bytes(8, "little") * 2


def make_row(number: int, version: int = 1, payload: int = 0, day: int = DAY) -> StoredPrediction:
    return StoredPrediction(hash_of(number), version, payload, day * 86400.0, "1", 0.5)


@pytest.fixture(autouse=True)
def small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that a few rows fill them."""
    monkeypatch.setattr(tree, "MEMTABLE_ROWS", 5)
    monkeypatch.setattr(compaction, "TABLE_ROWS", 8)
    monkeypatch.setattr(tree, "PAGES_AT_ONCE", 2)
    monkeypatch.setattr(tree, "IDS_AT_ONCE", 3)
    monkeypatch.setattr(sstable, "PAGE_ROWS", 2)
    monkeypatch.setattr(pages, "CONCURRENT_PAGES", 1)


def tables_of(store: Store) -> list[str]:
    with store.begin() as transaction:
        names = sa.inspect(transaction.connection).get_table_names()
    return sorted(name for name in names if name.startswith("predictions_"))


def insert(store: Store, *rows: StoredPrediction, day: int = DAY) -> None:
    store.flush()
    with store.begin() as transaction:
        transaction.insert_predictions(day, PREDICTIONS.pack_rows(rows))


def find(store: Store, numbers: list[int], days: list[int] | None = None) -> set[tuple[int, int, int, int]]:
    """Day, number, version and payload of what is there."""
    with store.begin() as transaction:
        return find_within(transaction, numbers, days)


def find_within(
    transaction: Transaction, numbers: list[int], days: list[int] | None = None
) -> set[tuple[int, int, int, int]]:
    hashes = [hash_of(number) for number in numbers]
    found = transaction.predictions.get_many(hashes, days)
    rows = PREDICTIONS.unpack(found.records)
    assert [row.id_hash for row in rows] == [hashes[number] for number in found.positions.tolist()]
    keys = [
        (day, int.from_bytes(row.id_hash[:8], "little"), row.version_id, row.payload)
        for day, row in zip(found.days.tolist(), rows, strict=True)
    ]
    assert len(keys) == len(set(keys)), "one was found twice"
    return set(keys)


def read(store: Store, day: int) -> list[tuple[int, int, int]]:
    """Number, version and payload of every row of a day."""
    with store.begin() as transaction:
        parts = list(transaction.predictions.scan(day))
    rows = [row for part in parts for row in PREDICTIONS.unpack(part)]
    return sorted((int.from_bytes(row.id_hash[:8], "little"), row.version_id, row.payload) for row in rows)


def test_rows_are_found_before_and_after_a_flush(store: Store) -> None:
    insert(store, *(make_row(n) for n in range(5)))
    assert tables_of(store) == [f"predictions_{DAY}"]
    assert find(store, [3, 4, 5]) == {(DAY, 3, 1, 0), (DAY, 4, 1, 0)}
    insert(store, make_row(5))
    assert tables_of(store) == [f"predictions_{DAY}", f"predictions_{DAY}_0"]
    assert find(store, [3, 4, 5, 6]) == {(DAY, 3, 1, 0), (DAY, 4, 1, 0), (DAY, 5, 1, 0)}


def test_a_full_table_is_left_alone(store: Store) -> None:
    for first in (0, 5, 10):
        insert(store, *(make_row(n) for n in range(first, first + 5)))
    store.flush()
    assert tables_of(store) == [f"predictions_{DAY}_{number}" for number in range(3)]
    assert len(find(store, list(range(20)))) == 15


def test_small_tables_are_merged(store: Store) -> None:
    for number in range(6):  # one row of this day, and what fills the memtables
        insert(store, make_row(number))
        insert(store, *(make_row(100 + 5 * number + k) for k in range(5)), day=DAY + 1)
    store.flush()
    assert len([name for name in tables_of(store) if name.startswith(f"predictions_{DAY}_")]) < 4
    assert find(store, list(range(10))) == {(DAY, number, 1, 0) for number in range(6)}
    assert read(store, DAY) == [(number, 1, 0) for number in range(6)]


def test_what_is_open_at_the_end_goes_on_after_a_restart(
    store_uri: str, open_store: Callable[[str], Store]
) -> None:
    store = open_store(store_uri)
    insert(store, make_row(1), make_row(2))
    insert(store, make_row(3))
    store.close()
    again = open_store(store_uri)
    insert(again, make_row(4))
    assert tables_of(again) == [f"predictions_{DAY}"]
    assert find(again, [1, 2, 3, 4, 5]) == {(DAY, number, 1, 0) for number in range(1, 5)}
    insert(again, make_row(5))
    again.flush()
    assert tables_of(again) == [f"predictions_{DAY}_0"]
    again.close()
    assert read(open_store(store_uri), DAY) == [(number, 1, 0) for number in range(1, 6)]


@pytest.mark.parametrize("before", [0, 1])
def test_rows_that_were_not_committed_are_not_found(store: Store, before: int) -> None:
    insert(store, *(make_row(number) for number in range(before)))
    with suppress(ZeroDivisionError), store.begin() as transaction:
        transaction.insert_predictions(DAY, PREDICTIONS.pack_rows([make_row(1, payload=7)]))
        transaction.replace_predictions(DAY, PREDICTIONS.pack_rows([make_row(0, payload=7)]))
        raise ZeroDivisionError
    assert find(store, [0, 1]) == {(DAY, number, 1, 0) for number in range(before)}
    insert(store, make_row(1))
    assert find(store, [1]) == {(DAY, 1, 1, 0)}


@pytest.mark.parametrize("rows", [1, 5])
def test_a_transaction_finds_what_it_replaced(store: Store, rows: int) -> None:
    insert(store, *(make_row(number) for number in range(rows)))
    store.flush()
    with store.begin() as transaction:
        transaction.replace_predictions(DAY, PREDICTIONS.pack_rows([make_row(0, payload=7)]))
        expected = {(DAY, 0, 1, 7)} | {(DAY, number, 1, 0) for number in range(1, rows)}
        assert find_within(transaction, list(range(9))) == expected
    assert find(store, list(range(9))) == expected


def test_a_flush_that_fails_is_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(store, *(make_row(n) for n in range(6)))
    with monkeypatch.context() as patch:
        patch.setattr(tree, "split_pages", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.flush()
    assert len(find(store, list(range(6)))) == 6
    store.flush()
    assert tables_of(store) == [f"predictions_{DAY}_0"]
    assert len(find(store, list(range(6)))) == 6


def test_days_that_are_forgotten_are_gone(store_uri: str, open_store: Callable[[str], Store]) -> None:
    store = open_store(store_uri)
    for day in (DAY, DAY + 1):
        insert(store, *(make_row(n) for n in range(6)), day=day)
    with store.begin() as transaction:
        transaction.predictions.drop_before(DAY + 1)
    for each in (store, None):
        if each is None:
            store.close()
        found = find(each or open_store(store_uri), list(range(6)))
        assert {day for day, *_ in found} == {DAY + 1}


def test_a_page_that_cannot_be_read_is_an_error_of_the_store(store: Store) -> None:
    insert(store, *(make_row(n) for n in range(6)))
    store.flush()
    with store._engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE predictions_{DAY}_0")
    with pytest.raises((StoreError, sa.exc.ProgrammingError)):
        find(store, [1, 2, 3])


numbers = st.integers(0, 15)
some = st.sets(numbers, min_size=1, max_size=6)
steps = st.tuples(
    st.sampled_from(["insert", "insert", "replace", "fail"]), st.integers(0, 2), st.integers(1, 2), some
)
reopenings = st.just(("reopen", 0, 0, frozenset[int]()))


@settings(max_examples=60)
@given(st.lists(steps | steps | steps | reopenings, max_size=20))
def test_whatever_happened_a_day_has_each_id_of_a_version_once(
    tmp_path_factory: pytest.TempPathFactory, schedule: list[tuple[str, int, int, Any]]
) -> None:
    uri = f"sqlite:///{tmp_path_factory.mktemp('schedule') / 'exporter.db'}"
    store, truth = Store(uri), dict[tuple[int, int, int], int]()
    try:
        for payload, (action, after, version, chosen) in enumerate(schedule):
            day, rows = DAY + after, [make_row(n, version, payload) for n in sorted(chosen)]
            keys = [(day, n, version) for n in sorted(chosen)]
            if action == "reopen":
                store.close()
                store = Store(uri)
                continue
            store.flush()
            try:
                with store.begin() as transaction:
                    if action == "replace":
                        transaction.replace_predictions(day, PREDICTIONS.pack_rows(rows))
                        now = {(*key, payload) for key in keys}
                        assert now <= find_within(transaction, sorted(chosen), [day])
                    else:
                        known = transaction.insert_predictions(day, PREDICTIONS.pack_rows(rows))
                        assert known == {(hash_of(k[1]), version): truth[k] for k in keys if k in truth}
                    if action == "fail":
                        raise ZeroDivisionError
            except ZeroDivisionError:
                continue
            truth |= {key: payload for key in keys if action == "replace" or key not in truth}
        assert find(store, list(range(16))) == {(*key, payload) for key, payload in truth.items()}
        for day in range(DAY, DAY + 3):
            expected = {(*key, payload) for key, payload in truth.items() if key[0] == day}
            assert find(store, list(range(16)), [day]) == expected
            assert read(store, day) == sorted(key[1:] for key in expected)
    finally:
        store.close()

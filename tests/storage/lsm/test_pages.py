"""Pages of SQL tables, read with one thread or two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import sqlalchemy as sa

from exporter.storage.lsm import pages
from exporter.storage.lsm.pages import (
    PageReader,
    create_table,
    drop_table,
    insert_pages,
    read_pages,
    update_pages,
)
from exporter.storage.store import Store

TABLES = ("labels_7_0", "labels_7_1", "labels_8_0")


def page(table: int, number: int) -> tuple[int, bytes, bytes]:
    return number, b"%d-%d " % (table, number), b"text%d-%d " % (table, number)


@contextmanager
def reading(store: Store) -> Iterator[PageReader]:
    reader = PageReader(store._engine)
    try:
        yield reader
    finally:
        reader.close()


@pytest.fixture
def filled(store: Store) -> Store:
    with store.begin() as transaction:
        for table, name in enumerate(TABLES):
            create_table(transaction.connection, name)
            insert_pages(transaction.connection, name, [page(table, number) for number in range(20)])
    return store


@pytest.mark.parametrize("concurrent", [1, 1000])
def test_pages_come_in_the_order_in_which_they_were_asked_for(
    filled: Store, monkeypatch: pytest.MonkeyPatch, concurrent: int
) -> None:
    monkeypatch.setattr(pages, "CONCURRENT_PAGES", concurrent)
    wanted = [
        (name, np.array(numbers)) for name, numbers in zip(TABLES, ([3, 4, 19], [0], [7, 90]), strict=True)
    ]
    with reading(filled) as reader, filled.begin() as transaction:
        found = reader.read(transaction.connection, wanted)
    assert found == [
        (b"0-3 0-4 0-19 ", b"text0-3 text0-4 text0-19 "),
        (b"1-0 ", b"text1-0 "),
        (b"2-7 ", b"text2-7 "),
    ]


def test_the_other_thread_reads_no_table_that_the_transaction_has_changed(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "CONCURRENT_PAGES", 1)
    wanted = [(name, np.arange(3)) for name in TABLES]
    with reading(filled) as reader, filled.begin() as transaction:
        update_pages(transaction.connection, TABLES[0], [(1, b"new ", b"newer ")])
        found = reader.read(transaction.connection, wanted, changed={TABLES[0]})
    assert found[0] == (b"0-0 new 0-2 ", b"text0-0 newer text0-2 ")
    assert [numbers for numbers, _ in found[1:]] == [b"1-0 1-1 1-2 ", b"2-0 2-1 2-2 "]


def test_a_table_is_read_as_a_whole_and_dropped(filled: Store) -> None:
    with filled.begin() as transaction:
        assert read_pages(transaction.connection, TABLES[1]) == [page(1, number) for number in range(20)]
        drop_table(transaction.connection, TABLES[1])
    with filled.begin() as transaction:
        assert TABLES[1] not in sa.inspect(transaction.connection).get_table_names()

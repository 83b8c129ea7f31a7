"""Entries are appended within the transaction that they describe, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Thread

import pytest
import sqlalchemy as sa

from exporter.audit import trail
from exporter.audit.record import GENESIS, Head
from exporter.audit.trail import append, digest_before, head, read
from exporter.audit.verification import verify_store
from exporter.errors import StoreError
from exporter.storage import schema
from exporter.storage.store import Store
from tests.support.postgres import lose_answer
from tests.support.trail import append_entries, bodies, make_entry


def test_records_are_numbered_from_one_and_follow_from_each_other(store: Store) -> None:
    with store.writing() as connection:
        assert head(connection) == Head(0, GENESIS)
        assert append(connection, [make_entry(1), make_entry(2)], 5.0) == 2
        assert append(connection, [make_entry(3)], 6.0) == 3
        assert append(connection, [], 6.0) == 3
        found = list(read(connection))
        assert [record.seq for record in found] == [1, 2, 3]
        assert head(connection) == (3, found[-1].digest)
        assert [digest_before(connection, seq) for seq in (1, 3, 5)] == [GENESIS, found[1].digest, None]
    assert [body["data"]["score"] for body in bodies(store)] == [1 / 7, 2 / 7, 3 / 7]


def test_reading_goes_on_from_chunk_to_chunk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.writing() as connection:
        append(connection, [make_entry(number) for number in range(1101)], 5.0)
        assert [record.seq for record in read(connection)] == list(range(1, 1102))
        assert [record.seq for record in read(connection, 499, 1001)] == list(range(499, 1002))
        assert not list(read(connection, 2000))
    assert trail.CHUNK_ROWS == 500


def test_what_is_rolled_back_leaves_no_gap(store: Store) -> None:
    with store.writing() as connection:
        append_entries(connection, 2)
    with suppress(MemoryError), store.writing() as connection:
        append_entries(connection, 3)
        raise MemoryError
    with store.writing() as connection:
        assert append(connection, [make_entry()], 5.0) == 3
        assert verify_store(connection).intact


@pytest.mark.needs("initdb", "pg_ctl")
@pytest.mark.parametrize("done", [True, False])
def test_a_commit_without_an_answer_leaves_no_gap(
    postgres_uri: str, open_store: Callable[[str], Store], done: bool
) -> None:
    store = open_store(postgres_uri)
    lose_answer(store, done=done)
    try:
        with store.writing() as connection:
            append_entries(connection, 2)
    except (StoreError, sa.exc.DBAPIError):
        assert not done
    with store.writing() as connection:
        append_entries(connection, 1)
        assert head(connection).seq == (3 if done else 1)
        assert verify_store(connection).intact


@pytest.mark.needs("initdb", "pg_ctl")
def test_concurrent_appenders_make_one_chain(postgres_uri: str, open_store: Callable[[str], Store]) -> None:
    open_store(postgres_uri).close()
    engine = sa.create_engine(postgres_uri.replace("postgresql:", "postgresql+psycopg:"))

    def run() -> None:  # beside the store, whose own transactions wait for each other anyway
        for number in range(25):
            with engine.begin() as connection:
                append(connection, [make_entry(number)] * 2, 5.0)

    threads = [Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engine.connect() as connection:
        found = verify_store(connection)
        assert found.intact, found.faults
        assert found.chain.records == 200
        assert connection.scalar(sa.select(sa.func.count()).select_from(schema.audit_head)) == 1
    engine.dispose()


def test_each_record_has_a_salt_of_its_own(store: Store) -> None:
    with store.writing() as connection:
        append(connection, [make_entry()] * 10, 5.0)
        append(connection, [make_entry()], 5.0, lambda count: b"\x07" * count)
    salts = [body["salt"] for body in bodies(store)]
    assert len(set(salts)) == 11
    assert salts[-1] == "07" * 16

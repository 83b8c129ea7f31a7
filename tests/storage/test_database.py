"""One process has the database, whatever fails; the same on SQLite and PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from exporter.errors import ConfigError, StoreError
from exporter.storage import database
from exporter.storage.rows import PREDICTIONS
from exporter.storage.store import Store
from tests.support.postgres import PostgresServer, lose_answer
from tests.support.stored import (
    DAY,
    insert,
    make_prediction,
)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("exporter.db", "^EXPORTER_STORE is no URI"),
        ("sqlite://exporter.db", "exporter.db is in the place of a host; a file has three slashes"),
        ("sqlite://user:secret@var/lib/exporter.db", "var is in the place of a host"),
        ("mysql://user:secret@host/db", "taken are sqlite and postgresql"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:////nowhere/at/all/exporter.db", "No such file or directory"),
        ("postgresql+pg8000://user:secret@host/db", "pg8000"),
        (
            "mysql://user:secr/secret@host/db?password=secret",
            r"store mysql://\*\*\*@host/db\?password=\*\*\*: taken",
        ),
        ("postgresql://user:sec@secret@host/db", "in a password @ is written %40"),
        ("postgresql://user:secret@host:5432a/db", "no URI such as"),
        ("postgresql://user:secret@[::1/db", "no URI such as"),
        ("sqlite:///exporter\0.db", "no URI such as"),
        ("sqlite:///{directory}/exporter.db?timeout=soon", "an option cannot be used: .* 'soon'"),
    ],
)
def test_a_uri_that_cannot_be_used_is_refused_without_its_password(
    uri: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        Store(uri.replace("{directory}", str(tmp_path)))
    assert "secret" not in str(error.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "exporter.db").write_text("something else, and more than a page of it " * 200)
    with pytest.raises(StoreError, match="file is not a database"):
        Store(f"sqlite:///{tmp_path}/exporter.db")


def test_a_database_that_is_down_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(f"postgresql://exporter@/exporter?host={tmp_path}")


def test_a_second_exporter_is_refused_a_file_and_does_not_disturb_the_first(
    tmp_path: Path, open_store: Callable[[str], Store]
) -> None:
    store = open_store(f"sqlite:///{tmp_path}/exporter.db")
    with pytest.raises(StoreError, match="another exporter uses"):
        Store(f"sqlite:///{tmp_path}/exporter.db")
    assert insert(store, make_prediction(1)) == {}


def test_after_a_close_the_next_one_opens(store_uri: str) -> None:
    Store(store_uri).close()
    Store(store_uri).close()


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    store_uri = f"sqlite:///{tmp_path}/exporter.db"
    opened = f"from exporter.storage.store import Store; s = Store({store_uri!r})"
    program = f"{opened}; print('open', flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], **pipes) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"open\n"
            with pytest.raises(StoreError, match="another exporter uses"):
                Store(store_uri)
        finally:
            os.kill(process.pid, signal.SIGKILL)
    Store(store_uri).close()


@pytest.mark.needs("initdb", "pg_ctl")
def test_the_former_owner_of_a_database_writes_no_more(
    postgres_uri: str, open_store: Callable[[str], Store]
) -> None:
    first, second = open_store(postgres_uri), open_store(postgres_uri)
    with pytest.raises(StoreError, match="took over"):
        insert(first, make_prediction(1))
    assert "took over" in first.fault()
    assert first.was_lost.is_set()
    assert insert(second, make_prediction(1)) == {}


@pytest.mark.needs("initdb", "pg_ctl")
def test_a_transaction_that_the_former_owner_left_open_is_ended(
    postgres_uri: str, open_store: Callable[[str], Store]
) -> None:
    first = open_store(postgres_uri)

    def write_while_another_opens() -> None:
        with first.begin() as transaction:  # as if it were stopped in it
            transaction.insert_predictions(DAY, PREDICTIONS.pack_rows([make_prediction(1)]))
            open_store(postgres_uri)

    with pytest.raises(StoreError, match="terminating connection"):
        write_while_another_opens()
    with pytest.raises(StoreError, match="took over"):
        insert(first, make_prediction(1))


@pytest.mark.needs("initdb", "pg_ctl")
def test_a_session_may_not_be_idle_in_a_transaction_for_long(
    postgres_uri: str, open_store: Callable[[str], Store]
) -> None:
    with open_store(postgres_uri).reading() as connection:
        assert connection.scalar(sa.text("SHOW idle_in_transaction_session_timeout")) == "5min"


@pytest.mark.needs("initdb", "pg_ctl")
def test_tables_that_were_dropped_are_a_failure_of_the_store(
    postgres_uri: str, open_store: Callable[[str], Store]
) -> None:
    store = open_store(postgres_uri)
    with store.begin() as transaction:
        transaction.connection.execute(sa.text("DROP TABLE batches"))
    with pytest.raises(StoreError, match="does not exist"), store.begin() as transaction:
        transaction.find_key(b"k" * 16, 1.0)


@pytest.mark.needs("initdb", "pg_ctl")
def test_it_recovers_when_the_server_was_restarted(
    postgres_server: PostgresServer, postgres_uri: str, open_store: Callable[[str], Store]
) -> None:
    store = open_store(postgres_uri)
    insert(store, make_prediction(1))
    postgres_server.stop()
    with pytest.raises(StoreError):
        insert(store, make_prediction(2))
    postgres_server.start()
    assert insert(store, make_prediction(1), make_prediction(2)) == {(make_prediction(1).id_hash, 1): 1}


@pytest.mark.needs("initdb", "pg_ctl")
def test_a_commit_that_took_place_counts_though_its_answer_was_lost(
    postgres_uri: str, open_store: Callable[[str], Store]
) -> None:
    store = open_store(postgres_uri)
    lose_answer(store, done=True)
    assert insert(store, make_prediction(1)) == {}
    assert insert(store, make_prediction(1)) == {(make_prediction(1).id_hash, 1): 1}


@pytest.mark.needs("initdb", "pg_ctl")
def test_a_commit_that_did_not_take_place_fails(
    postgres_uri: str, open_store: Callable[[str], Store]
) -> None:
    store = open_store(postgres_uri)
    lose_answer(store, done=False)
    with pytest.raises(StoreError, match="closed the connection"):
        insert(store, make_prediction(1))
    assert insert(store, make_prediction(1)) == {}


@pytest.mark.needs("initdb", "pg_ctl")
def test_a_store_that_cannot_know_what_was_committed_takes_nothing_more(
    postgres_server: PostgresServer,
    postgres_uri: str,
    open_store: Callable[[str], Store],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "UNANSWERED_SECONDS", 0.3)
    store = open_store(postgres_uri)

    def write_and_break_off() -> None:
        with store.begin() as transaction:
            transaction.insert_predictions(DAY, PREDICTIONS.pack_rows([make_prediction(1)]))
            postgres_server.stop()

    with pytest.raises(StoreError, match="did not say"):
        write_and_break_off()
    postgres_server.start()
    assert store.lost
    with pytest.raises(StoreError, match="restart"):
        insert(store, make_prediction(2))


def test_a_closed_store_takes_and_gives_nothing(store: Store) -> None:
    store.close()
    with pytest.raises(StoreError, match="closed"):
        insert(store, make_prediction(1))
    with pytest.raises(StoreError, match="closed"):
        store.load_versions()


def test_a_value_that_the_database_does_not_take_is_no_failure_of_the_store(store: Store) -> None:
    version = store.ensure_version("fraud", "1", 0)
    with pytest.raises((sa.exc.DBAPIError, UnicodeEncodeError)), store.begin() as transaction:
        transaction.set_status(version.key, "text \ud800")
    assert insert(store, make_prediction(1)) == {}


def test_an_error_says_nothing_of_what_was_predicted(store: Store) -> None:
    with pytest.raises(sa.exc.DBAPIError) as refused, store.begin() as transaction:
        transaction.remember_key(b"k" * 16, None, 0.0)  # type: ignore[arg-type] # NOT NULL
    assert "[parameters:" not in str(refused.value)


def limit_pages(store: Store, pages: int) -> None:
    """Let a disk have no more than so many pages, for all connections of a store."""

    def limit(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}").close()

    sa.event.listen(store._engine, "checkout", limit)


def test_a_full_disk_is_an_error_that_undoes_everything(
    tmp_path: Path, open_store: Callable[[str], Store]
) -> None:
    store = open_store(f"sqlite:///{tmp_path}/exporter.db")
    insert(store, make_prediction(0))
    limit_pages(store, 40)
    with pytest.raises(StoreError, match="database or disk is full"):
        insert(store, *(make_prediction(number) for number in range(1, 50_000)))
    limit_pages(store, 100_000)
    known = insert(store, *(make_prediction(number) for number in range(10)))
    assert known == {(make_prediction(0).id_hash, 1): 1}

"""The store, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa

from exporter.aggregates.block import LATENCY_BOUNDS, Block
from exporter.errors import ConfigError, StoreError
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.profile import Reference
from exporter.settings import Settings
from exporter.storage import database
from exporter.storage.rows import PREDICTIONS, StoredPrediction
from exporter.storage.schema import COARSE, FINE, AliasMove, RawRows
from exporter.storage.store import Store
from tests.support.postgres import PostgresServer, lose_answer
from tests.support.rig import make_table

DAY = 20_500


def make_reference() -> Reference:
    return build_reference(ReferenceData(make_table(200), "test"), Settings().windows, 500)


def make_aggregate(reference: Reference, rows: int) -> Block:
    return Block(
        rows=rows,
        counts=np.arange(reference.cells, dtype=np.uint32),
        moments=np.full((len(reference.columns), 3), 0.1 * rows),
        latency=np.arange(len(LATENCY_BOUNDS) + 1, dtype=np.int64),
        latency_sum=1.5,
    )


def make_prediction(number: int, payload: int = 1, version_id: int = 1, at: float = 0.0) -> StoredPrediction:
    return StoredPrediction(number.to_bytes(16, "big"), version_id, payload, at, "1", 0.5)


def make_waiting(rows: int, body: bytes = b"{}") -> RawRows:
    numbers = np.arange(rows, dtype=np.int64)
    return RawRows("application/json", {"model": "fraud"}, body, numbers, numbers + 0.5)


def insert(store: Store, *rows: StoredPrediction, day: int = DAY) -> dict[tuple[bytes, int], int]:
    with store.begin() as transaction:
        return transaction.insert_predictions(day, PREDICTIONS.pack_rows(rows))


def day_tables(store: Store) -> list[str]:
    with store.begin() as transaction:
        names = sa.inspect(transaction.connection).get_table_names()
    return sorted(name for name in names if name.startswith("predictions_"))


# -- opening ------------------------------------------------------------------------------------------------


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


def test_a_second_exporter_is_refused_and_does_not_disturb_the_first(store_uri: str, store: Store) -> None:
    with pytest.raises(StoreError, match="another exporter uses"):
        Store(store_uri)
    assert insert(store, make_prediction(1)) == {}


def test_after_a_close_the_next_one_opens(store_uri: str) -> None:
    Store(store_uri).close()
    Store(store_uri).close()


def test_a_lock_ends_with_its_process(store_uri: str) -> None:
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
def test_the_end_of_an_earlier_session_is_waited_for(
    postgres_uri: str, open_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = psycopg.connect(postgres_uri)
    earlier.execute("SELECT pg_advisory_lock(%s)", [database._ADVISORY_LOCK])
    monkeypatch.setattr(database.time, "sleep", lambda _: earlier.close())
    assert insert(open_store(postgres_uri), make_prediction(1)) == {}
    assert earlier.closed


@pytest.mark.needs("initdb", "pg_ctl")
def test_who_lost_the_database_to_another_exporter_writes_no_more(
    postgres_uri: str, open_store: Callable[[str], Store]
) -> None:
    first = open_store(postgres_uri)
    with first.begin() as transaction:  # as after a restart of the server: the session with the lock is gone
        transaction.connection.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        )
    second = open_store(postgres_uri)
    with pytest.raises(StoreError, match="took over"):
        insert(first, make_prediction(1))
    assert "took over" in first.fault()
    assert first.was_lost.is_set()
    assert insert(second, make_prediction(1)) == {}


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


# -- transactions -------------------------------------------------------------------------------------------


def test_what_is_committed_is_there_after_reopening(
    store_uri: str, open_store: Callable[[str], Store]
) -> None:
    store, reference = open_store(store_uri), make_reference()
    version = store.ensure_version("fraud", "1", 0)
    with store.begin() as transaction:
        reference_id = transaction.save_reference(version.key, reference, at=1.0)
        transaction.put_aggregates(reference_id, FINE, {300: make_aggregate(reference, 3)})
        transaction.add_waiting(version.key, make_waiting(2, b"waits"))
        transaction.set_last_prediction(version.key, 12.5)
    store.close()

    store = open_store(store_uri)
    (stored,) = store.load_versions()
    assert (stored.last_prediction, stored.waiting_rows) == (12.5, 2)
    loaded = store.load_reference(stored.key)
    assert loaded is not None
    assert loaded[0] == reference_id
    assert loaded[1].digest == reference.digest
    assert list(store.load_blocks(reference_id)[0]) == [300]
    assert [each.body for each in store.load_waiting(stored.key)] == [b"waits"]


def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    with suppress(ZeroDivisionError), store.begin() as transaction:
        transaction.insert_predictions(DAY, PREDICTIONS.pack_rows([make_prediction(1)]))
        transaction.remember_key(b"k" * 16, b"b" * 16, 1.0)
        raise ZeroDivisionError
    assert insert(store, make_prediction(1)) == {}, "the day's table was undone as well, and comes again"
    with store.begin() as transaction:
        assert transaction.find_key(b"k" * 16, 1.0) is None


def test_it_can_be_read_within_a_transaction(store: Store) -> None:
    version = store.ensure_version("fraud", "1", 0)
    with store.begin() as transaction:
        transaction.set_status(version.key, "broken reference")
        assert store.load_versions()[0].status == "", "what is not committed yet is not seen"
    assert store.load_versions()[0].status == "broken reference"


def test_a_value_that_the_database_does_not_take_is_no_failure_of_the_store(store: Store) -> None:
    version = store.ensure_version("fraud", "1", 0)
    with pytest.raises((sa.exc.DBAPIError, UnicodeEncodeError)), store.begin() as transaction:
        transaction.set_status(version.key, "text \ud800")
    assert insert(store, make_prediction(1)) == {}


def test_an_error_says_nothing_of_what_was_predicted(store: Store) -> None:
    with pytest.raises(sa.exc.DBAPIError) as refused, store.begin() as transaction:
        transaction.remember_key(b"k" * 16, None, 0.0)  # type: ignore[arg-type] # NOT NULL
    assert "[parameters:" not in str(refused.value)


# -- versions, references, blocks ---------------------------------------------------------------------------


def test_a_version_keeps_its_number(store: Store) -> None:
    first = store.ensure_version("fraud", "1", 0)
    other = store.ensure_version("fraud", "2", 0)
    assert store.ensure_version("fraud", "1", 0) == first
    assert first.key != other.key
    assert [version.version for version in store.load_versions()] == ["1", "2"]


def test_a_version_that_was_registered_again_is_another_one(store: Store) -> None:
    before, after = store.ensure_version("fraud", "1", 1000), store.ensure_version("fraud", "1", 2000)
    assert before.key != after.key
    assert store.load_versions()[-1] == after


def test_of_versions_with_the_same_names_the_one_followed_last_comes_last(store: Store) -> None:
    first, second = store.ensure_version("fraud", "1", 1000), store.ensure_version("fraud", "1", 2000)
    other = store.ensure_version("fraud", "2", 0)
    for followed in (first, second, first, first):
        assert store.ensure_version("fraud", "1", followed.created_ms) == followed
        stored = {(version.model, version.version): version for version in store.load_versions()}
        assert stored == {("fraud", "1"): followed, ("fraud", "2"): other}


def test_the_latest_reference_is_the_current_one(store: Store) -> None:
    reference = make_reference()
    with store.begin() as transaction:
        transaction.save_reference(1, reference, at=1.0)
        latest = transaction.save_reference(1, reference, at=2.0)
        transaction.save_reference(2, reference, at=3.0)
    loaded = store.load_reference(1)
    assert loaded is not None
    assert loaded[0] == latest
    assert store.load_reference(3) is None


def test_blocks_come_back_by_family_and_the_last_one_put_counts(store: Store) -> None:
    reference = make_reference()
    with store.begin() as transaction:
        transaction.put_aggregates(
            1, FINE, {0: make_aggregate(reference, 1), 300: make_aggregate(reference, 2)}
        )
        transaction.put_aggregates(1, FINE, {300: make_aggregate(reference, 5)})
        transaction.put_aggregates(1, COARSE, {0: make_aggregate(reference, 7)})
        transaction.put_aggregates(2, FINE, {0: make_aggregate(reference, 9)})
        transaction.put_aggregates(2, COARSE, {})
    fine, coarse = store.load_blocks(1)
    assert {start: block.rows for start, block in fine.items()} == {0: 1, 300: 5}
    assert {start: block.rows for start, block in coarse.items()} == {0: 7}
    kept, put = fine[300], make_aggregate(reference, 5)
    assert np.array_equal(kept.counts, put.counts)
    assert np.array_equal(kept.moments, put.moments)
    assert np.array_equal(kept.latency, put.latency)
    assert kept.latency_sum == put.latency_sum


def test_blocks_can_be_deleted_one_by_one(store: Store) -> None:
    reference = make_reference()
    blocks = {start: make_aggregate(reference, 1) for start in (0, 300, 600)}
    with store.begin() as transaction:
        transaction.put_aggregates(1, FINE, blocks)
        transaction.put_aggregates(1, COARSE, blocks)
        transaction.delete_aggregates(1, FINE, [0, 600])
    fine, coarse = store.load_blocks(1)
    assert list(fine) == [300]
    assert list(coarse) == [0, 300, 600]


def test_alias_moves_come_back_in_order(store: Store) -> None:
    seen = (("1", 9.0), ("", 3.0), ("2", 4.0))  # the clock was put back after the first
    moves = [AliasMove("fraud", "champion", version, since) for version, since in seen]
    store.add_alias_moves(moves[:1])
    store.add_alias_moves(moves[1:])
    assert store.load_alias_moves() == moves


# -- predictions --------------------------------------------------------------------------------------------


def test_rows_that_are_new_are_inserted(store: Store) -> None:
    assert insert(store, make_prediction(1), make_prediction(2)) == {}
    assert insert(store) == {}


def test_rows_that_are_there_are_told_with_their_payload_and_left_alone(store: Store) -> None:
    insert(store, make_prediction(1, payload=-7))
    known = insert(store, make_prediction(1, payload=8), make_prediction(2))
    assert known == {(make_prediction(1).id_hash, 1): -7}
    assert insert(store, make_prediction(1), make_prediction(2)) == {
        (make_prediction(1).id_hash, 1): -7,
        (make_prediction(2).id_hash, 1): 1,
    }


def test_the_same_id_of_another_version_or_day_is_new(store: Store) -> None:
    insert(store, make_prediction(1))
    assert insert(store, make_prediction(1, version_id=2)) == {}
    assert insert(store, make_prediction(1), day=DAY + 1) == {}


def test_ids_are_found_however_many_are_asked_for(store: Store) -> None:
    rows = [make_prediction(number, payload=number) for number in range(1200)]
    insert(store, *rows)
    with store.begin() as transaction:
        found = transaction.find_predictions(DAY, [row.id_hash for row in rows])
        assert found == {(row.id_hash, 1): row.payload for row in rows}
        assert transaction.find_predictions(DAY - 1, [row.id_hash for row in rows]) == {}


def test_a_replaced_row_is_the_one_that_is_kept(store: Store) -> None:
    insert(store, make_prediction(1))
    with store.begin() as transaction:
        transaction.replace_predictions(
            DAY, PREDICTIONS.pack_rows([make_prediction(1, payload=2), make_prediction(2, payload=3)])
        )
        transaction.replace_predictions(DAY, PREDICTIONS.pack_rows([]))
    assert insert(store, make_prediction(1), make_prediction(2)) == {
        (make_prediction(1).id_hash, 1): 2,
        (make_prediction(2).id_hash, 1): 3,
    }


def test_every_64_bit_payload_and_odd_texts_are_kept(store: Store) -> None:
    odd = [
        make_prediction(number, payload)._replace(prediction=text, score=score)
        for number, (payload, text, score) in enumerate(
            [(2**63 - 1, "", 0.0), (-(2**63), "é\n'\";--", 1e308), (0, None, None)]
        )
    ]
    insert(store, *odd)
    assert insert(store, *odd) == {(row.id_hash, 1): row.payload for row in odd}


# -- idempotency keys, waiting requests, expiry -------------------------------------------------------------


def test_a_key_is_found_with_the_body_it_came_with(store: Store) -> None:
    with store.begin() as transaction:
        transaction.remember_key(b"k" * 16, b"b" * 16, 1.0)
        assert transaction.find_key(b"k" * 16, 1.0) == b"b" * 16
        assert transaction.find_key(b"x" * 16, 1.0) is None


def test_what_waits_comes_back_in_order_of_arrival(store: Store) -> None:
    version = store.ensure_version("fraud", "1", 0)
    with store.begin() as transaction:
        for number in range(3):
            transaction.add_waiting(version.key, make_waiting(number + 1, b"body %d" % number))
    waiting = [*store.load_waiting(version.key)]
    assert [each.body for each in waiting] == [b"body 0", b"body 1", b"body 2"]
    assert waiting[2].query == {"model": "fraud"}
    assert waiting[2].row_numbers.tolist() == [0, 1, 2]
    assert waiting[2].times.tolist() == [0.5, 1.5, 2.5]
    assert store.load_versions()[0].waiting_rows == 6
    with store.begin() as transaction:
        transaction.delete_waiting(version.key)
    assert not [*store.load_waiting(version.key)]


def test_one_request_that_waits_is_in_memory_at_a_time(store: Store) -> None:
    version = store.ensure_version("fraud", "1", 0)
    for _ in range(20):
        with store.begin() as transaction:
            transaction.add_waiting(version.key, make_waiting(1, bytes(2**20)))
    tracemalloc.start()
    assert sum(len(each.body) for each in store.load_waiting(version.key)) == 20 * 2**20
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10 * 2**20


def test_requests_that_are_forgotten_while_others_are_read_end_the_reading(store: Store) -> None:
    version = store.ensure_version("fraud", "1", 0)
    with store.begin() as transaction:
        for _ in range(2):
            transaction.add_waiting(version.key, make_waiting(1, b"waits"))
    waiting = store.load_waiting(version.key)
    assert next(waiting).body == b"waits"
    with store.begin() as transaction:
        transaction.delete_waiting(version.key)
    assert not [*waiting]


def test_what_is_past_its_retention_is_forgotten(store: Store) -> None:
    reference = make_reference()
    with store.begin() as transaction:
        transaction.remember_key(b"old".ljust(16), b"b" * 16, 99.0)
        transaction.remember_key(b"new".ljust(16), b"b" * 16, 100.0)
        for day in (9, 10):
            transaction.insert_predictions(day, PREDICTIONS.pack_rows([make_prediction(1)]))
        reference_id = transaction.save_reference(1, reference, at=1.0)
        blocks = {start: make_aggregate(reference, 1) for start in (600, 900)}
        transaction.put_aggregates(reference_id, COARSE, blocks)
    with store.begin() as transaction:
        transaction.expire(keys_before=100.0, blocks_before=900.0, outcomes_before=900.0, days_before=10)
    with store.begin() as transaction:
        assert transaction.find_key(b"old".ljust(16), 100.0) is None
        assert transaction.find_key(b"new".ljust(16), 100.0) is not None
    assert day_tables(store) == ["predictions_10"]
    assert list(store.load_blocks(reference_id)[1]) == [900]
    assert insert(store, make_prediction(1), day=9) == {}, "the table of a forgotten day comes again"


def test_its_size_shrinks_when_something_is_forgotten(store: Store) -> None:
    empty = store.size_bytes()
    insert(store, *(make_prediction(number) for number in range(5000)))
    full = store.size_bytes()
    with store.begin() as transaction:
        transaction.expire(0.0, 0.0, 0.0, DAY + 1)
    assert full > empty + 5000 * 16
    assert store.size_bytes() < (empty + full) / 2


# -- failing ------------------------------------------------------------------------------------------------


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
